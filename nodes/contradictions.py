"""Results that do not agree: the same thing with different numbers."""

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

from langchain_core.messages import AnyMessage, ToolMessage

MOST_TOLD = 3
_MOST_CHARS = 8_000
_FACT = re.compile(
    r"""^\W*(?P<name>[A-Za-z][\w /-]{2,40}?|[\u3040-\u30ff\u4e00-\u9fff]{2,15})["'`*]*"""
    r"""\s*[:=\uff1a]\s*["'`*]*"""
    r"""(?P<number>[-+]?[$€£¥]?\d[\d,]*(?:\.\d+)?)"""
    r"""|\b(?:the|its|their)\s+(?P<noun>[a-z][\w -]{3,50}?)\s+(?:is|was|are|were|amounts? to)\s+"""
    r"""(?:now |about |exactly )?(?P<amount>[-+]?[$€£¥]?\d[\d,]*(?:\.\d+)?)""",
    re.MULTILINE | re.IGNORECASE,
)
# Names that say nothing of what is meant
_VAGUE = frozenset(
    {
        "answer", "bytes", "count", "date", "exit code", "id", "index", "line", "note", "number",
        "page", "port", "result", "row", "size", "size_bytes", "step", "time", "total", "value",
        "version",
    }
)  # fmt: skip

# What was read before a change may be otherwise after it
_CHANGING = frozenset({"write_file", "edit_file"})

CONTRADICTION_NOTE = """\
These results do not agree: {told}. If they speak of the same thing, say so in your answer, with
what each says, and do not pick one in silence."""


def note_on(texts: Sequence[tuple[str, str]]) -> str:
    """What to tell a model of sources (name, text) that contradict each other; empty if none do."""
    told = list(_contradictions(texts))[:MOST_TOLD]
    return CONTRADICTION_NOTE.format(told="; ".join(told)) if told else ""


def results_in(messages: Sequence[AnyMessage]) -> list[tuple[str, str]]:
    """The results of tools since a person spoke last, each with what it came from."""
    found: list[tuple[str, str]] = []
    for message in reversed(messages):
        if message.type == "human":
            break
        if isinstance(message, ToolMessage) and message.name in _CHANGING:
            break
        if isinstance(message, ToolMessage) and message.status == "success":
            found.append((message.name or "tool", str(message.text)[:_MOST_CHARS]))
    found.reverse()
    return [(f"{name} (result {number})", text) for number, (name, text) in enumerate(found, 1)]


def _contradictions(texts: Sequence[tuple[str, str]]) -> Iterable[str]:
    """Of each thing that is told by several sources, those whose numbers differ."""
    known: dict[str, dict[str, str]] = {}
    for source, text in texts:
        for name, number in _facts(text).items():
            known.setdefault(name, {})[source] = number
    for name, told in known.items():
        if any(one != other for one, other in pairwise(told.values())):
            yield f"{name} is " + ", but ".join(f"{n} in {s}" for s, n in told.items())


def _facts(text: str) -> dict[str, str]:
    """Each thing that the text tells once, with its number; what it tells twice is a list."""
    found: dict[str, list[str]] = {}
    for fact in _FACT.finditer(text):
        name = " ".join((fact["name"] or fact["noun"]).lower().split())
        number = (fact["number"] or fact["amount"]).replace(",", "").lstrip("+$€£¥")
        if name not in _VAGUE:
            found.setdefault(name, []).append(number)
    return {name: numbers[0] for name, numbers in found.items() if len(set(numbers)) == 1}
