"""The request that a run is about, and what it may need: nothing, knowledge alone, or tools."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage

from graph.state import TaskType
from nodes.request_words import CHORE, STEPS, excerpt, is_assent, is_small_talk

Need = Literal["talk", "knowledge", "tools"]

# What only a tool knows or does: figures, the time, files, the web, databases, running code, notes.
_TOOLS = re.compile(
    r"\d|https?:|\bwww\.|[@#]\w"
    r"|\b(?:now|today|tonight|tomorrow|yesterday|this (?:week|weekend|month|year|morning|evening)"
    r"|ago"
    r"|(?:next|last|coming) (?:week|weekend|month|year|night|time|\w+day)|current(?:ly)?|latest"
    r"|recent(?:ly)?"
    r"|newest|up[ -]to[ -]date|news|dates?|calendar|day of the week|weekday|deadline|until"
    r"|what time|o'clock"
    r"|time ?zone|weather|forecast|rain(?:ing)?|snow(?:ing)?|temperature|umbrella|prices?|costs?"
    r"|rates?|stocks?"
    r"|bitcoin|who won|score|opening hours|open(?:ed|ing)?|available"
    r"|calculat\w+|comput\w+|convert|square root|percent|sum of|average|how much is|divided|times"
    r"|plus|minus"
    r"|files?|folders?|director(?:y|ies)|workspace|documents?|attach\w*|upload\w*|notes?"
    r"|invoices?|contracts?"
    r"|spreadsheets?|pdf|csv|xlsx?|save|append|delete|append|store|list my|database|query|table"
    r"|shop\.db"
    r"|web|internet|online|google|websites?|site|page|url|link|search|look up|look it up"
    r"|articles?|sources?"
    r"|find (?:me|out)|verify|check whether|run|execute|plot|chart|graph|install|terminal|command"
    r"|test it"
    r"|remember|forget|remind|schedule|send|book)\b"
    r"|\b[\w-]+\.(?:txt|md|csv|json|ya?ml|py|js|ts|db|sqlite|pdf|docx?|xlsx?|html?|log|png|jpe?g"
    r"|zip)\b"
    r"|[〇一二三四五六七八九十百千万]+(?:円|人|個|枚|割|倍|乗|桁|度|キロ|日間|泊)"
    r"|今(?!まで|度)|現在|本日|今日|明日|明後日|昨日|一昨日|来週|先週|今週|来月|先月|今月|来年"
    r"|去年|今年|今夜|最新|最近|ニュース"
    r"|何時|何日|何曜日|曜日|日付|あと何|まで何|天気|気温|雨が|雪が|傘|降[るり]|値段|価格|料金"
    r"|レート|株価|開催中|営業時間"
    r"|計算|合計|平均|平方根|足し|引い|掛け|割る|ファイル|フォルダ|ワークスペース|添付|資料"
    r"|議事録|見積|契約書|請求書|メモ|表に"
    r"|保存|追記|追加して|削除|データベース|ウェブ|ネットで|サイト|ページ|検索|調べて|探して|実行"
    r"|走らせ|グラフ|プロット"
    r"|覚えて|忘れて|思い出|予約|送って",
    re.IGNORECASE | re.ASCII,
)
# What it is about stands somewhere else.
_REFERS = re.compile(
    r"\b(?:it|them|these|those|above|previous|earlier|again)\b"
    r"|さっき|先ほど|あれ|それ|これ|例の|前の|上の",
    re.IGNORECASE | re.ASCII,
)
# A question or an order that can be met from what a model knows, or with words alone.
_KNOWLEDGE = re.compile(
    r"\A\W*(?:please |could you |can you |would you |i'd like you to )?"
    r"(?:what|who|whose|which|where|when|why|how|is|are|was|were|do (?:you|i|we|they|people|most)"
    r"|does|did|can|should|would|explain|describe"
    r"|define|tell me|give me|suggest|recommend|translate|spell|rewrite|rephrase"
    r"|(?:write|draft|compose) (?:me |us )?(?:a|an|my|some|the) (?!and\b)\w{2,}"
    r"|(?:name|list) (?:a few|some|the|all|any)|outline|imagine|teach|help me|proofread"
    r"|summari[sz]e|fix the grammar|shorten"
    r"|brainstorm|i'm |my )\b"
    r"|[?？]\W*\Z"  # noqa: RUF001 - typed so
    r"|(?:は|って|とは|か)[？?。\s]*\Z|教えて(?:ください|下さい|ほしい|欲しい)?[。！!]?\s*\Z"  # noqa: RUF001 - typed so
    r"|説明して|訳して|言いますか|とは何"
    r"|(?:書|考え|作っ|直し|紹介し|語にし|要約し|述べ|相談し)(?:いて|て|たい)|ください[。！!]?\s*\Z|を(?:くれ|ください)|コツ|方法",  # noqa: RUF001 - typed so
    re.IGNORECASE,
)
_QUESTION = re.compile(r"[?？]\W*\Z|(?:です|ます|でしょう)か。?\W*\Z")  # noqa: RUF001 - typed so
_GO_ON = re.compile(
    r"\W*(?:go (?:on|ahead)|do (?:it|that|so)|please do|continue|proceed|carry on|next|go|both"
    r"|all of them"
    r"|the (?:first|second|third|last) one|続けて|続き|お願い|やって|そうして|進めて)\b.{0,20}",
    re.IGNORECASE | re.DOTALL,
)
# Where another order may begin.
_ANOTHER = re.compile(r"[.?!。？！\n]\s*\S|\b(?:and|then)\b|て、|てから")  # noqa: RUF001 - typed so
# Several parts, each of which may be a step.
_PARTS = re.compile(
    r"\b(?:two|three|four|five|both|each|every|all|several|steps?|stages|phases|plan|then)\b"
    r"|それぞれ|すべて|全て|二つ|三つ|両方|各|手順|段階|計画",
    re.IGNORECASE | re.ASCII,
)
_PLACES = re.compile(
    r"https?:|\bwww\.|\b[\w-]+\.(?:txt|md|csv|json|py|pdf|docx?|xlsx?|html?|log)\b"
    r"|\b(?:files?|folders?|workspace|attach\w*|page|website|save)\b|ファイル|フォルダ|ページ|添付|保存",
    re.IGNORECASE | re.ASCII,
)
_REPLY_CHARS = 200
_CLEAR_CHARS = 6
_CLEAR_WORDS = 3
_ONE_THING_CHARS = 400


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked: the last message, with the one before where it only goes on with that.

    `is_reply`: it answers what the agent asked. `amid_tools`: tools were used just before.
    """

    text: str
    is_reply: bool = False
    amid_tools: bool = False


