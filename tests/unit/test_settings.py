"""Settings: where they come from, which values are refused, and the example of them."""

import re
import stat
from pathlib import Path

import pytest
from pydantic import ValidationError

from potluck.errors import SettingError
from potluck.providers.catalog_file import load_catalog
from potluck.settings import PROJECT_DIR, Settings, create_env_file, hide_secrets, know_secret
from potluck.settings import env_file as env_file_in_use

EXAMPLE = PROJECT_DIR / ".env.example"


@pytest.fixture(autouse=True)
def env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An .env of this test's own, and an environment without any setting."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("POTLUCK_ENV_FILE", str(tmp_path / ".env"))
    return tmp_path / ".env"


class TestSources:
    def test_defaults_stand_when_nothing_is_set(self) -> None:
        settings = Settings.load()
        assert settings.potluck_config_dir == PROJECT_DIR / "config"
        assert settings.potluck_log_level == "warning"
        assert settings.potluck_api_keys == ()
        assert settings.potluck_simulator is None
        assert settings.database_url is None
        assert settings.redis_url is None
        assert settings.potluck_home.is_absolute()

    def test_the_env_file_is_read(self, env_file: Path) -> None:
        env_file.write_text("POTLUCK_LOG_LEVEL=DEBUG\n", encoding="utf-8")
        assert Settings.load().potluck_log_level == "debug"

    def test_the_environment_beats_the_env_file(
        self, env_file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        env_file.write_text("POTLUCK_LOG_LEVEL=debug\nSOME_KEY=file\n", encoding="utf-8")
        monkeypatch.setenv("POTLUCK_LOG_LEVEL", "error")
        monkeypatch.setenv("SOME_KEY", "environment")
        settings = Settings.load()
        key = settings.key("SOME_KEY")
        assert settings.potluck_log_level == "error"
        assert key is not None
        assert key.get_secret_value() == "environment"

    def test_an_empty_variable_counts_as_not_set(
        self, env_file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        env_file.write_text("SOME_KEY=file\n", encoding="utf-8")
        monkeypatch.setenv("POTLUCK_SIMULATOR", "")
        monkeypatch.setenv("SOME_KEY", "")
        settings = Settings.load()
        key = settings.key("SOME_KEY")
        assert settings.potluck_simulator is None
        assert key is not None
        assert key.get_secret_value() == "file"

    def test_without_a_file_named_it_is_the_projects(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("POTLUCK_ENV_FILE")
        assert env_file_in_use() == PROJECT_DIR / ".env"

    def test_a_key_that_is_nowhere_is_none(self) -> None:
        assert Settings.load().key("NO_SUCH_KEY_ANYWHERE") is None


class TestValues:
    def test_api_keys_are_split_at_commas(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("POTLUCK_API_KEYS", " me:one , you:two,, ")
        settings = Settings.load()
        assert [k.get_secret_value() for k in settings.potluck_api_keys] == ["me:one", "you:two"]

    def test_folders_become_absolute(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("POTLUCK_HOME", "~/somewhere")
        assert Settings.load().potluck_home == (Path.home() / "somewhere").resolve()

    @pytest.mark.parametrize(
        ("name", "value", "reason"),
        [
            ("POTLUCK_LOG_LEVEL", "loud", "must be one of debug, info"),
            ("POTLUCK_SIMULATOR", "localhost:9100", "URL"),
            ("DATABASE_URL", "mysql://u:s3cret@h/db", "must begin with postgresql://"),
        ],
    )
    def test_a_wrong_value_names_the_variable_and_where_to_mend_it(
        self, monkeypatch: pytest.MonkeyPatch, env_file: Path, name: str, value: str, reason: str
    ) -> None:
        monkeypatch.setenv(name, value)
        with pytest.raises(SettingError) as caught:
            Settings.load()
        assert name in caught.value.message
        assert reason in caught.value.message
        assert str(env_file) in (caught.value.fix or "")
        assert "s3cret" not in str(caught.value)

    def test_keys_have_names_and_roles(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("POTLUCK_API_KEYS", "me:one,you:two:admin,three,four:4:user")
        told = [(k.name, k.secret.get_secret_value(), k.role) for k in Settings.load().api_keys]
        assert told == [
            ("me", "one", "user"),
            ("you", "two", "admin"),
            ("", "three", "user"),
            ("four", "4", "user"),
        ]

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("POTLUCK_API_KEYS", "anonymous:x"),
            ("POTLUCK_API_KEYS", "system:x:admin"),
            ("POTLUCK_API_KEYS", "ann:same,bob:same:admin"),
            ("POTLUCK_API_KEYS", "ann:same,same"),
            ("POTLUCK_CORS_ORIGINS", "*"),
            ("POTLUCK_CORS_ORIGINS", "chat.example.com"),
            ("POTLUCK_CORS_ORIGINS", "https://chat.example.com/path"),
            ("POTLUCK_REQUESTS_PER_MINUTE", "-1"),
        ],
    )
    def test_what_would_open_doors_unseen_is_refused(
        self, monkeypatch: pytest.MonkeyPatch, name: str, value: str
    ) -> None:
        monkeypatch.setenv(name, value)
        with pytest.raises(SettingError, match=name):
            Settings.load()

    def test_origins_are_split_at_commas(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("POTLUCK_CORS_ORIGINS", "https://a.example/, http://b.example:3000")
        given = Settings.load().potluck_cors_origins
        assert given == ("https://a.example", "http://b.example:3000")

    def test_every_wrong_value_is_named_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("POTLUCK_LOG_LEVEL", "loud")
        monkeypatch.setenv("DATABASE_URL", "mysql://h/db")
        with pytest.raises(SettingError, match=r"POTLUCK_LOG_LEVEL.*DATABASE_URL"):
            Settings.load()

    def test_secrets_do_not_show(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DATABASE_URL", "postgresql://u:s3cret@h/db")
        monkeypatch.setenv("POTLUCK_API_KEYS", "me:s3cret")
        monkeypatch.setenv("SOME_KEY", "s3cret")
        settings = Settings.load()
        assert "s3cret" not in f"{settings!r} {settings.key('SOME_KEY')!r}"

    def test_nothing_can_be_changed(self) -> None:
        settings = Settings.load()
        with pytest.raises(ValidationError, match="frozen"):
            settings.potluck_log_level = "info"  # type: ignore[misc]


class TestExample:
    def test_names_every_setting(self) -> None:
        named = set(
            re.findall(r"^#? ?([A-Z][A-Z0-9_]*)=", EXAMPLE.read_text("utf-8"), re.MULTILINE)
        )
        assert {name.upper() for name in Settings.model_fields} <= named

    def test_names_a_key_for_every_provider_and_where_to_get_it(self) -> None:
        text = EXAMPLE.read_text("utf-8")
        for provider in load_catalog(PROJECT_DIR / "config").providers.values():
            if provider.api_key_env:
                assert f"\n{provider.api_key_env[0]}=\n" in text
            for name in re.findall(r"\$\{(\w+)\}", provider.base_url or ""):
                assert f"\n{name}=\n" in text
            assert provider.get_key_url is not None
            assert provider.get_key_url in text

    def test_becomes_the_env_file_that_only_its_owner_reads(self, env_file: Path) -> None:
        assert create_env_file()
        assert env_file.read_bytes() == EXAMPLE.read_bytes()
        assert stat.S_IMODE(env_file.stat().st_mode) == 0o600

    def test_changes_no_setting_as_it_stands(self) -> None:
        before = Settings.load()
        create_env_file()
        assert Settings.load() == before
        assert Settings.load().key("GROQ_API_KEY") == before.key("GROQ_API_KEY")

    def test_never_overwrites_an_env_file(self, env_file: Path) -> None:
        env_file.write_text("SOME_KEY=mine\n", encoding="utf-8")
        assert not create_env_file()
        assert env_file.read_text("utf-8") == "SOME_KEY=mine\n"


def test_secrets_that_were_read_are_hidden_from_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POTLUCK_API_KEYS", "me:first-secret")
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:second%40secret@h/db")
    monkeypatch.setenv("SOME_KEY", "third-secret")
    monkeypatch.setenv("SHORT_KEY", "is")
    settings = Settings.load()
    assert settings.key("SOME_KEY")
    assert settings.key("SHORT_KEY")
    text = "This https://third-secret@h and first-secret, second@secret"
    assert hide_secrets(text) == "This https://[key]@h and [key], [key]"
    assert hide_secrets("postgresql://u:second%40secret@h/db") == "postgresql://u:[key]@h/db"


@pytest.mark.parametrize(
    "written",
    [
        'ödd /"secret"',
        "%C3%B6dd%20%2F%22secret%22",
        "%C3%B6dd%20/%22secret%22",
        "%C3%B6dd+%2F%22secret%22",
        'ödd /\\"secret\\"',
        '\\u00f6dd /\\"secret\\"',
    ],
)
def test_a_secret_is_hidden_as_urls_and_json_write_it(written: str) -> None:
    know_secret('ödd /"secret"')
    assert hide_secrets(f"at {written}!") == "at [key]!"


@pytest.mark.parametrize("sign", ["@", "/", "#", "?"])
def test_a_password_that_is_not_escaped_is_hidden_in_its_parts(
    monkeypatch: pytest.MonkeyPatch, sign: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://u:first-part{sign}second-part@h/db")
    monkeypatch.setenv("SALES_URL", f"postgresql://u:third-part{sign}fourth-part@h/db")
    Settings.load().key("SALES_URL")
    for part in ("first-part", "second-part", "third-part", "fourth-part"):
        assert hide_secrets(f"no host {part}@h") == "no host [key]@h"


def test_short_secrets_stay_where_only_long_ones_are_to_be_hidden() -> None:
    know_secret("postgres")
    know_secret("a-long-secret-key")
    text = hide_secrets("postgres has a-long-secret-key", shortest_chars=12)
    assert text == "postgres has [key]"


class TestTelling:
    def test_the_headers_for_a_collector_are_secret(self, monkeypatch: pytest.MonkeyPatch) -> None:
        headers = "x-tenant=a,authorization=Bearer%20planted5ecret-collector"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", headers)
        Settings.load()
        assert hide_secrets("sent planted5ecret-collector") == "sent [key]"

    def test_a_form_of_logs_that_is_not_there_is_told(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("POTLUCK_LOG_FORMAT", "xml")
        with pytest.raises(SettingError, match="POTLUCK_LOG_FORMAT"):
            Settings.load()

    def test_a_key_may_be_for_counting_alone(self) -> None:
        [key] = Settings(potluck_api_keys="prometheus:a-secret:metrics").api_keys  # type: ignore[arg-type]
        assert (key.name, key.role) == ("prometheus", "metrics")
