"""The settings of this process; the only module that reads the environment and .env."""

import json
import os
import re
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast
from urllib.parse import quote, quote_plus, unquote

import platformdirs
from dotenv import dotenv_values
from pydantic import AnyHttpUrl, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from potluck.errors import SettingError

PROJECT_DIR = Path(__file__).resolve().parent.parent


PROGRAM_VARIABLE = "POTLUCK_SANDBOX_PROGRAM"
_PLAIN = frozenset(
    {"PATH", "HOME", "LANG", "TMPDIR", "USER", "LOGNAME", "SHELL", "SYSTEMROOT"}
    | {"POTLUCK_ENV_FILE", "POTLUCK_HOME"}
)
_KEY = re.compile(r"[!-9;-~]+(:[!-9;-~]+(:(user|admin|metrics))?)?")
SHORTEST_SECRET_CHARS = 6
"""What is shorter stands in texts by chance."""
_known: set[str] = set()
_PASSWORD = re.compile(r"://[^:/@]*:(.*)@")
_ORIGIN = re.compile(r"https?://[^/?#\s*]+")
_TAKEN_NAMES = frozenset({"anonymous", "system"})
STUDIO_ORIGIN = "https://smith.langchain.com"


def _default_home() -> Path:
    # As root, PostgreSQL runs as a user of its own that must be able to reach the folder;
    # /root is closed to it, and opening /root would be worse.
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/potluck")
    return Path(platformdirs.user_data_dir("potluck", appauthor=False))


