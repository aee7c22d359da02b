"""Turns with the agent on one thread of one server."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import httpx
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import NotFoundError
from rich.console import Console
from rich.text import Text

from potluck.errors import StartError
from potluck.server.approval_words import decide
from potluck.server.approvals import Approval, Resume, approved, pending_approvals
from potluck.server.parked_turn import pick_up, run_through
from potluck.server.thread_queue import ThreadBusyError
from potluck.server.turn import Asked, Part, RunError, Turn, run_errors
from potluck.terminal import threads
from potluck.terminal.approvals import Interview, show_all
from potluck.terminal.keyboard import unechoed
from potluck.terminal.lifeline import watched
from potluck.terminal.live import LiveScreen, Pictures
from potluck.terminal.pictures import Protocol
from potluck.terminal.record import Record
from potluck.terminal.running import Running
from potluck.terminal.screen import Screen
from tools.workspace import folder_of

CONNECT_TIMEOUT_S = 5.0
NOT_FOUND = 404
# A turn may wait long for a model; Ctrl-C ends it.
TURN_TIMEOUT_S = 3600.0


@dataclass(frozen=True, slots=True)
class Terminal:
    """What a conversation is shown on: the answer, and all else beside it."""

    out: Console
    beside: Console
    home: Path
    """The data folder, where the threads' files are if the server is on this machine."""
    pictures: Protocol | None = None
    record: Record | None = None
    """Where answers are kept for programs, instead of being shown."""

    def say(self, line: str, style: str = "dim") -> None:
        """A line beside the answer."""
        self.beside.print(Text(line, style=style), soft_wrap=True)


