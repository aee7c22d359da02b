"""Where `potluck usage` reads, and what it says when it cannot."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from potluck.errors import PotluckError, StartError
from potluck.quota.report import total
from potluck.quota.report_form import QuotaReport
from potluck.server.turn import thread_id_of
from potluck.settings import Settings
from potluck.terminal import usage as module
from potluck.terminal.running import Running
from potluck.terminal.usage import Done, cancel, resume, usage

THREAD = "5f3c2f6e-0d3e-4a55-9f9f-0a1b2c3d4e5f"
REPORT = QuotaReport.model_validate(
    {
        "at": "2026-11-21T12:00:00Z",
        "providers": [],
        "today": total([]),
        "days": [],
        "parked": [],
        "missing": [],
    }
)

Answer = Callable[[httpx.Request], httpx.Response]
Serve = Callable[[Answer], list[httpx.Request]]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(potluck_home=tmp_path)


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Makes a server that answers so run; gives the list in which its requests appear."""

    def start(answer: Answer) -> list[httpx.Request]:
        seen: list[httpx.Request] = []

        def handle(request: httpx.Request) -> httpx.Response:
            seen.append(request)
            return answer(request)

        client = partial(httpx.Client, transport=httpx.MockTransport(handle))
        monkeypatch.setattr(module.httpx, "Client", client)
        running = Running("http://here", 1, SecretStr("secret"), "ann")
        monkeypatch.setattr(module, "find", lambda _: running)
        return seen

    return start


def test_a_running_server_is_asked_with_the_key(settings: Settings, serve: Serve) -> None:
    seen = serve(lambda _: httpx.Response(200, content=REPORT.model_dump_json()))
    assert usage(settings, days=7) == REPORT
    (request,) = seen
    assert str(request.url) == "http://here/quota?days=7"
    assert request.headers["x-api-key"] == "secret"


def test_without_a_server_the_database_is_read(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def read(given: Settings, days: int) -> QuotaReport:
        assert (given, days) == (settings, 3)
        return REPORT

    monkeypatch.setattr(module, "_read", read)
    assert usage(settings, days=3) == REPORT


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (httpx.Response(401, json={"detail": "A valid key is needed."}), "A valid key is needed."),
        (httpx.Response(500, text="oops"), "HTTP 500: oops"),
        (httpx.Response(404, json={"error": "not_found", "message": "no such thing"}), "no such"),
        (httpx.Response(200, json={"other": 1}), "another version"),
    ],
)
def test_what_the_server_says_instead_is_told(
    settings: Settings, serve: Serve, answer: httpx.Response, told: str
) -> None:
    serve(lambda _: answer)
    with pytest.raises(PotluckError, match="http://here") as caught:
        usage(settings)
    assert told in str(caught.value)


def test_a_server_that_breaks_off_is_named(settings: Settings, serve: Serve) -> None:
    def hang_up(_: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("cut")

    serve(hang_up)
    with pytest.raises(PotluckError, match="http://here does not answer"):
        usage(settings)


def test_a_parked_run_is_resumed_or_cancelled_on_the_server(
    settings: Settings, serve: Serve
) -> None:
    seen = serve(lambda _: httpx.Response(204))
    assert resume(settings, THREAD) == Done(THREAD, "resumed")
    # A name is that of the key's user
    mine = thread_id_of("my chat", "ann")
    assert cancel(settings, "my chat") == Done(mine, "cancelled")
    assert [(request.method, request.url.path) for request in seen] == [
        ("POST", f"/quota/parked/{THREAD}/resume"),
        ("DELETE", f"/quota/parked/{mine}"),
    ]


def test_without_a_server_nothing_can_be_resumed(settings: Settings) -> None:
    with pytest.raises(StartError, match="potluck serve"):
        resume(settings, THREAD)
