"""A conversation at the prompt: message after message, command after command."""

from collections.abc import Iterator
from contextlib import contextmanager

from potluck.errors import PotluckError
from potluck.terminal.commands import Commands, Leave
from potluck.terminal.conversation import Conversation, Terminal
from potluck.terminal.prompt import KeyPrompt, LinePrompt, Prompt
from potluck.terminal.screen import printable

HISTORY_FILE = "chat_history"
WELCOME = "/help lists what you can do; Ctrl-C stops an answer; Ctrl-D leaves."


def talk(conversation: Conversation, terminal: Terminal, *, goes_on_with: bool) -> None:
    """Turn after turn; a failed or stopped one does not end the conversation."""
    commands = Commands(conversation, terminal)
    prompt = _prompt(terminal, commands)
    terminal.say(WELCOME)
    if goes_on_with:
        with _survived(conversation, terminal):
            conversation.catch_up()
    while (line := prompt.read()) is not None:
        try:
            with _survived(conversation, terminal):
                if commands.takes(line):
                    commands.run(line)
                else:
                    conversation.ask(line)
        except Leave:
            return


@contextmanager
def _survived(conversation: Conversation, terminal: Terminal) -> Iterator[None]:
    """What goes wrong or is stopped is told, and the conversation goes on."""
    try:
        yield
    except KeyboardInterrupt:
        if not conversation.goes_on:
            terminal.say("Stopped.", "yellow")
    except PotluckError as error:
        terminal.say(printable(str(error)), "red")


def _prompt(terminal: Terminal, commands: Commands) -> Prompt:
    out = terminal.out
    if out.is_terminal and not out.is_dumb_terminal:
        file = terminal.home / HISTORY_FILE
        return KeyPrompt(file, terminal.beside, commands.suggest)
    return LinePrompt(terminal.beside)
