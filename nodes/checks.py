"""Whether a step's result keeps what the step promised, as far as rules can tell."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from langchain_core.messages import AIMessage, AnyMessage, ToolMessage

from graph.state import Step
from nodes.reply_faults import announces, claims, refuses

_FILE = re.compile(r"(?<![\w/:.@-])((?:[\w-]+/)*[\w-]+\.[A-Za-z][A-Za-z0-9]{0,4})(?![\w/@(-])")
_MADE = re.compile(
    r"\b(?:exists?|saved|written|wrote|creat\w*|stored|made|contains?|holds?|generated|produced)\b"
    r"|ある|あり|保存|作成|存在|書",
    re.IGNORECASE,
)
_UNMADE = re.compile(
    r"\b(?:delet\w*|remov\w*|no longer|not exist|gone|renam\w*|moved|without|missing|whether|if)\b"
    r"|削除|ない|なく",
    re.IGNORECASE,
)
_NUMBER_WANTED = re.compile(
    r"\b(?:a|the|one) (?:\w+ )?(?:number|sum|total|count|average|mean|median|percentage|figure)\b"
    r"|\bhow many\b|合計|平均|件数|個数|人数",
    re.IGNORECASE,
)
_NUMBER = re.compile(
    r"\d|\b(?:zero|none|no|one|two|three|four|five|six|seven|eight|nine|ten|dozen|hundred|thousand)\b"
    r"|[〇一二三四五六七八九十百千万]",
    re.IGNORECASE,
)
_RUNS = re.compile(
    r"\b(?:runs?|ran|executes?) (?:\w+ )?(?:without (?:an )?errors?|successfully|cleanly)\b"
    r"|\btests? pass(?:es|ed)?\b|\bno errors?\b|エラーなく|テストが(?:通|成功)",
    re.IGNORECASE,
)
_CODE_TOOLS = frozenset({"python", "shell"})
_ALIKE_CHARS = 40


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a result is compared with: the task, the results of other steps, the files."""

    task: str
    others: Mapping[int, str]
    files: Collection[str]


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a result, in words for the next try; `is_void` when there is no result."""

    reason: str
    is_void: bool = False


def fault_in(
    step: Step, text: str, transcript: Sequence[AnyMessage], around: Surroundings
) -> Fault | None:
    """What is wrong with the step's result, if anything is."""
    if not text.strip():
        return Fault("There was no result.", is_void=True)
    results = [message for message in transcript if isinstance(message, ToolMessage)]
    void = _in_words(step, text, has_acted=bool(results), task=around.task)
    if void:
        return Fault(void, is_void=True)
    found = (
        _doubled(step, text, around.others, has_acted=bool(results)),
        _missing_file(step, around.files),
        _broken_run(step, results),
        _missing_number(step, text),
    )
    return next((Fault(reason) for reason in found if reason), None)


def names_files(step: Step) -> bool:
    """Whether the step promises a file."""
    return bool(_FILE.search(step["done_when"]))


def who_answered(transcript: Sequence[AnyMessage]) -> str:
    """The model that gave the last answer, as `provider/model-id`; empty when it is not known."""
    last = next((m for m in reversed(transcript) if isinstance(m, AIMessage)), None)
    return model_of(last) if last is not None else ""


def model_of(reply: AIMessage) -> str:
    """The model that answered, as `provider/model-id`; empty when it is not known."""
    marks = reply.response_metadata
    provider, model = marks.get("model_provider"), marks.get("model_name")
    return f"{provider}/{model}" if provider and model else ""


def _in_words(step: Step, text: str, *, has_acted: bool, task: str) -> str:
    plain = _plain(text)
    if plain in {_plain(step["goal"]), _plain(task), _plain(step["done_when"])}:
        return "The result only repeated what was asked."
    if announces(text):
        return "The result only announced what would be done. Do it."
    if has_acted:
        return ""
    if step["kind"] == "act" and claims(text):
        return "The result says that something was done, but no tool was called. Call the tools."
    return "It was refused without a try. Use the tools." if refuses(text) else ""


def _doubled(step: Step, text: str, others: Mapping[int, str], *, has_acted: bool) -> str:
    """Two thoughts on different things are not the same word for word."""
    plain = _plain(text)
    if has_acted or len(plain) < _ALIKE_CHARS:
        return ""
    same = next((n for n, other in others.items() if n != step["id"] and _plain(other) == plain), 0)
    return f"It was word for word the result of step {same}. Do this step itself." if same else ""


def _missing_file(step: Step, files: Collection[str]) -> str:
    promised = step["done_when"]
    if step["kind"] != "act" or not _MADE.search(promised) or _UNMADE.search(promised):
        return ""
    known = {name for path in files for name in (path, path.rpartition("/")[2])}
    missing = [name for name in dict.fromkeys(_FILE.findall(promised)) if name not in known]
    return f"There is no file {', '.join(missing)} in the workspace." if missing else ""


def _broken_run(step: Step, results: Sequence[ToolMessage]) -> str:
    if not _RUNS.search(step["done_when"]):
        return ""
    last = next((m for m in reversed(results) if m.name in _CODE_TOOLS), None)
    if step["kind"] == "act" and last is None:
        return "The code was not run."
    if last is not None and last.status == "error":
        return "The code ended with an error when it was run last."
    return ""


def _missing_number(step: Step, text: str) -> str:
    if _NUMBER_WANTED.search(step["done_when"]) and not _NUMBER.search(text):
        return "The result holds no number, and one is wanted."
    return ""


def _plain(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum())
