"""What is wrong with a model's words, told by rule: empty, announced, claimed, refused."""

import re
from collections.abc import Sequence

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage

_I = re.IGNORECASE
_ACT = (
    r"(?:call|use|run|invoke|execute|search|look (?:it |that |this )?up|read|open|fetch|check"
    r"|calculate|compute|write|create|list|get|find|save|query|start|proceed)"
)
_ANNOUNCED = re.compile(
    r"\b(?:I will|I'll|I’ll|I am going to|I'm going to|I’m going to|let me|allow me to|going to)\s+"  # noqa: RUF001 - typed so
    rf"(?:now |first |next |just |quickly |then |go ahead and )*{_ACT}\b[^.!?\n]*[.:!…]*\s*$"
    r"|(?:calling|using|running|invoking)\s+(?:the\s+)?[`\"']?\w+[`\"']?(?:\s+tool)?\s*(?:now)?[.:…]+\s*$"
    r"|(?:呼び出し|実行し|検索し|確認し|計算し|読み込み|調べ|使用し|使い)(?:てみ|に行き)?ます[。.…\uff1a:]*\s*$",
    _I,
)
_OFFERED = re.compile(r"\b(?:let me know|if you|would you|shall I|do you want)\b|\?\s*$|？\s*$", _I)  # noqa: RUF001 - typed so
_CLAIMED_LOOK = re.compile(
    r"\bI(?:['’]ve| have)?\s+(?:now |just |already |successfully )*"  # noqa: RUF001 - typed so
    r"(?:fetched|searched|read|downloaded)\b|検索(?:し|を行い|が完了し)ました",
    _I,
)
_CLAIMED_EFFECT = re.compile(
    r"\bI(?:['’]ve| have)?\s+(?:now |just |already |successfully )*"  # noqa: RUF001 - typed so
    r"(?:created|saved|written|wrote|ran|executed|deleted|updated|edited|added|stored|renamed"
    r"|moved|fixed|mended|changed|replaced)\b"
    r"|^\W*(?:all (?:of it )?(?:is|has been)|everything (?:is|has been)|it(?:'s| is| has been)"
    r"|that(?:'s| is)) (?:now )?(?:done|finished|completed?)\b"
    r"|^\W*(?:done|finished|completed)\W*$"
    r"|(?:file|script|program|table|plot|chart|report) (?:has been|was|is now) (?:successfully )?"
    r"(?:created|saved|written|updated|deleted|generated)"
    r"|(?:作成|保存|実行|書き込み|削除|更新|追加|修正|変更)(?:し|を行い|が完了し)ました|完了しました",
    _I,
)
# What is asked of the world, not of the answer.
_EFFECT_WANTED = re.compile(
    r"\b(?:mend|fix|repair|correct|change|edit|save|rename|move|delete|remove|append|replace|update"
    r"|overwrite|refactor|implement|run|execute|install|store|remember|forget)\b"
    r"|\b(?:write|create|make|add|put|generate)\b[^.!?\n]{0,80}"
    r"(?:\b(?:file|script|folder|table|program|page)\b|[\w-]\.\w{1,5}\b)"
    r"|直して|修正|保存|削除|変更|更新|追記|追加|置き換え|実行|(?:ファイル|に)[^。\n]{0,20}書い|作成して",
    _I,
)
_LOOKING = frozenset(
    {"read_file", "list_files", "search_files", "calculator", "current_time", "search_web"}
    | {"fetch_page", "get_weather", "query_database"}
)
_UNABLE = re.compile(
    r"\bI(?:['’]m| am)? (?:unable to|not able to"  # noqa: RUF001 - typed so
    r"|do(?:n't| not) have (?:the )?(?:ability|access|tools?)|can(?:'t|not| not)"
    r"|could(?:n't| not)|will not|won't)\b[^.!?\n]{0,60}"
    r"\b(?:do (?:it|this|that|so)|access|browse|open|read|run|execute|search|files?|internet|web"
    r"|real[- ]time|code|tools?|compute|calculate|write|create|complete|perform)\b"
    r"|\bas an? (?:AI|language model)\b[^.!?\n]{0,40}\b(?:can(?:'t|not)|unable|do not|don't)\b"
    r"|(?:アクセス|実行|閲覧|検索|読み込|作成|対応|お手伝い)[^。\n]{0,12}(?:できません|できかねます)",
    _I,
)
_UNWILLING = re.compile(
    r"\bI (?:will not|won['’]t|refuse to|decline to|would rather not)\s+"  # noqa: RUF001 - typed so
    r"(?:do|help|go on|continue|proceed|answer|take part)\b",
    _I,
)
_SHORT_CHARS = 400


