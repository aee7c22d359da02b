"""A run that fails says why, at every door."""

from typing import Any

import httpx
import pytest
from langserve import RemoteRunnable

from potluck.simulator.reply import Fault, Reply

pytestmark = pytest.mark.integration

WHY = "tools.3.custom is not a valid field"


@pytest.fixture
def refusing(troubled_server: Any) -> Any:
    """Every provider says that the request itself is wrong."""
    body = {"error": {"message": WHY, "type": "invalid_request_error", "code": 400}}
    troubled_server.simulator.script.on(Reply(fault=Fault(status=400, body=body)))
    return troubled_server


def test_openai_door_answers_400_with_the_providers_words(refusing: Any) -> None:
    body = {"model": "potluck", "messages": [{"role": "user", "content": "hi"}]}
    answer = httpx.post(f"{refusing.url}/v1/chat/completions", json=body, timeout=30)
    assert answer.status_code == 400
    assert WHY in answer.json()["error"]["message"]
    asked = {exchange.provider for exchange in refusing.simulator.log}
    assert len(refusing.simulator.log) == len(asked) == 2, "one more is asked, and then no other"


def test_langserve_says_it_too(refusing: Any) -> None:
    with pytest.raises(httpx.HTTPStatusError, match=WHY):
        RemoteRunnable(f"{refusing.url}/agent").invoke("hi")
