"""`potluck chat`: one question, or a conversation, with the agent."""

import asyncio
import logging
import os
import shlex
import stat
import sys
import uuid

from rich.console import Console
from rich.theme import Theme

from potluck.errors import PotluckError
from potluck.settings import Settings
from potluck.terminal import threads
from potluck.terminal.approvals import Interview
from potluck.terminal.conversation import Conversation, Terminal, connect
from potluck.terminal.offered import chosen, offered_models
from potluck.terminal.record import Record
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
    as_json: bool = False,
) -> int:
    """Answer `message`, or whatever is typed until the end of input; returns the exit code.

    Text from a pipe is the message, or follows it. `last` is the thread that a terminal used last.
    With `as_json` one message is answered, by one JSON object.
    Raises StartError when no server can be had, RunError when a single question fails, PotluckError
    for what cannot be; KeyboardInterrupt when a single question is cancelled.
    """
    # What the client has to tell is told by the screen; its log would break into that
    logging.getLogger().addHandler(logging.NullHandler())
    terminal = Terminal(
        Console(highlight=False, theme=THEME),
        Console(stderr=True, highlight=False, theme=THEME),
        settings.potluck_home,
        settings.picture_protocol,
        Record() if as_json else None,
    )
    message = _with_input(message)
    is_blank = message is not None and not message.strip()
    if is_blank or (message is None and as_json):
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
            if message is None:
                _talk(conversation, terminal, goes_on_with=goes_on_with)
                return 0
            _ask_once(conversation, message, goes_on_with=goes_on_with)
        finally:
            if conversation.has_begun or message is not None:
                terminal.say(_way_back(conversation.thread_id, url))
    if terminal.record is not None:
        told = terminal.record.as_json(
            conversation.thread_id, conversation.said, conversation.waiting
        )
        terminal.out.file.write(f"{told}\n")
    return WAITS_FOR_APPROVAL if conversation.waiting else 0


def _way_back(thread_id: str, url: str | None) -> str:
    server_named = f" --url {shlex.quote(url)}" if url is not None else ""
    return f"Thread {thread_id}; go on with: potluck chat --thread {thread_id}{server_named}"


def _thread_id(running: Running, name: str | None, *, last: bool) -> str:
    if not (name or last):
        return str(uuid.uuid4())

    async def found_on_server() -> str | None:
        async with connect(running) as client:
            if name:
                return await threads.named(client, name, running.owner)
            return await threads.newest_of_terminal(client)

    found = asyncio.run(found_on_server())
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


def _ask_once(conversation: Conversation, message: str, *, goes_on_with: bool) -> None:
    if goes_on_with:
        conversation.find_waiting()
    conversation.ask(message)


def _talk(conversation: Conversation, terminal: Terminal, *, goes_on_with: bool) -> None:
    # One question needs no line editor, which takes long to load
    from potluck.terminal.talk import talk  # noqa: PLC0415 - see above

    talk(conversation, terminal, goes_on_with=goes_on_with)
