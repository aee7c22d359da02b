"""How a reply begins: the thread as it is found, and what the run on it is given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from langchain_core.messages import HumanMessage
from langgraph_sdk.errors import NotFoundError

from potluck.server.approvals import Resume
from potluck.server.openai import request as wire
from potluck.server.openai.caller import Chat
from potluck.server.openai.forks import History, State
from potluck.server.openai.likeness import clean
from potluck.server.openai.transcript import CONTINUE, to_langchain
from potluck.server.turn import Wire


class Threads(History, Protocol):
    """What is needed of the LangGraph API's threads (`LangGraphClient.threads`)."""

    async def create(
        self, *, metadata: Any = None, thread_id: str | None = None, if_exists: Any = None
    ) -> Any:
        """Make a thread, or hand over the one that is there."""

    async def get(self, thread_id: str) -> Any:
        """A thread, with its metadata. Raises NotFoundError when there is none."""

    async def get_state(self, thread_id: str) -> Any:
        """The state of a thread. Raises NotFoundError when there is none."""


@dataclass(frozen=True, slots=True)
class Opening:
    """How a reply begins: what the run is given, and what the client has not seen yet.

    Without messages nothing is asked: what is under way or unseen is all that is wanted.
    """

    messages: Sequence[Wire]
    unseen: str = ""
    is_busy: bool = False
    """A run that the client waits for is under way, parked, or has just ended on the thread."""
    is_apart: bool = False
    """Client and thread do not say the same, and what was shown is to be kept."""
    decisions: Resume = field(default_factory=dict)
    """The last message was the answer to what waited for approval: the run goes on with these."""
    checkpoint_id: str | None = None
    """Where in the thread's past the run begins, if not at its end."""
    marks: Mapping[str, str] = field(default_factory=dict)
    """By which the run's checkpoints are found again."""


async def known_state(threads: Threads, chat: Chat, *, continued: bool) -> State:
    """The state of the chat's thread, which is made if need be: mostly in one round trip."""
    if continued:
        try:
            return cast("State", await threads.get_state(chat.thread_id))
        except NotFoundError:
            pass
    thread = await threads.create(
        thread_id=chat.thread_id, metadata=dict(chat.metadata), if_exists="do_nothing"
    )
    if thread["created_at"] == thread["updated_at"]:
        return {}
    return cast("State", await threads.get_state(chat.thread_id))


def sent(messages: Sequence[wire.Message]) -> list[Wire]:
    """The messages as the run takes them, ending with something to answer."""
    made = to_langchain(clean(messages), vision=True)
    if not made or made[-1].type == "ai":
        # A client may ask to go on with the last answer.
        made = [*made, HumanMessage(CONTINUE)]
    return [
        {"type": message.type, **message.model_dump(mode="json", exclude_defaults=True)}
        for message in made
    ]