class Conversation:
    """Turns on one thread after the other; without an interview nobody is there to approve."""

    def __init__(
        self,
        running: Running,
        thread_id: str,
        terminal: Terminal,
        interview: Interview | None,
        *,
        model: str | None = None,
    ) -> None:
        self.running = running
        self.thread_id = thread_id
        self.model = model
        self.said = ""
        """The last answer, as the model wrote it."""
        self._terminal = terminal
        self._interview = interview
        self._goes_on = False
        self._is_marked = False
        self._waiting: tuple[Approval, ...] = ()

    @property
    def waiting(self) -> tuple[Approval, ...]:
        """What waits for approval on the thread."""
        return self._waiting

    @property
    def goes_on(self) -> bool:
        """Whether the last turn, though left, goes on by itself."""
        return self._goes_on

    @property
    def has_begun(self) -> bool:
        """Whether the thread is there on the server, as far as is known here."""
        return self._is_marked

    def switch(self, thread_id: str) -> None:
        """Go over to another thread."""
        self.thread_id = thread_id
        self.said = ""
        self._is_marked = False
        self._waiting = ()
        if self._interview is not None:
            self._interview.forget()

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
            self._run(lambda client: self._turn(client, message))
        self._interview_all()

    def find_waiting(self) -> None:
        """See what waits for approval on the thread."""
        self._waiting = self.use(self._pending)

    def catch_up(self) -> bool:
        """Show the last answer of the thread, once it is there; False on a new thread."""
        try:
            self._run(lambda client: pick_up(client, self.thread_id))
            self._is_marked = True
            self._interview_all()
        except RunError as error:
            if error.status != NOT_FOUND:
                raise
            return False
        return True

    def use[T](self, work: Callable[[LangGraphClient], Awaitable[T]]) -> T:
        """What this work with the server gives."""

        async def done() -> T:
            async with connect(self.running) as client:
                return await work(client)

        with self._gone_is_told():
            return asyncio.run(done())

    @contextmanager
    def _gone_is_told(self) -> Iterator[None]:
        """A server that cannot be reached is named, with what to do. Raises PotluckError."""
        try:
            yield
        except RunError as error:
            if not isinstance(error.__cause__, httpx.TransportError):
                raise
            raise self._gone() from error

    def _gone(self) -> StartError:
        fix = "Go on when it runs again; its log says why it does not."
        return StartError(
            f"The server at {self.running.url} does not answer.",
            fix="Start `potluck chat` again." if self.running.is_own else fix,
        )

    async def _turn(self, client: LangGraphClient, message: str) -> AsyncGenerator[Part]:
        if not self._is_marked:
            await threads.mark(client, self.thread_id, message)
            self._is_marked = True
        turn = Turn(
            [{"role": "user", "content": message}],
            self.thread_id,
            context=self._context(),
            thread_exists=True,
        )
        async with aclosing(run_through(client, turn)) as parts:
            async for part in parts:
                yield part

    def _context(self) -> dict[str, object]:
        return {"model": self.model} if self.model else {}

    def _interview_all(self) -> None:
        """Ask about whatever waits until nothing does, or the person leaves it."""
        while self._waiting and self._interview is not None:
            decisions = self._interview.decide(self._waiting)
            if decisions is None:
                self._terminal.say("It waits for your approval; nothing was run.", "yellow")
                return
            self._resume(decisions)
        if self._waiting:
            show_all(self._waiting, self._terminal.beside)
            told = "It waits for your approval: go on with its thread on a terminal."
            self._terminal.say(told, "yellow")

    def _resume(self, decisions: Resume) -> None:
        turn = Turn(
            thread_id=self.thread_id,
            context=self._context(),
            thread_exists=True,
            decisions=decisions,
        )
        self._run(lambda client: run_through(client, turn), is_resumed=True)

    def _tell(self, decisions: Resume) -> None:
        """Say that the message was taken as an answer, and as which."""
        allowed = [one.name for one in self._waiting if decisions[one.id] == approved()]
        refused = [one.name for one in self._waiting if decisions[one.id] != approved()]
        lines = (("Approved", allowed), ("Rejected", refused))
        told = "; ".join(f"{word}: {', '.join(names)}" for word, names in lines if names)
        self._terminal.say(f"{told}.")

    async def _pending(self, client: LangGraphClient) -> tuple[Approval, ...]:
        with run_errors():
            try:
                return await pending_approvals(client, self.thread_id)
            except (NotFoundError, ThreadBusyError):
                return ()

    def _run(
        self,
        parts_from: Callable[[LangGraphClient], AsyncGenerator[Part]],
        *,
        is_resumed: bool = False,
    ) -> None:
        with unechoed(), self._gone_is_told():
            asyncio.run(self._show(parts_from, is_resumed=is_resumed))

    async def _show(
        self,
        parts_from: Callable[[LangGraphClient], AsyncGenerator[Part]],
        *,
        is_resumed: bool,
    ) -> None:
        self._waiting = ()
        self._goes_on = False
        screen = self._screen(is_resumed=is_resumed)
        turn, is_lost = asyncio.current_task(), False

        def tell(text: str) -> None:
            nonlocal is_lost
            if self.running.is_own and turn is not None:
                # Nobody is there to start it again
                is_lost = turn.cancel()
            else:
                screen.warn(text)

        try:
            async with (
                connect(self.running) as client,
                watched(self.running.url, tell),
                aclosing(parts_from(client)) as parts,
            ):
                async for part in parts:
                    screen.show(part)
                    if self._terminal.record is not None:
                        self._terminal.record.take(part)
                    if isinstance(part, Asked):
                        self._waiting = part.approvals
        except asyncio.CancelledError:
            if is_lost:
                raise self._gone() from None
            self._goes_on = screen.is_waiting
            raise
        finally:
            screen.end()
            self.said = screen.said or self.said
            if self._goes_on:
                self._say_that_it_goes_on()

    def _screen(self, *, is_resumed: bool) -> Screen | LiveScreen:
        terminal = self._terminal
        folder = folder_of(terminal.home, self.thread_id)
        if terminal.record is not None:
            return Screen(Console(file=StringIO()), terminal.beside, is_resumed=is_resumed)
        if terminal.out.is_terminal and not terminal.out.is_dumb_terminal:
            pictures = Pictures(folder, terminal.pictures)
            return LiveScreen(
                terminal.out, terminal.beside, is_resumed=is_resumed, pictures=pictures
            )
        return Screen(terminal.out, terminal.beside, is_resumed=is_resumed, folder=folder)

    def _say_that_it_goes_on(self) -> None:
        where = "when `potluck serve` runs" if self.running.is_own else "on the server"
        self._terminal.say(f"The work goes on by itself {where}.", "yellow")


def connect(running: Running) -> LangGraphClient:
    """A client of the server's LangGraph API."""
    return get_client(
        url=running.url,
        api_key=running.key.get_secret_value() if running.key else None,
        timeout=(CONNECT_TIMEOUT_S, TURN_TIMEOUT_S, TURN_TIMEOUT_S, CONNECT_TIMEOUT_S),
    )
