"""What a caller of the LangServe door is told when something goes wrong."""

import json
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

import pytest

from potluck.errors import (
    ChainError,
    ErrorKind,
    ErrorScope,
    PotluckError,
    ProviderError,
    ProviderFault,
)
from potluck.server.langserve_batch import BatchError
from potluck.server.langserve_decisions import DecisionError
from potluck.server.langserve_failures import Failure, InputError, SseEvent, explained, mistakes
from potluck.server.thread_queue import ThreadBusyError
from potluck.server.turn import RunError

SOON = datetime.now(UTC) + timedelta(hours=1)


def chain_error(kind: ErrorKind, until: datetime | None = None) -> ChainError:
    fault = ProviderFault(kind, ErrorScope.MODEL, "no", until)
    return ChainError([ProviderError("groq", "x", fault)])


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InputError("Too much.", status=413), 413),
        (RunError("No.", status=400), 400),
        (chain_error(ErrorKind.MINUTE, SOON), 429),
        (chain_error(ErrorKind.CALLER), 400),
        (chain_error(ErrorKind.NETWORK), 502),
        (DecisionError("No."), 422),
        (ThreadBusyError("No."), 409),
        (PotluckError("No."), 500),
        (BatchError(3, RunError("No.", status=400)), 400),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_error_has_its_status_and_says_why(error: PotluckError, status: int) -> None:
    response = Failure.of(error).response
    assert response.status_code == status
    told = json.loads(bytes(response.body))["detail"]
    assert str(error) in (told if isinstance(told, str) else told["message"])
    event = json.loads(Failure.of(error).event["data"])
    assert (event["status_code"], event["message"]) == (status, str(error))


@pytest.mark.parametrize(
    "error",
    [
        RunError("Out.", status=429, back_at=SOON),
        chain_error(ErrorKind.DAY, SOON),
        BatchError(0, chain_error(ErrorKind.DAY, SOON)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_used_up_quota_says_when_it_is_back(error: PotluckError) -> None:
    failure = Failure.of(error)
    assert 3000 < int(failure.response.headers["retry-after"]) <= 3601
    assert json.loads(failure.event["data"])["resume_at"] == SOON.isoformat(timespec="seconds")


def test_what_was_sent_is_not_sent_back() -> None:
    wrong = {"type": "t", "loc": ("a",), "msg": "m", "input": "secret", "ctx": {}, "url": "u"}
    body = json.loads(bytes(mistakes([wrong]).body))
    assert body == {"detail": [{"type": "t", "loc": ["a"], "msg": "m"}]}


async def events(error: Exception | None) -> AsyncGenerator[SseEvent]:
    """As LangServe sends them: its own error comes before it raises the real one."""
    yield {"event": "data", "data": "1"}
    if error is not None:
        yield {"event": "error", "data": "Internal Server Error"}
        raise error
    yield {"event": "end"}


async def test_a_stream_that_went_well_stays_as_it_is() -> None:
    kinds = [event["event"] async for event in explained(events(None))]
    assert kinds == ["data", "end"]


async def test_a_stream_that_fails_says_why() -> None:
    told = [event async for event in explained(events(RunError("No luck.", status=502)))]
    assert [event["event"] for event in told] == ["data", "error"]
    assert json.loads(told[1]["data"]) == {"status_code": 502, "message": "No luck."}


async def test_a_defect_is_told_without_its_words_and_raised_for_the_log() -> None:
    told: list[SseEvent] = []

    async def read() -> None:
        async for event in explained(events(ZeroDivisionError("secret"))):
            told.append(event)  # noqa: PERF401 - what came before it raised counts

    with pytest.raises(ZeroDivisionError):
        await read()
    assert json.loads(told[-1]["data"])["status_code"] == 500
    assert "secret" not in told[-1]["data"]
