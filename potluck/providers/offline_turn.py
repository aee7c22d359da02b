"""The turn that the offline model is in: what is asked, what was done since, what came before."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from potluck.providers.offline_answer import strip_notice
from potluck.providers.offline_intent import Background
from potluck.providers.offline_paths import paths_in
from potluck.providers.offline_quotes import Quoted

# The words in which the agent's nodes hand out a step, show finished ones, and complain.
_ASSIGNMENT = re.compile(
    r"\A(?P<before>.*?)^Your step, and only this:\n(?P<goal>.*?)\nIt is done when:",
    re.DOTALL | re.MULTILINE,
)
_BUILD_ON = re.compile(r"^Results you can build on:\n(.*?)\n\n\Z", re.DOTALL | re.MULTILINE)
_REPORT = re.compile(r"\AStep \d+ \((?:todo|doing|done|failed)\): ")
_REPORTED = re.compile(r"^Result: (.*?)(?=\n\nStep \d+ \(|\Z)", re.DOTALL | re.MULTILINE)
_COMPLAINT = re.compile(r"\AYour call of `\w+` cannot be used: ")
_KANA = re.compile(r"[\u3040-\u30ff]")


@dataclass(frozen=True, slots=True)
class Done:
    """A tool call with its result."""

    tool: str
    args: Mapping[str, object]
    text: str
    ok: bool

    @property
    def value(self) -> str:
        """The result as a later step takes it: of `2+2 = 4` the 4."""
        return self.text.rpartition(" = ")[2] if self.tool == "calculator" else self.text


@dataclass(frozen=True, slots=True)
class Turn:
    """The request, the calls made for it, and what earlier turns left."""

    request: str
    done: tuple[Done, ...] = ()
    background: Background = field(default_factory=Background)
    earlier_result: str | None = None
    reported: tuple[str, ...] = ()

    @property
    def in_japanese(self) -> bool:
        """Whether to answer in Japanese."""
        return bool(_KANA.search(self.request))


def read_turn(messages: Sequence[BaseMessage]) -> Turn:
    """Read the turn that these messages end in."""
    at = _last_request(messages)
    if at is None:
        return Turn(request="", done=_done(messages))
    text = str(messages[at].text)
    before = messages[:at]
    if _REPORT.match(text):
        asked = _last_request(before)
        return Turn(
            request="" if asked is None else str(before[asked].text),
            reported=tuple(strip_notice(result) for result in _REPORTED.findall(text)),
        )
    assignment = _ASSIGNMENT.match(text)
    earlier = _earlier_result(before)
    if assignment and (given := _BUILD_ON.search(assignment["before"])):
        earlier = _given_result(given[1])
    request = assignment["goal"] if assignment else text
    context = assignment["before"] if assignment else ""
    return Turn(
        request=request,
        done=_done(messages[at + 1 :]),
        background=Background(
            file=_last_path(context) or _last_file(before), has_result=earlier is not None
        ),
        earlier_result=earlier,
    )


def _last_request(messages: Sequence[BaseMessage]) -> int | None:
    return next(
        (
            at
            for at in range(len(messages) - 1, -1, -1)
            if isinstance(messages[at], HumanMessage)
            and not _COMPLAINT.match(str(messages[at].text))
        ),
        None,
    )


def _done(messages: Sequence[BaseMessage]) -> tuple[Done, ...]:
    """The calls in these messages that have a result, in the order of the calls."""
    results = {m.tool_call_id: m for m in messages if isinstance(m, ToolMessage)}
    return tuple(
        Done(
            tool=call["name"],
            args=call["args"],
            text=str(result.text),
            ok=result.status != "error",
        )
        for message in messages
        if isinstance(message, AIMessage)
        for call in message.tool_calls
        if (result := results.get(call["id"] or "")) is not None
    )


def _earlier_result(messages: Sequence[BaseMessage]) -> str | None:
    return next((done.value for done in reversed(_done(messages)) if done.ok), None)


def _given_result(shown: str) -> str:
    """The last of the results that a step builds on: `- goal: result` each."""
    last = re.split(r"(?:\A|\n)- ", strip_notice(shown))[-1]
    result = strip_notice(last.partition(": ")[2] or last).strip()
    return result.rpartition(" = ")[2] if "\n" not in result else result


def _last_file(messages: Sequence[BaseMessage]) -> str | None:
    """The file that was named last, in a call or in words."""
    for message in reversed(messages):
        if isinstance(message, AIMessage):
            paths = [call["args"].get("path") for call in message.tool_calls]
            named = [path for path in paths if isinstance(path, str) and path]
            if named:
                return named[-1]
        elif isinstance(message, HumanMessage) and (path := _last_path(str(message.text))):
            return path
    return None


def _last_path(text: str) -> str | None:
    quoted = Quoted.read(text)
    files = [named.path for named in paths_in(quoted.text, quoted) if not named.is_folder]
    return files[-1] if files else None
