"""One run, told at every door: a plan with tools, a failover, an approval, and a wait for quota."""

import asyncio
import io
import re
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from langserve import RemoteRunnable
from openai import AsyncOpenAI
from rich.console import Console
from ruamel.yaml import YAML

from potluck.server.approvals import approved
from potluck.server.openai.progress import line_of, status_of
from potluck.server.parked_turn import run_through
from potluck.server.turn import Asked, Happened, Turn
from potluck.simulator.reply import Fault, Reply
from potluck.simulator.request import ModelRequest
from potluck.terminal.screen import Screen, lines_of
from tests.conftest import PotluckServer, afresh, serving
from tests.event_check import kinds_of
from tests.replies import out_of_quota

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

REQUEST = (
    "Multiply 17 by 23 with the calculator, then write the result into the file sum.txt, "
    "and then report what you did."
)
ANSWER = "17 times 23 is 391, and sum.txt says so."
BACK_S = 2.0
WAIT_S = 30.0
STEPS = [
    {"goal": "Multiply the numbers", "kind": "act", "needs": [], "done_when": ""},
    {"goal": "Write the file sum.txt", "kind": "act", "needs": [1], "done_when": ""},
]
# Until the run asks a person, and from their decision to its end
BEFORE = [
    "step", "step", "plan", "budget", "plan", "step", "step", "budget", "tool_call", "tool_result",
    "budget", "step", "budget", "plan", "step", "step", "failover", "budget", "approval_asked",
]  # fmt: skip
AFTER = [
    "approval_decided", "tool_call", "tool_result", "budget", "step", "budget", "plan", "step",
    "failover", "failover", "parked", "step", "answer_begun", "verdict", "answer_ended",
]  # fmt: skip
# What differs from run to run
CHANGING = re.compile(r"\d\d:\d\d(:\d\d)?|\b(?:box|spare)\b|[0-9a-f]{24,}")


@dataclass
class Model:
    """Plays the model, whichever is asked; its troubles strike once in each run of the script."""

    has_failed: bool = False
    has_run_out: set[str] = field(default_factory=set)

    def __call__(self, request: ModelRequest) -> Reply | None:
        results = len(request.tool_results)
        if request.tool("send_back"):
            return self._end(request)
        if request.tool("submit_plan"):
            return Reply.call("submit_plan", steps=STEPS)
        if request.tool("make_plan"):
            return Reply.call("make_plan", steps=STEPS)
        if STEPS[1]["goal"] in request.last_user_text.partition("this:")[2]:
            if not self.has_failed:
                self.has_failed = True
                return Reply(fault=Fault(status=500, body={"error": {"message": "broken"}}))
            written = Reply(text="The file sum.txt says 391.")
            return written if results else Reply.call("write_file", path="sum.txt", text="391")
        found = Reply(text="The product is 391.")
        return found if results else Reply.call("calculator", expression="17*23")

    def _end(self, request: ModelRequest) -> Reply:
        if len(self.has_run_out) < 2 and request.model not in self.has_run_out:
            self.has_run_out.add(request.model)
            return out_of_quota(BACK_S)
        return Reply(text=ANSWER)


@pytest.fixture(scope="module")
def shared_events_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PotluckServer]:
    config = tmp_path_factory.mktemp("events") / "config"
    config.mkdir()
    yaml = YAML()
    # The simulator knows no limits of them, so that none are learned.
    boxes = {
        name: {"base_url": "http://127.0.0.1:1/v1", "model": name} for name in ("box", "spare")
    }
    yaml.dump({"providers": boxes}, config / "providers.yaml")
    policy = {
        "parking": {"wait_limit_seconds": 3 * BACK_S},
        "waiting": {"interactive_seconds": 0, "background_seconds": 0},
        "optimization": {"enable_caching": False},
        "fallback": {"max_retries": 0},
    }
    yaml.dump(policy, config / "limits.yaml")
    (config / "tools.yaml").write_text("tools: {write_file: {policy: ask}}\n")
    with serving(config) as server:
        yield server


@pytest.fixture
def server(shared_events_server: PotluckServer) -> PotluckServer:
    afresh(shared_events_server).script.on(Model())
    return shared_events_server


@pytest.fixture
async def langgraph(server: PotluckServer) -> AsyncIterator[LangGraphClient]:
    async with get_client(url=server.url) as client:
        yield client


async def custom(stream: Any) -> list[Any]:
    return [part.data async for part in stream if part.event == "custom"]


async def next_run(client: LangGraphClient, thread_id: str, after: str) -> str:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        newest = (await client.runs.list(thread_id, limit=1))[0]["run_id"]
        if newest != after:
            return str(newest)
        await asyncio.sleep(0.05)
    raise AssertionError("the parked run did not go on")


async def over_langgraph(client: LangGraphClient) -> tuple[list[Any], list[Any]]:
    """The events of the turn that asks, and of that which goes on with the decision."""
    thread_id = (await client.threads.create())["thread_id"]
    asked: Any = {"messages": [{"role": "user", "content": REQUEST}]}
    first = await custom(
        client.runs.stream(thread_id, "agent", input=asked, stream_mode=["custom"])
    )
    resume: Any = {"resume": approved()}
    second = await custom(
        client.runs.stream(thread_id, "agent", command=resume, stream_mode=["custom"])
    )
    parked = (await client.runs.list(thread_id, limit=1))[0]["run_id"]
    run_id = await next_run(client, thread_id, parked)
    second += await custom(
        client.runs.join_stream(
            thread_id, run_id, stream_mode=["custom"], last_event_id=f"{run_id}_event_0"
        )
    )
    return first, second


