"""Which tools models are offered, and what config/tools.yaml sets up for them."""

from pathlib import Path

import pytest

from potluck.errors import ConfigError
from potluck.settings import Settings
from tools.toolbox import Toolbox, load_toolbox


def load(tmp_path: Path, text: str, env: str = "") -> Toolbox:
    (tmp_path / "tools.yaml").write_text(text)
    (tmp_path / ".env").write_text(env)
    return load_toolbox(Settings(potluck_config_dir=tmp_path, potluck_env_file=tmp_path / ".env"))


def offered(toolbox: Toolbox) -> set[str]:
    return {tool.name for tool in toolbox.offered}


def test_a_tool_that_is_denied_for_every_call_is_not_offered(tmp_path: Path) -> None:
    assert "calculator" in offered(load(tmp_path, ""))
    assert "calculator" not in offered(load(tmp_path, "tools: {calculator: deny}"))


def test_a_tool_that_some_calls_may_use_is_offered(tmp_path: Path) -> None:
    text = "tools: {read_file: {policy: deny, allow: [{path: '*.md'}]}}"
    assert "read_file" in offered(load(tmp_path, text))


def test_changing_databases_is_offered_when_one_may_be_changed(tmp_path: Path) -> None:
    assert "change_database" not in offered(load(tmp_path, "databases: {a: {file: a.db}}"))
    writable = load(tmp_path, "databases: {a: {file: a.db, write: true}}")
    assert "change_database" in offered(writable)
    call = {"name": "change_database", "args": {}, "id": "1", "type": "tool_call"}
    assert writable.rule(call).policy == "ask"  # type: ignore[arg-type] # a ToolCall


def test_databases_take_their_address_from_the_environment(tmp_path: Path) -> None:
    text = "databases: {shop: {url_env: SHOP_URL}}"
    toolbox = load(tmp_path, text, "SHOP_URL=postgresql://reader@db/shop")
    url = toolbox.options.databases["shop"].url
    assert url is not None
    assert url.get_secret_value() == "postgresql://reader@db/shop"
    with pytest.raises(ConfigError, match="SHOP_URL"):
        load(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("databases: {a: {}}", "either url_env or file"),
        ("databases: {a: {file: a.db, url_env: B}}", "either url_env or file"),
        ("web: {allow_networks: [home]}", "home"),
        ("web: {searxng_url: 'localhost:8080'}", "https://"),
        ("web: {allow_portz: [1]}", "Did you mean `allow_ports`"),
    ],
)
def test_a_slip_stops_the_start_with_its_place(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=r"tools\.yaml:1") as caught:
        load(tmp_path, text)
    assert says in str(caught.value)
