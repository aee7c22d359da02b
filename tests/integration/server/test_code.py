"""Code that a model writes, run through a real server: live output, files, state, cancelling."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from typing import Any

import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from potluck.simulator.reply import Reply

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def bubblewrap() -> None:
    if shutil.which("bwrap") is None:
        if os.environ.get("POTLUCK_TEST_REQUIRE_ALL") == "1":
            pytest.fail("bubblewrap is needed, and not installed")
        pytest.skip("bubblewrap is not installed")


@pytest.fixture
async def client(server: Any) -> AsyncIterator[LangGraphClient]:
    async with get_client(url=server.url) as connected:
        yield connected


async def turn(
    client: LangGraphClient, thread_id: str, server: Any, tool: str, **args: object
) -> list[Any]:
    """A turn in which the model calls `tool` once; its custom events."""
    server.simulator.script.clear()
    server.simulator.script.on(Reply.call(tool, **args), results=0)
    server.simulator.script.on(Reply(text="Done."), last_tool=tool)
    given: Any = {"messages": [{"role": "user", "content": f"run {args}"}]}
    stream = client.runs.stream(thread_id, "agent", input=given, stream_mode="custom")
    return [part.data async for part in stream if part.event == "custom"]


def result(events: list[Any]) -> str:
    return str(next(event["text"] for event in events if event["type"] == "tool_result"))


async def test_variables_and_files_are_kept_between_turns(
    client: LangGraphClient, server: Any
) -> None:
    thread_id = str((await client.threads.create())["thread_id"])

    events = await turn(
        client, thread_id, server, "python",
        code="x = 6 * 7\nprint('counting')\nopen('x.txt', 'w').write(str(x))",
    )  # fmt: skip
    live = [event["text"] for event in events if event["type"] == "tool_output"]
    assert "counting" in "".join(live)

    assert "42" in result(await turn(client, thread_id, server, "python", code="x"))
    assert "42" in result(await turn(client, thread_id, server, "shell", command="cat x.txt"))
    assert "42" in result(await turn(client, thread_id, server, "read_file", path="x.txt"))


async def test_no_key_and_no_file_of_the_servers_is_seen(
    client: LangGraphClient, server: Any
) -> None:
    thread_id = str((await client.threads.create())["thread_id"])
    look = f"env; ls -a {server.home}; cat {server.home}/server.json; id -u"
    text = result(await turn(client, thread_id, server, "shell", command=look))
    assert "API_KEY" not in text
    assert "DATABASE_URL" not in text
    assert server.url not in text
    assert "No such file" in text
    assert text.strip().splitlines()[-1] != "0"


async def test_a_deleted_threads_code_is_ended(client: LangGraphClient, server: Any) -> None:
    thread_id = str((await client.threads.create())["thread_id"])
    await turn(client, thread_id, server, "python", code="x = 1")
    folder = server.home / "workspaces" / thread_id
    assert await asyncio.to_thread(folder.exists)
    await client.threads.delete(thread_id)
    assert not await asyncio.to_thread(folder.exists)
