"""Checking a conversation on the OpenAI wire: pairs, ids, roles and fields of its messages."""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

from potluck.simulator.dialect import Refusal
from potluck.simulator.profile import HistorySpec, Profile

type _Raw = Mapping[str, object]

_NINE = re.compile(r"[a-zA-Z0-9]{9}")


def check_history(messages: object, profile: Profile) -> None:
    """Check messages whose form is right already. Raises Refusal as the provider would."""
    history = _mappings(messages)
    spec = profile.history
    waiting: set[str] = set()
    for index, message in enumerate(history):
        _check_fields(message, index, spec)
        if message.get("role") == "tool":
            _take_result(message, index, waiting)
            continue
        _refuse_unanswered(waiting, index)
        waiting = _calls_of(message, index, spec)
    _refuse_unanswered(waiting, len(history))
    if spec.strict_roles:
        _check_roles(history)


def _mappings(messages: object) -> list[_Raw]:
    if not isinstance(messages, list):
        return []
    return [one for one in messages if isinstance(one, Mapping)]


def _check_fields(message: _Raw, index: int, spec: HistorySpec) -> None:
    role = str(message.get("role"))
    allowed = spec.message_fields
    extra = [] if allowed is None else [name for name in message if name not in allowed]
    if extra:
        text = spec.field_complaint.format(
            field=extra[0],
            role=role,
            dotted=f"messages.{index}",
            place=f"messages[{index}].{extra[0]}",
        )
        raise Refusal(text, status=spec.field_status, code="wrong_api_format")
    if (
        spec.text_only
        and role in {"assistant", "tool"}
        and isinstance(message.get("content"), list)
    ):
        raise Refusal(
            f"messages.{index}.{role}.content: Input should be a valid string",
            param=f"messages[{index}].content",
            code="wrong_api_format",
        )


def _take_result(message: _Raw, index: int, waiting: set[str]) -> None:
    call_id = message.get("tool_call_id")
    if call_id is None:
        raise Refusal(
            f"Missing required parameter: 'messages[{index}].tool_call_id'.",
            param=f"messages[{index}].tool_call_id",
            code="missing_required_parameter",
        )
    if call_id not in waiting:
        raise Refusal(
            "Invalid parameter: messages with role 'tool' must be a response to a preceeding "
            "message with 'tool_calls'.",
            param=f"messages[{index}].role",
        )
    waiting.discard(str(call_id))


def _refuse_unanswered(waiting: set[str], index: int) -> None:
    if waiting:
        raise Refusal(
            "An assistant message with 'tool_calls' must be followed by tool messages responding "
            "to each 'tool_call_id'. The following tool_call_ids did not have response messages: "
            f"{', '.join(sorted(waiting))}",
            param=f"messages[{max(index - 1, 0)}].role",
        )


def _calls_of(message: _Raw, index: int, spec: HistorySpec) -> set[str]:
    calls = message.get("tool_calls")
    ids = [str(call["id"]) for call in calls] if isinstance(calls, list) else []
    if message.get("content") is None and not ids:
        raise Refusal(
            f"Invalid value for 'content': expected a string, got null. (messages[{index}])",
            param=f"messages[{index}].content",
        )
    for number, call_id in enumerate(ids):
        _check_id(call_id, f"messages[{index}].tool_calls[{number}].id", spec)
    return set(ids)


def _check_id(call_id: str, place: str, spec: HistorySpec) -> None:
    if spec.tool_call_id == "nine" and not _NINE.fullmatch(call_id):
        raise Refusal(
            f"Tool call id was {call_id} but must be a-z, A-Z, 0-9, with a length of 9.",
            kind="invalid_function_call",
            code="3280",
        )
    if spec.max_id_length is not None and len(call_id) > spec.max_id_length:
        raise Refusal(
            f"Invalid '{place}': string too long. Expected a string with maximum length "
            f"{spec.max_id_length}, but got a string with length {len(call_id)} instead.",
            param=place,
            code="string_above_max_length",
        )


def _check_roles(history: Sequence[_Raw]) -> None:
    roles = [str(message.get("role")) for message in history]
    for before, role in pairwise(roles):
        if before == "tool" and role in {"user", "system"}:
            raise Refusal(
                f"Unexpected role '{role}' after role 'tool'",
                kind="invalid_request_message_order",
                code="3230",
            )
    if roles[-1] == "assistant" and not history[-1].get("prefix"):
        raise Refusal(
            "Expected last role User or Tool (or Assistant with prefix True) for serving but got "
            "assistant",
            kind="invalid_request_message_order",
            code="3230",
        )
