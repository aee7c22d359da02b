"""`potluck chat`: one question, or a conversation, with the agent."""

import asyncio
import sys
import uuid
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing

from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import NotFoundError
from rich.console import Console
from rich.text import Text

from potluck.errors import PotluckError
from potluck.server.approval_words import decide
from potluck.server.approvals import Approval, Resume, approved, pending_approvals
from potluck.server.parked_turn import pick_up, run_through
from potluck.server.thread_queue import ThreadBusyError
from potluck.server.turn import Asked, Part, RunError, Turn, run_errors, thread_id_of
from potluck.settings import Settings
from potluck.terminal.approvals import Interview, show_all
from potluck.terminal.running import Running, server
from potluck.terminal.screen import Screen

CONNECT_TIMEOUT_S = 5.0
NOT_FOUND = 404
# A turn may wait long for a model; Ctrl-C ends it.
TURN_TIMEOUT_S = 3600.0
LEAVE = frozenset({"/exit", "/quit", "exit", "quit"})
PROMPT = "you> "
# Exit code of a single question that waits for a person's approval
WAITS_FOR_APPROVAL = 4


def chat(settings: Settings, *, message: str | None, thread: str | None, url: str | None) -> int:
    """Answer `message`, or whatever is typed until the end of input; returns the exit code.

    Raises StartError when no server can be had, RunError when a single question fails;
    KeyboardInterrupt when it is cancelled.
    """
    out = Console(highlight=False)
    beside = Console(stderr=True, highlight=False)
    thread_id = thread_id_of(thread) if thread else str(uuid.uuid4())
    if message is None and not sys.stdin.isatty():
        message = sys.stdin.read()
    if message is not None and not message.strip():
        raise PotluckError("There is no message.", fix='Say: potluck chat "your question".')
    with server(settings, url, beside) as running:
        interview = Interview(beside, editor=settings.editor) if sys.stdin.isatty() else None
        conversation = _Conversation(running, thread_id, (out, beside), interview)
        try:
            if message is not None:
                if thread:
                    conversation.find_waiting()
                conversation.ask(message)
                return WAITS_FOR_APPROVAL if conversation.is_waiting else 0
            if thread:
                conversation.catch_up()
            conversation.go_on()
        finally:
            hint = f"Thread {thread_id}; go on with: potluck chat --thread {thread_id}"
            beside.print(Text(hint, style="dim"), soft_wrap=True)
    return 0


class _Conversation:
    """Turns on one thread of one server; without an interview nobody is there to approve."""

    def __init__(
        self,
        running: Running,
        thread_id: str,
        consoles: tuple[Console, Console],
        interview: Interview | None,
    ) -> None:
        self._running = running
        self._thread_id = thread_id
        self._out, self._beside = consoles
        self._interview = interview
        self._goes_on = False
        self._waiting: tuple[Approval, ...] = ()

    @property
    def is_waiting(self) -> bool:
        """Whether something waits for approval on the thread."""
        return bool(self._waiting)

    def ask(self, message: str) -> None:
        """One turn. Ctrl-C cancels it, here and on the server, and raises KeyboardInterrupt.

        A turn that waits for quota is left as it is: it goes on by itself. Where something waits
        for approval, the message is the answer to that.
        """
        if self._waiting:
            decisions = decide(message, self._waiting)
            self._tell(decisions)
            self._resume(decisions)
        else:
            said = {"role": "user", "content": message}
            turn = Turn([said], self._thread_id)
            asyncio.run(self._show(lambda client: run_through(client, turn)))
        self._interview_all()

    def find_waiting(self) -> None:
        """See what waits for approval on the thread."""
        self._waiting = asyncio.run(self._pending())

    def catch_up(self) -> None:
        """The last answer of the thread, once it is there; nothing on a new thread."""
        try:
            asyncio.run(self._show(lambda client: pick_up(client, self._thread_id)))
            self._interview_all()
        except KeyboardInterrupt:
            pass
        except RunError as error:
            if error.status != NOT_FOUND:
                raise

    def go_on(self) -> None:
        """Turn after turn; a failed or cancelled one does not end the conversation."""
        self._beside.print(Text("Ctrl-C stops an answer; Ctrl-D or /exit leaves.", style="dim"))
        for message in _typed():
            try:
                self.ask(message)
            except KeyboardInterrupt:
                if not self._goes_on:
                    self._beside.print(Text("Stopped.", style="yellow"))
            except RunError as error:
                self._beside.print(Text(str(error), style="red"))

    def _interview_all(self) -> None:
        """Ask about whatever waits until nothing does, or the person leaves it."""
        while self._waiting and self._interview is not None:
            decisions = self._interview.decide(self._waiting)
            if decisions is None:
                self._say("It waits for your approval; nothing was run.", "yellow")
                return
            self._resume(decisions)
        if self._waiting:
            show_all(self._waiting, self._beside)
            self._say("It waits for your approval: go on with its thread on a terminal.", "yellow")

    def _resume(self, decisions: Resume) -> None:
        turn = Turn(thread_id=self._thread_id, thread_exists=True, decisions=decisions)
        asyncio.run(self._show(lambda client: run_through(client, turn), is_resumed=True))

    def _tell(self, decisions: Resume) -> None:
        """Say that the message was taken as an answer, and as which."""
        allowed = [one.name for one in self._waiting if decisions[one.id] == approved()]
        refused = [one.name for one in self._waiting if decisions[one.id] != approved()]
        lines = (("Approved", allowed), ("Rejected", refused))
        told = "; ".join(f"{word}: {', '.join(names)}" for word, names in lines if names)
        self._say(f"{told}.", "dim")

    async def _pending(self) -> tuple[Approval, ...]:
        async with _connect(self._running) as client:
            with run_errors():
                try:
                    return await pending_approvals(client, self._thread_id)
                except (NotFoundError, ThreadBusyError):
                    return ()

    def _say(self, line: str, style: str) -> None:
        self._beside.print(Text(line, style=style), soft_wrap=True)

    async def _show(
        self,
        parts_from: Callable[[LangGraphClient], AsyncGenerator[Part]],
        *,
        is_resumed: bool = False,
    ) -> None:
        screen = Screen(self._out, self._beside, is_resumed=is_resumed)
        self._waiting = ()
        async with _connect(self._running) as client, aclosing(parts_from(client)) as parts:
            try:
                async for part in parts:
                    screen.show(part)
                    if isinstance(part, Asked):
                        self._waiting = part.approvals
            except asyncio.CancelledError:
                self._goes_on = screen.is_waiting
                if self._goes_on:
                    self._say_that_it_goes_on()
                raise
            finally:
                screen.end()

    def _say_that_it_goes_on(self) -> None:
        where = "when `potluck serve` runs" if self._running.is_own else "on the server"
        self._say(f"The work goes on by itself {where}.", "yellow")


def _connect(running: Running) -> LangGraphClient:
    return get_client(
        url=running.url,
        api_key=running.key.get_secret_value() if running.key else None,
        timeout=(CONNECT_TIMEOUT_S, TURN_TIMEOUT_S, TURN_TIMEOUT_S, CONNECT_TIMEOUT_S),
    )


def _typed() -> Iterator[str]:
    """What the user types, line by line, until the end of input or a word of leave."""
    while True:
        try:
            line = input(PROMPT).strip()
        except (EOFError, KeyboardInterrupt):
            sys.stdout.write("\n")
            return
        if line in LEAVE:
            return
        if line:
            yield line
