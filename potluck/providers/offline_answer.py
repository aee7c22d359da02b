"""What the offline model says: results in plain words, what it cannot do, and how to get an LLM."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from potluck.providers.offline_intent import Gap
from potluck.providers.offline_phrases import ENGLISH, JAPANESE, NOTICE

NOT_CONNECTED = "no LLM is connected"
MAX_WHY_CHARS = 500
MAX_QUOTED_CHARS = 120

_VERBS = {
    "calculator": "calculate this",
    "current_time": "tell the time",
    "list_files": "list the files",
    "read_file": "read the file",
    "write_file": "write the file",
    "edit_file": "edit the file",
    "search_files": "search the files",
    "python": "run the code",
    "shell": "run the command",
}


class Outcome(Protocol):
    """A tool call that ended."""

    @property
    def tool(self) -> str:
        """Its name."""

    @property
    def args(self) -> Mapping[str, object]:
        """Its arguments."""

    @property
    def text(self) -> str:
        """What it gave."""

    @property
    def ok(self) -> bool:
        """Whether it worked."""


def compose(
    outcomes: Sequence[Outcome], gaps: Sequence[Gap], *, why: str, in_japanese: bool
) -> str:
    """The answer: each result, each gap, and the notice that no LLM is connected."""
    phrases = JAPANESE if in_japanese else ENGLISH
    said = [_told(outcome, phrases) for outcome in outcomes]
    said += [phrases[gap.why].format(text=_shortened(gap.text)) for gap in gaps]
    return with_notice(said or [phrases["hello"]], why=why, in_japanese=in_japanese)


def with_notice(paragraphs: Sequence[str], *, why: str, in_japanese: bool) -> str:
    """Paragraphs, each once, and the notice as the last."""
    reason = " ".join(why.split())
    if len(reason) > MAX_WHY_CHARS:
        reason = f"{reason[:MAX_WHY_CHARS].rstrip()} ..."
    shown = "" if not reason or reason.lower() == NOT_CONNECTED.lower() else f" ({reason})"
    notice = (JAPANESE if in_japanese else ENGLISH)["notice"].replace("{why}", shown)
    return "\n\n".join([*dict.fromkeys(p for p in paragraphs if p.strip()), notice])


def strip_notice(text: str) -> str:
    """The answer without its notice."""
    return NOTICE.sub("", text).strip()


def _told(outcome: Outcome, phrases: Mapping[str, str]) -> str:
    text = outcome.text.strip("\n")
    if not outcome.ok:
        verb = _VERBS.get(outcome.tool, f"use {outcome.tool}")
        return phrases["failed"].format(verb=verb, text=text)
    match outcome.tool:
        case "current_time":
            return phrases["then" if outcome.args.get("days") else "now"].format(text=text)
        case "list_files" if not text.endswith("is empty."):
            return phrases["list"].format(text=text)
        case "read_file":
            return phrases["read"].format(path=outcome.args.get("path", ""), text=text)
        case "search_files" if not text.startswith("No file"):
            return phrases["search"].format(text=text)
        case _:
            return text


def _shortened(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= MAX_QUOTED_CHARS else f"{plain[:MAX_QUOTED_CHARS].rstrip()} ..."