@dataclass(frozen=True)
class Told:
    """The events of the two turns."""

    before: list[Any]
    after: list[Any]

    @property
    def lines(self) -> str:
        """As the OpenAI doors tell them."""
        return shared("".join(map(line_of, [*self.before, *self.after])))

    @property
    def statuses(self) -> list[str]:
        """As Open WebUI is told, none twice in a row."""
        statuses: list[str] = []
        for turn in (self.before, self.after):
            said = [text for text in map(status_of, turn) if text]
            statuses += [text for last, text in pairwise(["", *said]) if text != last]
        return [shared(text) for text in statuses]


_kept: list[Told] = []


@pytest.fixture
async def told(server: PotluckServer, langgraph: LangGraphClient) -> Told:
    """What the LangGraph API tells; asked once for all tests."""
    if not _kept:
        _kept.append(Told(*await over_langgraph(langgraph)))
        afresh(server).script.on(Model())
    return _kept[0]


def shared(text: str) -> str:
    """What a text has in common with that of another run."""
    return CHANGING.sub("#", text)


async def test_the_langgraph_api_tells_the_events_as_they_are(told: Told) -> None:
    assert kinds_of(told.before) == BEFORE
    assert kinds_of(told.after) == AFTER


async def test_what_belongs_together_bears_one_id(told: Told) -> None:
    of_step = {e["id"]: e["step_id"] for e in told.before if e["type"] == "tool_call"}
    assert list(of_step.values()) == [1]
    asked, decided = told.before[-1], told.after[0]
    assert asked["id"] == decided["id"] == told.after[1]["id"] == told.after[2]["id"]
    assert asked["step_id"] == told.after[1]["step_id"] == 2
    begun, ended = (e for e in told.after if e["type"].startswith("answer_"))
    assert begun["id"] == ended["id"]
    assert ended["is_final"]
    assert ended["model"].partition("/")[0] in {"box", "spare"}


async def test_langserve_tells_the_same(server: PotluckServer, told: Told) -> None:
    agent: RemoteRunnable[Any, Any] = RemoteRunnable(f"{server.url}/agent")
    config: Any = {"configurable": {"thread_id": str(uuid.uuid4())}}

    async def events_of(given: Any) -> list[Any]:
        events = [event async for event in agent.astream_events(given, config)]
        found = [event for event in events if event["event"] == "on_custom_event"]
        assert all(event["name"] == event["data"]["type"] for event in found)
        return [event["data"] for event in found]

    assert kinds_of(await events_of(REQUEST)) == kinds_of(told.before)
    decisions = {"decisions": [{"type": "approve"}]}
    assert kinds_of(await events_of(decisions)) == kinds_of(told.after)


async def test_the_terminal_tells_the_same(langgraph: LangGraphClient, told: Told) -> None:
    thread_id = str(uuid.uuid4())

    async def show(turn: Turn) -> tuple[list[Any], str, Asked | None]:
        beside = io.StringIO()
        screen = Screen(Console(file=io.StringIO()), Console(file=beside))
        events: list[Any] = []
        asked = None
        async for part in run_through(langgraph, turn, wait_limit_s=WAIT_S):
            screen.show(part)
            if isinstance(part, Happened):
                events.append(part.event)
            if isinstance(part, Asked):
                asked = part
        screen.end()
        return events, beside.getvalue(), asked

    events, text, asked = await show(Turn([{"role": "user", "content": REQUEST}], thread_id))
    assert kinds_of(events) == kinds_of(told.before)
    assert asked is not None
    decided = {one.id: approved() for one in asked.approvals}
    more, more_text, _ = await show(Turn((), thread_id, decisions=decided))
    assert kinds_of(more) == kinds_of(told.after)
    missed = [
        line
        for event in [*events, *more]
        for line in lines_of(event)
        if line not in text + more_text
    ]
    assert missed == []


async def test_chat_completions_tell_the_same(openai: AsyncOpenAI, told: Told) -> None:
    headers = {"X-OpenWebUI-Chat-Id": str(uuid.uuid4())}
    history: list[Any] = []
    thoughts = ""
    statuses: list[Any] = []
    answer = ""
    for message in (REQUEST, "yes"):
        history.append({"role": "user", "content": message})
        stream = await openai.chat.completions.create(
            model="potluck", messages=history, stream=True, extra_headers=headers
        )
        answer = ""
        async for chunk in stream:
            delta: Any = chunk.choices[0].delta
            thoughts += getattr(delta, "reasoning_content", None) or ""
            answer += delta.content or ""
            event = getattr(chunk, "event", None)
            if event is not None and event["type"] == "status" and not event["data"]["done"]:
                statuses.append(shared(event["data"]["description"]))
        history.append({"role": "assistant", "content": answer})
    assert answer == ANSWER
    assert shared(thoughts) == told.lines
    assert statuses == told.statuses


async def test_responses_tell_the_same(openai: AsyncOpenAI, told: Told) -> None:
    thoughts = ""
    answer = ""
    more: dict[str, Any] = {}
    for message in (REQUEST, "yes"):
        stream = await openai.responses.create(model="potluck", input=message, stream=True, **more)
        async for event in stream:
            if event.type == "response.reasoning_summary_text.delta":
                thoughts += event.delta
            if event.type == "response.completed":
                more = {"previous_response_id": event.response.id}
                answer = event.response.output_text
    assert answer == ANSWER
    assert shared(thoughts) == told.lines
