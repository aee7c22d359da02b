"""`potluck chat`: one question, or a conversation, with the agent."""

import asyncio
import sys
import uuid
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing

from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from rich.console import Console
from rich.text import Text

from potluck.errors import PotluckError
from potluck.server.parked_turn import pick_up, run_through
from potluck.server.turn import Part, RunError, Turn, thread_id_of
from potluck.settings import Settings
from potluck.terminal.running import Running, server
from potluck.terminal.screen import Screen

CONNECT_TIMEOUT_S = 5.0
NOT_FOUND = 404
# A turn may wait long for a model; Ctrl-C ends it.
TURN_TIMEOUT_S = 3600.0
LEAVE = frozenset({"/exit", "/quit", "exit", "quit"})
PROMPT = "you> "


def chat(settings: Settings, *, message: str | None, thread: str | None, url: str | None) -> None:
    """Answer `message`, or whatever is typed until the end of input.

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
        conversation = _Conversation(running, thread_id, out, beside)
        try:
            if message is not None:
                conversation.ask(message)
            else:
                if thread:
                    conversation.catch_up()
                conversation.go_on()
        finally:
            hint = f"Thread {thread_id}; go on with: potluck chat --thread {thread_id}"
            beside.print(Text(hint, style="dim"), soft_wrap=True)


class _Conversation:
    """Turns on one thread of one server."""

    def __init__(self, running: Running, thread_id: str, out: Console, beside: Console) -> None:
        self._running = running
        self._thread_id = thread_id
        self._out = out
        self._beside = beside
        self._goes_on = False

    def ask(self, message: str) -> None:
        """One turn. Ctrl-C cancels it, here and on the server, and raises KeyboardInterrupt.

        A turn that waits for quota is left as it is: it goes on by itself.
        """
        turn = Turn(messages=[{"role": "user", "content": message}], thread_id=self._thread_id)
        asyncio.run(self._show(lambda client: run_through(client, turn)))

    def catch_up(self) -> None:
        """The last answer of the thread, once it is there; nothing on a new thread."""
        try:
            asyncio.run(self._show(lambda client: pick_up(client, self._thread_id)))
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

    async def _show(self, parts_from: Callable[[LangGraphClient], AsyncGenerator[Part]]) -> None:
        screen = Screen(self._out, self._beside)
        async with _connect(self._running) as client, aclosing(parts_from(client)) as parts:
            try:
                async for part in parts:
                    screen.show(part)
            except asyncio.CancelledError:
                self._goes_on = screen.is_waiting
                if self._goes_on:
                    self._say_that_it_goes_on()
                raise
            finally:
                screen.end()

    def _say_that_it_goes_on(self) -> None:
        where = "when `potluck serve` runs" if self._running.is_own else "on the server"
        line = f"The work goes on by itself {where}."
        self._beside.print(Text(line, style="yellow"), soft_wrap=True)


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
