"""A conversation in turns: what a person said, and all that was done and answered for it."""

import re
from collections.abc import Iterable, Sequence

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

type Turn = list[BaseMessage]

_FILE = re.compile(
    r"(?<![\w/.@-])(?:[\w.-]+/)*[\w-][\w.-]*\."
    r"(?:py|js|ts|tsx|jsx|html?|css|md|txt|csv|tsv|json|jsonl|ya?ml|toml|xml|sql|sh|ini|cfg|log|"
    r"pdf|png|jpe?g|gif|svg|webp|xlsx?|docx?|pptx?|ipynb|db|sqlite|parquet|zip|gz|tar|java|c|h|cpp|"
    r"cs|go|rs|rb|php|kt|swift|r|lock|env|conf)(?![\w-])",
    re.IGNORECASE | re.ASCII,
)
_PATH_ARGUMENTS = ("path", "file", "filename")


def turns_of(messages: Sequence[BaseMessage]) -> list[Turn]:
    """The turns, each beginning with what a person said; the first may begin otherwise."""
    turns: list[Turn] = []
    for message in messages:
        if not turns or (isinstance(message, HumanMessage) and not _is_open(turns[-1])):
            turns.append([])
        turns[-1].append(message)
    return turns


def _is_open(turn: Turn) -> bool:
    """Whether the turn holds nothing yet but what a person said: more of it belongs to it."""
    return all(isinstance(message, HumanMessage) for message in turn)


def files_in(messages: Iterable[BaseMessage]) -> list[str]:
    """The files that were named, in words or in calls, each once, the first that was named first.

    The text of results is left out: a listing would name them all.
    """
    found: dict[str, None] = {}
    for message in messages:
        if isinstance(message, AIMessage):
            named = (
                call["args"].get(key) for call in message.tool_calls for key in _PATH_ARGUMENTS
            )
            found.update(dict.fromkeys(name for name in named if isinstance(name, str) and name))
        if not isinstance(message, ToolMessage):
            found.update(dict.fromkeys(_FILE.findall(str(message.text))))
    return list(found)
