"""Approvals as a card: one call of the client's tool `ask_user`, and the answer that comes back.

The tool is Open WebUI's own, which shows the questions with buttons and keeps them over a reload.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from potluck.server.approvals import Approval, Resume, approved, rejected, shown
from potluck.server.openai import request as wire

ASK_USER = "ask_user"
APPROVE, REJECT = "Approve", "Reject"
MAX_QUESTIONS = 3
# The longest that the client takes; after it the card says that nobody answered.
TIMEOUT_MS = 240_000
# What the client cuts off is not seen by whoever decides.
QUESTION_CHARS = 500
HEADER_CHARS = 48


@dataclass(frozen=True, slots=True)
class Card:
    """A call of `ask_user` that asks for decisions; `id` is that of the call."""

    id: str
    arguments: str


@dataclass(frozen=True, slots=True)
class CardAnswer:
    """What came back for the call with this id."""

    id: str
    text: str


def takes_cards(request: wire.ChatRequest) -> bool:
    """Whether the client offers `ask_user` in the form that is known here."""
    if request.tool_choice == "none":
        return False
    offered = [tool.function for tool in request.tools or [] if tool.function.name == ASK_USER]
    if len(offered) != 1:
        return False
    properties = (offered[0].parameters or {}).get("properties")
    return isinstance(properties, Mapping) and "questions" in properties


def asked_at_once(approvals: Sequence[Approval]) -> Sequence[Approval]:
    """Those that one card asks about; the others come with the next one."""
    return approvals[:MAX_QUESTIONS]


def card_for(approvals: Sequence[Approval]) -> Card:
    """The card that asks about the first of these approvals."""
    asked = asked_at_once(approvals)
    questions = [
        {
            "id": name,
            "header": _cut(f"Run {one.name}?", HEADER_CHARS),
            "question": _question(one),
            "options": [
                {"label": APPROVE, "description": "Run it once, as it is shown."},
                {"label": REJECT, "description": "Do not run it."},
            ],
            "allow_other": True,
        }
        for name, one in zip(_names(asked), asked, strict=True)
    ]
    body = {"questions": questions, "allow_other": True, "timeout_ms": TIMEOUT_MS}
    return Card(card_id(approvals), json.dumps(body, ensure_ascii=False))


def card_id(approvals: Sequence[Approval]) -> str:
    """The id of the card for these approvals: the same as long as the same ones wait."""
    ids = "\x1f".join(one.id for one in asked_at_once(approvals))
    return f"ask_{hashlib.sha256(ids.encode()).hexdigest()[:24]}"


def card_answer(messages: Sequence[wire.Message]) -> CardAnswer | None:
    """The answer to a card that a conversation ends with; None when it ends otherwise."""
    last = messages[-1]
    if not isinstance(last, wire.ToolMessage) or last.tool_call_id not in answered_cards(messages):
        return None
    return CardAnswer(last.tool_call_id, wire.text_in(last.content))


def answered_cards(messages: Sequence[wire.Message]) -> list[str]:
    """The ids of the calls of `ask_user` that have an answer."""
    calls = {
        call.id
        for message in messages
        if isinstance(message, wire.AssistantMessage)
        for call in message.tool_calls or []
        if call.function.name == ASK_USER
    }
    results = [m.tool_call_id for m in messages if isinstance(m, wire.ToolMessage)]
    return [one for one in results if one in calls]


def without_cards(messages: Sequence[wire.Message]) -> list[wire.Message]:
    """The conversation without calls of `ask_user`, which no model has made, and their answers."""
    cards = set(answered_cards(messages))
    kept: list[wire.Message] = []
    for message in messages:
        if isinstance(message, wire.ToolMessage) and message.tool_call_id in cards:
            continue
        if isinstance(message, wire.AssistantMessage) and message.tool_calls:
            calls = [call for call in message.tool_calls if call.id not in cards]
            if not calls and not wire.text_in(message.content).strip():
                continue
            message = message.model_copy(update={"tool_calls": calls or None})  # noqa: PLW2901 - the same without them
        kept.append(message)
    return kept


def decide_by_card(answer: CardAnswer, approvals: Sequence[Approval]) -> Resume:
    """What the card's approvals are answered with; only what is plainly approved may run.

    Own words in place of a button are a no that is handed on to the model.
    """
    asked = asked_at_once(approvals)
    answers = _answers_in(answer.text)
    return {
        one.id: _decision(answers.get(name)) for name, one in zip(_names(asked), asked, strict=True)
    }


def _names(asked: Sequence[Approval]) -> list[str]:
    if len(asked) == 1:
        return ["approve"]
    return [f"approve_{number}" for number in range(1, len(asked) + 1)]


def _question(approval: Approval) -> str:
    args = " · ".join(shown(approval.args).split("\n")) or "no arguments"
    why = f"{approval.description} " if approval.description else ""
    return _cut(f"{why}{approval.name}: {args}", QUESTION_CHARS)


def _cut(text: str, chars: int) -> str:
    rest = "… (whole above)" if chars > HEADER_CHARS else "…"
    return text if len(text) <= chars else text[: chars - len(rest)] + rest


def _answers_in(text: str) -> Mapping[str, object]:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(body, dict) or body.get("status") != "answered" or body.get("timed_out"):
        return {}
    answers = body.get("answers")
    return answers if isinstance(answers, dict) else {}


def _decision(answer: object) -> object:
    if not isinstance(answer, Mapping):
        return rejected()
    if answer.get("type", "option") == "other":
        said = answer.get("text")
        return rejected(said.strip() if isinstance(said, str) else "")
    place = answer.get("option_index")
    is_first = isinstance(place, int) and not isinstance(place, bool) and place == 0
    is_approved = (
        is_first and answer.get("label") == APPROVE and answer.get("type", "option") == "option"
    )
    return approved() if is_approved else rejected()