def is_empty(reply: AIMessage) -> bool:
    """Whether the reply holds neither words nor calls."""
    return not str(reply.text).strip() and not reply.tool_calls and not reply.invalid_tool_calls


def announces(text: str) -> bool:
    """Whether the words end in saying that a tool will be used."""
    told = text.strip()
    if len(told) > _SHORT_CHARS or "```" in told:
        return False
    last = re.split(r"(?<=[.!?。！？])\s+|\n+", told)[-1]  # noqa: RUF001 - typed so
    return bool(_ANNOUNCED.search(last)) and not _OFFERED.search(last)


def claims(text: str) -> bool:
    """Whether the words say that something was done which only a tool can do."""
    return len(text) <= 2 * _SHORT_CHARS and (
        claims_effect(text) or bool(_CLAIMED_LOOK.search(text))
    )


def claims_effect(text: str) -> bool:
    """Whether the words tell that something was made or changed."""
    return len(text) <= 2 * _SHORT_CHARS and bool(_CLAIMED_EFFECT.search(text))


def refuses(text: str) -> bool:
    """Whether the words say that it cannot be done for want of tools, or of will."""
    return len(text) <= _SHORT_CHARS and bool(_UNABLE.search(text))


def is_unwilling(text: str) -> bool:
    """Whether the words say that it will not be done."""
    return len(text) <= _SHORT_CHARS and bool(_UNWILLING.search(text))


def has_used_tools(messages: Sequence[AnyMessage]) -> bool:
    """Whether a tool has run since a person spoke last."""
    for message in reversed(messages):
        if isinstance(message, HumanMessage):
            return False
        if isinstance(message, ToolMessage):
            return True
    return False


def has_only_looked(messages: Sequence[AnyMessage]) -> bool:
    """Whether a change is asked for and no tool has run since that could have made it."""
    for message in reversed(messages):
        if isinstance(message, HumanMessage):
            return bool(_EFFECT_WANTED.search(str(message.text)))
        if isinstance(message, ToolMessage) and message.name not in _LOOKING:
            return False
    return False


EMPTY_NUDGE = "Your answer was empty. Do what was asked: call a tool, or answer in words."
ANNOUNCED_NUDGE = (
    "You said what you will do, but called no tool. Call it now; if no tool is needed, answer."
)
CLAIMED_NUDGE = (
    "You say that it was done, but no tool was called, so nothing has happened. Call the tools "
    "that do it now; if none is needed, give the answer itself."
)
LOOKED_NUDGE = (
    "You say that it was done, but the tools have only looked so far: nothing has been changed. "
    "Call the tools that do it now; if nothing needs to be changed, give the answer itself."
)
UNABLE_NUDGE = (
    "You have tools, and none was tried. If one of them can do it, call it now; if it still cannot "
    "be done, say in one sentence why."
)
UNWILLING_NUDGE = (
    "The user asked for this. If nothing speaks against it but that you find it of no use, go on: "
    "call the tools, or answer from their results. Otherwise give the reason in one sentence."
)


def nudge_for(reply: AIMessage, messages: Sequence[AnyMessage], *, may_call: bool) -> str:
    """What to tell a model whose reply will not do; empty when it will."""
    if is_empty(reply):
        return EMPTY_NUDGE
    if not may_call or reply.tool_calls or reply.invalid_tool_calls:
        return ""
    text = str(reply.text)
    untried = not has_used_tools(messages)
    faults = (
        (announces(text), ANNOUNCED_NUDGE),
        (is_unwilling(text), UNWILLING_NUDGE),
        (untried and claims(text), CLAIMED_NUDGE),
        (claims_effect(text) and has_only_looked(messages), LOOKED_NUDGE),
        (untried and refuses(text), UNABLE_NUDGE),
    )
    return next((nudge for is_at_fault, nudge in faults if is_at_fault), "")
