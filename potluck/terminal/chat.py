"""`potluck chat`: one question, or a conversation, with the agent."""

import asyncio
import os
import stat
import sys
import uuid

from rich.console import Console
from rich.theme import Theme

from potluck.errors import PotluckError
from potluck.server.turn import thread_id_of
from potluck.settings import Settings
from potluck.terminal import threads
from potluck.terminal.approvals import Interview
from potluck.terminal.conversation import Conversation, Terminal, connect
from potluck.terminal.offered import chosen, offered_models
from potluck.terminal.running import Running, server

# Exit code of a single question that waits for a person's approval
WAITS_FOR_APPROVAL = 4
# Code in a line stands out on a light and on a dark terminal
THEME = Theme({"markdown.code": "cyan", "markdown.code_block": "default"})


def chat(  # noqa: PLR0913 - each is an option of its own
    settings: Settings,
    *,
    message: str | None,
    thread: str | None = None,
    last: bool = False,
    model: str | None = None,
    url: str | None = None,
) -> int:
    """Answer `message`, or whatever is typed until the end of input; returns the exit code.

    Text from a pipe is the message, or follows it. `last` is the thread that a terminal used last.
    Raises StartError when no server can be had, RunError when a single question fails, PotluckError
    for what cannot be; KeyboardInterrupt when a single question is cancelled.
    """
    if thread is not None and last:
        raise PotluckError("Either --thread or --last, not both.", fix="Leave one of them out.")
    terminal = Terminal(
        Console(highlight=False, theme=THEME),
        Console(stderr=True, highlight=False, theme=THEME),
        settings.potluck_home,
        settings.picture_protocol,
    )
    message = _with_input(message)
    if message is not None and not message.strip():
        raise PotluckError("There is no message.", fix='Say: potluck chat "your question".')
    with server(settings, url, terminal.beside) as running:
        interview = (
            Interview(terminal.beside, editor=settings.editor) if sys.stdin.isatty() else None
        )
        conversation = Conversation(
            running,
            _thread_id(running, thread, last=last),
            terminal,
            interview,
            model=chosen(model, offered_models(running)) if model else None,
        )
        goes_on_with = bool(thread) or last
        try:
            if message is not None:
                return _ask_once(conversation, message, goes_on_with=goes_on_with)
            _talk(conversation, terminal, goes_on_with=goes_on_with)
        finally:
            if conversation.has_begun or message is not None:
                thread_id = conversation.thread_id
                terminal.say(f"Thread {thread_id}; go on with: potluck chat --thread {thread_id}")
    return 0


def _thread_id(running: Running, name: str | None, *, last: bool) -> str:
    if not last:
        return thread_id_of(name) if name else str(uuid.uuid4())

    async def newest() -> str | None:
        async with connect(running) as client:
            return await threads.newest_of_terminal(client)

    found = asyncio.run(newest())
    if found is None:
        raise PotluckError(
            "No thread was used in a terminal yet.", fix="Leave --last out, or give --thread."
        )
    return found


def _with_input(message: str | None) -> str | None:
    """The message, with what comes through a pipe or from a file behind it."""
    if message is not None:
        message = _as_text(os.fsencode(message), "The question")
    if sys.stdin.isatty() or (message is not None and not _is_given()):
        return message
    given = _as_text(sys.stdin.buffer.read(), "What comes through the pipe")
    if message is None:
        return given
    return f"{message}\n\n{given.rstrip()}" if given.strip() else message


def _as_text(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PotluckError(
            f"{name} is no text in UTF-8: {error.reason}.",
            fix="Convert it first, such as with `iconv` or `pdftotext`.",
        ) from error


def _is_given() -> bool:
    """Whether standard input is a pipe or a file: nothing else is waited for beside a message."""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)


def _ask_once(conversation: Conversation, message: str, *, goes_on_with: bool) -> int:
    if goes_on_with:
        conversation.find_waiting()
    conversation.ask(message)
    return WAITS_FOR_APPROVAL if conversation.is_waiting else 0


def _talk(conversation: Conversation, terminal: Terminal, *, goes_on_with: bool) -> None:
    # One question needs no line editor, which takes long to load
    from potluck.terminal.talk import talk  # noqa: PLC0415 - see above

    talk(conversation, terminal, goes_on_with=goes_on_with)
