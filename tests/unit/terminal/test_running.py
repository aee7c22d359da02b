"""Which server the terminal talks to, and with which key."""

import io
import json
import os
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from rich.console import Console

from potluck.errors import StartError
from potluck.server.address import server_file
from potluck.settings import Settings
from potluck.terminal import running as module
from potluck.terminal.running import Running, find, server


def settings_with(folder: Path, *keys: str) -> Settings:
    return Settings(potluck_home=folder, potluck_api_keys=tuple(map(SecretStr, keys)))


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str | None, bool]]:
    """The address, key and trust in the environment of each probe; a server answers them all."""
    seen: list[tuple[str, str | None, bool]] = []

    def get(
        url: str, *, headers: dict[str, str], timeout: float, trust_env: bool
    ) -> httpx.Response:
        assert timeout > 0
        seen.append((url, headers.get("X-Api-Key"), trust_env))
        return httpx.Response(200)

    monkeypatch.setattr(module.httpx, "get", get)
    written = {"url": "http://127.0.0.1:5", "pid": os.getpid()}
    server_file(tmp_path).write_text(json.dumps(written))
    return seen


def test_a_proxy_of_the_environment_does_not_stand_before_it(
    tmp_path: Path, asked: list[tuple[str, str | None, bool]]
) -> None:
    assert find(settings_with(tmp_path)) == Running("http://127.0.0.1:5", os.getpid())
    assert asked == [("http://127.0.0.1:5/info", None, False)]


def test_the_first_key_that_may_ask_is_used(
    tmp_path: Path, asked: list[tuple[str, str | None, bool]]
) -> None:
    found = find(settings_with(tmp_path, "prom:one:metrics", "ann:two:admin", "bob:three"))
    assert asked[0][1] == "two"
    assert found is not None
    assert found.owner == "ann"


@pytest.mark.parametrize(
    ("key", "owner"),
    [("ann:secret", "ann"), ("a.b:secret", "a~2Eb"), ("secret", "key-2bb80d537b1d")],
)
def test_names_of_threads_are_those_of_the_keys_user(
    tmp_path: Path, asked: list[tuple[str, str | None, bool]], key: str, owner: str
) -> None:
    found = find(settings_with(tmp_path, key))
    assert found is not None
    assert found.owner == owner
    assert asked[0][1] == "secret"


@pytest.mark.parametrize(
    ("status", "keys", "told"),
    [
        (401, (), "asks for a key. Put one that it takes first into POTLUCK_API_KEYS."),
        (401, ("ann:old",), "does not take the key. Put one"),
        (403, ("counter:x:metrics",), "asks for a key. Put one"),
        (503, (), "answers HTTP 503. Look at its log."),
        (429, ("ann:a",), "answers HTTP 429. Too many requests: wait a minute."),
    ],
)
def test_a_server_that_lets_nobody_in_is_not_taken_for_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, keys: tuple[str, ...], told: str
) -> None:
    server_file(tmp_path).write_text(json.dumps({"url": "http://here", "pid": os.getpid()}))
    monkeypatch.setattr(module.httpx, "get", lambda *_, **__: httpx.Response(status))
    with pytest.raises(StartError) as caught:
        find(settings_with(tmp_path, *keys))
    assert told in str(caught.value)
    assert "http://here" in str(caught.value)


def test_one_that_does_not_answer_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise httpx.ConnectError("no")

    server_file(tmp_path).write_text(json.dumps({"url": "http://here", "pid": os.getpid()}))
    monkeypatch.setattr(module.httpx, "get", fail)
    assert find(settings_with(tmp_path)) is None


def test_without_keys_all_are_one() -> None:
    assert Running("http://x").owner == ""


@pytest.mark.parametrize(
    ("given", "meant"),
    [("localhost:9/", "http://localhost:9"), ("https://far", "https://far")],
)
def test_an_address_may_be_given_without_its_scheme(
    tmp_path: Path, asked: list[tuple[str, str | None, bool]], given: str, meant: str
) -> None:
    with server(settings_with(tmp_path), given, Console(file=io.StringIO())) as running:
        assert running.url == meant
    assert asked[0][0] == f"{meant}/info"


@pytest.mark.parametrize("address", ["http://[::1", "ftp://x"])
def test_what_is_no_address_is_told(tmp_path: Path, address: str) -> None:
    with (
        pytest.raises(StartError, match="No Potluck server answers at"),
        server(settings_with(tmp_path), address, Console(file=io.StringIO())),
    ):
        pass
