"""Tool calls that a model wrote into its text, as weak ones do instead of calling."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import json_repair

# What such a call may begin with; JSON without a fence only at the very beginning of the text
_OPENINGS = ("<tool_call>", "<function=", "<function_call>", "<|python_tag|>", "[tool_calls]")
_FENCES = ("```json", "```tool_call", "```tool_code", "```xml")
_OPENING = re.compile("|".join(re.escape(text) for text in (*_OPENINGS, *_FENCES)), re.IGNORECASE)
_LONGEST = max(len(text) for text in (*_OPENINGS, *_FENCES))
_BARE = re.compile(r"\s*(?:\[\s*)?[{]")
_MAY_BE_BARE = re.compile(r"\s*(?:\[\s*)?[{]|\s*\[\s*$")
_NAMED = re.compile(r"<function=([\w.-]+)>?(.*?)(?:</function>|$)", re.DOTALL | re.IGNORECASE)
_WRAPPED = re.compile(
    r"(?:<tool_call>|<function_call>|<\|python_tag\|>|\[tool_calls\])\s*(.*?)\s*"
    r"(?:</tool_call>|</function_call>|(?=<tool_call>)|$)",
    re.DOTALL | re.IGNORECASE,
)
_FENCED = re.compile(r"```\w*\s*\n?(.*?)(?:```|$)", re.DOTALL)
_ARGUMENTS = ("arguments", "parameters", "args")


@dataclass(frozen=True, slots=True)
class WrittenCall:
    """A call as the text has it; neither the name nor the arguments are checked."""

    name: str
    arguments: object


class CallGate:
    """Holds text back from where it may begin to be a tool call.

    With `forced`, any block of JSON may be one.
    """

    def __init__(self, *, forced: bool = False) -> None:
        self._forced = forced
        # What is safe is let go: a long answer is not read again for each of its chunks.
        self._rest = ""
        self._says_text = False

    def holds(self, text: str) -> bool:
        """Whether `text`, which comes after all that came before, has to wait."""
        self._rest += text
        if not self._forced:
            self._pass_closed_fences()
        if not self._says_text and _MAY_BE_BARE.match(self._rest):
            return True
        if _OPENING.search(self._rest) or _may_open(self._rest):
            return True
        self._pass(len(self._rest))
        return False

    def _pass(self, end: int) -> None:
        self._says_text = self._says_text or bool(self._rest[:end].strip())
        self._rest = self._rest[end:]

    def _pass_closed_fences(self) -> None:
        """A block of JSON that has ended and calls nothing is text like any other."""
        opening = _OPENING.search(self._rest)
        if opening is None or not opening.group().startswith("`"):
            return
        end = self._rest.find("```", opening.end())
        if end >= 0 and not list(_calls_in(self._rest[opening.end() : end])):
            self._pass(end + 3)
            self._pass_closed_fences()


def find_calls(text: str, *, forced: str | None = None) -> tuple[str, list[WrittenCall]]:
    """The text before the first call, and the calls that are written in it, in order.

    With `forced`, JSON alone is taken as the arguments of that tool.
    """
    named = [(m.start(), m.group(1), m.group(2)) for m in _NAMED.finditer(text)]
    if named:
        calls = [WrittenCall(name, _loaded(body)) for _, name, body in named]
        return text[: named[0][0]].rstrip(), calls
    for pattern in (_WRAPPED, _FENCED):
        found = [(m.start(), list(_calls_in(m.group(1)))) for m in pattern.finditer(text)]
        starts = [start for start, calls in found if calls]
        if starts:
            return text[: starts[0]].rstrip(), [call for _, calls in found for call in calls]
    bare = list(_calls_in(text))
    if not bare and forced is not None:
        fenced = _FENCED.search(text)
        value = _loaded(fenced.group(1) if fenced else text)
        bare = [WrittenCall(forced, value)] if isinstance(value, dict) and value else []
    return ("", bare) if bare else (text, [])


def _calls_in(text: str) -> Iterator[WrittenCall]:
    """The calls in a text that is JSON and nothing else."""
    value = _loaded(text)
    for item in value if isinstance(value, list) else [value]:
        call = _call_of(item)
        if call is not None:
            yield call


def _call_of(item: object) -> WrittenCall | None:
    if not isinstance(item, dict):
        return None
    function = item.get("function")
    if isinstance(function, dict):
        item = function
    name = item.get("name") or (function if isinstance(function, str) else None)
    given = next((item[key] for key in _ARGUMENTS if key in item), None)
    if not isinstance(name, str) or given is None:
        return None
    return WrittenCall(name, given)


def _loaded(text: str) -> object:
    text = text.strip()
    if not _BARE.match(text):
        return None
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return json_repair.loads(text)


def _may_open(text: str) -> bool:
    """Whether the end of the text may be the beginning of an opening."""
    tail = text[-_LONGEST:].lower()
    begun = (tail[place:] for place in range(len(tail)) if tail[place] in "<[`")
    return any(opening.startswith(end) for end in begun for opening in (*_OPENINGS, *_FENCES))