KeyRole = Literal["user", "admin", "metrics"]


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One of POTLUCK_API_KEYS; one without a name is known by its secret alone."""

    name: str
    secret: SecretStr
    role: KeyRole = "user"


class Settings(BaseSettings):
    """Potluck's settings, frozen; each field is the environment variable of the same name.

    Sources, first wins: environment, `.env` in the project folder, default.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    potluck_home: Path = Field(default_factory=_default_home)
    potluck_config_dir: Path = PROJECT_DIR / "config"
    potluck_env_file: Path = PROJECT_DIR / ".env"
    potluck_simulator: AnyHttpUrl | None = None
    potluck_api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    potluck_openwebui_jwt_secret: SecretStr | None = None
    potluck_requests_per_minute: int = Field(default=0, ge=0)
    potluck_cors_origins: Annotated[tuple[str, ...], NoDecode] = (STUDIO_ORIGIN,)
    forwarded_allow_ips: str | None = None
    potluck_log_level: str = "warning"
    potluck_log_format: Literal["text", "json"] = "text"
    potluck_trace_contents: bool = False
    potluck_sandbox: Literal["auto", "host", "off"] = "auto"
    potluck_sandbox_python: Path | None = None
    potluck_sandbox_network: bool = False
    potluck_sandbox_memory_mb: int = Field(default=1024, ge=256)
    potluck_sandbox_disk_mb: int = Field(default=1024, ge=16)
    potluck_sandbox_timeout_s: float = Field(default=300.0, gt=0, le=3600)
    database_url: SecretStr | None = None
    redis_url: SecretStr | None = None
    otel_exporter_otlp_endpoint: AnyHttpUrl | None = None
    otel_exporter_otlp_headers: SecretStr | None = None
    otel_service_name: str = "potluck"

    @field_validator("potluck_home", "potluck_config_dir", "potluck_env_file")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().resolve()

    @field_validator("potluck_sandbox_python")
    @classmethod
    def _an_executable(cls, value: Path | None) -> Path | None:
        # Not resolved: a virtual environment is known by the place of its link
        program = value.expanduser().absolute() if value is not None else None
        if program is not None and not program.is_file():
            raise ValueError("must be the path of a Python, such as /opt/analysis/bin/python")
        return program

    @field_validator("potluck_api_keys", mode="before")
    @classmethod
    def _split_keys(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        keys = tuple(key.strip() for key in value.split(",") if key.strip())
        if any(_KEY.fullmatch(key) is None for key in keys):
            raise ValueError(
                "must be name:secret or name:secret:role (user, admin or metrics), separated by "
                "commas, in printable ASCII without spaces or further colons"
            )
        if any(key.partition(":")[0] in _TAKEN_NAMES and ":" in key for key in keys):
            raise ValueError(f"must not use the names {' and '.join(sorted(_TAKEN_NAMES))}")
        secrets = [_api_key(key).secret.get_secret_value() for key in keys]
        if len(set(secrets)) < len(secrets):
            raise ValueError("must not hold a secret twice: nobody could tell whose it is")
        return keys

    @field_validator("potluck_cors_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        origins = tuple(one.strip().rstrip("/") for one in value.split(",") if one.strip())
        if any(_ORIGIN.fullmatch(one) is None for one in origins):
            raise ValueError(
                "must be origins such as https://chat.example.com, separated by commas"
            )
        return origins

    @field_validator("potluck_log_level")
    @classmethod
    def _known_level(cls, value: str) -> str:
        level = value.strip().lower()
        if level not in {"debug", "info", "warning", "error", "critical"}:
            raise ValueError("must be one of debug, info, warning, error, critical")
        return level

    @field_validator("database_url")
    @classmethod
    def _postgres_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith("postgres"):
            raise ValueError("must begin with postgresql://")
        return value

    @classmethod
    def load(cls) -> Self:
        """Read the settings. Raises SettingError that names each wrong variable and the fix."""
        file = env_file()
        _refuse_unreadable(file)
        # pydantic-settings takes the file as an argument that its types do not declare
        extra: dict[str, Any] = {"_env_file": file, "potluck_env_file": file}
        try:
            loaded = cls(**extra)
        except ValidationError as error:
            wrong = "; ".join(
                f"{str(item['loc'][0]).upper()} {item['msg'].removeprefix('Value error, ')}"
                for item in error.errors()
            )
            raise SettingError(
                f"A setting cannot be used: {wrong}.",
                fix=f"Mend it in the environment or in {file}.",
            ) from error
        _remember(loaded)
        return loaded

    @cached_property
    def _file_values(self) -> dict[str, str | None]:
        return dotenv_values(self.potluck_env_file) if self.potluck_env_file.is_file() else {}

    @property
    def api_keys(self) -> tuple[ApiKey, ...]:
        """POTLUCK_API_KEYS, each written `name:secret[:role]` or as a bare secret."""
        return tuple(_api_key(key.get_secret_value()) for key in self.potluck_api_keys)

    @property
    def api_secrets(self) -> tuple[SecretStr, ...]:
        """The secrets of POTLUCK_API_KEYS."""
        return tuple(key.secret for key in self.api_keys)

    @property
    def plain_environment(self) -> dict[str, str]:
        """What a program started by us may know: where things are, and no key."""
        return {
            name: value
            for name, value in os.environ.items()
            if name in _PLAIN or name.startswith("POTLUCK_SANDBOX")
        }

    @property
    def editor(self) -> str | None:
        """The command of the user's text editor, if one is set."""
        return os.environ.get("VISUAL") or os.environ.get("EDITOR") or None

    @property
    def picture_protocol(self) -> Literal["kitty", "iterm"] | None:
        """How the user's terminal shows pictures, if it says that it can."""
        name, program = os.environ.get("TERM", ""), os.environ.get("TERM_PROGRAM", "")
        if name.startswith(("screen", "tmux")) or program == "tmux":
            return None
        if name in {"xterm-kitty", "xterm-ghostty"} or program == "ghostty":
            return "kitty"
        return "iterm" if program in {"iTerm.app", "WezTerm"} else None

    def key(self, name: str) -> SecretStr | None:
        """The provider key in the variable `name`, or None when unset or blank."""
        value = (os.environ.get(name) or self._file_values.get(name) or "").strip()
        know_secret(value)
        _know_password(value)
        return SecretStr(value) if value else None


def know_secret(secret: str) -> None:
    """Have `hide_secrets` hide it from now on, also as it stands in URLs, JSON and Python."""
    if len(secret) >= SHORTEST_SECRET_CHARS:
        in_urls = (quote(secret, safe=""), quote(secret), quote_plus(secret))
        in_json = (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
        _known.update((secret, *in_urls, *in_json, repr(secret)[1:-1]))


def _know_password(url: str) -> None:
    """That of a URL, and its parts: one that is not escaped is cut up by whoever reads it."""
    found = _PASSWORD.search(url)
    for part in (found[1], *re.split(r"[@/?#:]", found[1])) if found else ():
        know_secret(part)
        know_secret(unquote(part))


def hide_secrets(text: str, *, shortest_chars: int = SHORTEST_SECRET_CHARS) -> str:
    """The text without any key, secret or password of that length that this process has read."""
    for secret in sorted(_known, key=len, reverse=True):
        if len(secret) >= shortest_chars:
            text = text.replace(secret, "[key]")
    return text


def _remember(settings: Settings) -> None:
    for url in filter(None, (settings.database_url, settings.redis_url)):
        _know_password(url.get_secret_value())
    secrets = (*settings.api_secrets, settings.potluck_openwebui_jwt_secret)
    for secret in filter(None, secrets):
        know_secret(secret.get_secret_value())
    if settings.otel_exporter_otlp_headers is not None:
        for header in settings.otel_exporter_otlp_headers.get_secret_value().split(","):
            know_secret(unquote(header.partition("=")[2].strip()).rpartition(" ")[2])


def program_to_enter() -> str:
    """What potluck.sandbox.enter is to start, as its parent process wrote it down."""
    return os.environ[PROGRAM_VARIABLE]


def env_file() -> Path:
    """The file that settings and keys are read from: POTLUCK_ENV_FILE, or .env in the project."""
    return Path(os.environ.get("POTLUCK_ENV_FILE") or PROJECT_DIR / ".env").expanduser().resolve()


def _api_key(written: str) -> ApiKey:
    parts = written.split(":")
    if len(parts) == 1:
        return ApiKey("", SecretStr(written))
    role = cast("KeyRole", parts[2]) if parts[2:] else "user"
    return ApiKey(parts[0], SecretStr(parts[1]), role)


def _refuse_unreadable(file: Path) -> None:
    try:
        if file.exists():
            file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(
            f"The settings file {file} cannot be read: {error}.",
            fix="Save it as plain text in UTF-8, readable by you.",
        ) from error


def create_env_file() -> bool:
    """Copy `.env.example` to `.env` unless there is one. True if it was made now.

    Raises SettingError when it cannot be made.
    """
    file = env_file()
    if file.exists():
        return False
    try:
        shutil.copyfile(PROJECT_DIR / ".env.example", file)
        file.chmod(0o600)
    except OSError as error:
        raise SettingError(
            f"The settings file {file} cannot be made: {error.strerror}.",
            fix="Set POTLUCK_ENV_FILE to a file in a folder that you can write.",
        ) from error
    return True