def request_in(messages: Sequence[AnyMessage]) -> Request:
    """The request that a conversation ends in."""
    at = _last_human(messages)
    if at is None:
        return Request("")
    text = str(messages[at].text)
    before = messages[:at]
    asked_at = _last_human(before)
    since = before[(asked_at or 0) :]
    amid_tools = any(isinstance(message, ToolMessage) for message in since)
    said = next((str(m.text) for m in reversed(since) if isinstance(m, AIMessage)), "")
    is_reply = _QUESTION.search(said[-_REPLY_CHARS:]) is not None and len(text) <= _REPLY_CHARS
    goes_on = _GO_ON.fullmatch(text) is not None or (is_reply and not _is_farewell(text))
    if asked_at is not None and goes_on:
        text = f"{before[asked_at].text}\n{text}"
    return Request(text, is_reply=is_reply, amid_tools=amid_tools)


def need_of(request: Request, kind: TaskType) -> Need:
    """What the request may need; `tools` unless it is clear that it needs none."""
    if is_small_talk(request.text) and not (request.is_reply and not _is_farewell(request.text)):
        return "talk"
    if kind not in ("simple_task", "general") or request.amid_tools:
        return "tools"
    seen = excerpt(request.text)
    # What a text speaks of that is only to be put in other words needs no tool.
    is_chore = CHORE.search(seen) is not None
    if not _is_clear(seen) or (_PLACES if is_chore else _TOOLS).search(seen):
        return "tools"
    if _REFERS.search(seen) and not is_chore:
        return "tools"
    return "knowledge" if is_chore or _KNOWLEDGE.search(seen) else "tools"


def _is_clear(text: str) -> bool:
    """Whether it is long enough to stand for itself."""
    plain = text.strip()
    return len(plain.split()) >= _CLEAR_WORDS or (
        not plain.isascii() and len(plain) >= _CLEAR_CHARS
    )


def may_need_plan(request: Request, kind: TaskType, need: Need) -> bool:
    """Whether a plan is thinkable: not for talk, plain questions, and what one tool does."""
    seen = excerpt(request.text)
    if need != "tools":
        return False
    if STEPS.search(seen):
        return True
    uses_tools = _TOOLS.search(seen) is not None
    if kind in ("code_generation", "complex_reasoning"):
        return uses_tools or _PARTS.search(seen) is not None or not _is_one_thing(seen)
    is_clear = uses_tools or _KNOWLEDGE.search(seen) is not None
    return not (is_clear and _is_one_thing(seen))


def _is_one_thing(text: str) -> bool:
    """A single order or question."""
    return len(text) <= _ONE_THING_CHARS and len(_ANOTHER.findall(text.strip())) <= 1


def _is_farewell(text: str) -> bool:
    """Thanks or a greeting, which answer no question; a yes or no does."""
    return is_small_talk(text) and not is_assent(text)


def _last_human(messages: Sequence[AnyMessage]) -> int | None:
    numbered = reversed(list(enumerate(messages)))
    return next((at for at, message in numbered if isinstance(message, HumanMessage)), None)
