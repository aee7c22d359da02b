from datetime import UTC, datetime

import pytest

from potluck.simulator.log import Exchange, RequestLog


def exchange(provider: str = "groq") -> Exchange:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    return Exchange(at=now, provider=provider, method="GET", path="/v1/models", headers={})


def test_keeps_the_latest_only() -> None:
    log = RequestLog(keep=2)
    for provider in ("a", "b", "c"):
        log.add(exchange(provider))
    assert [one.provider for one in log] == ["b", "c"]
    assert log.last.provider == "c"
    assert [one.provider for one in log.exchanges("b")] == ["b"]
    assert log.requests() == []


def test_waits_for_as_many_as_asked() -> None:
    log = RequestLog()
    assert not log.wait_for(1, timeout_s=0.01)
    log.add(exchange())
    assert log.wait_for(1, timeout_s=0.01)
    log.clear()
    with pytest.raises(IndexError):
        _ = log.last
