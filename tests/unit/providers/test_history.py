"""A history is made fit for the next provider, and keeps what it says."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from potluck.providers.answers import sign
from potluck.providers.catalog import Api, Model
from potluck.providers.dialects import MARKS
from potluck.providers.history import BEGIN, GO_ON, NOTED, repaired
from potluck.providers.history_calls import NOTHING, UNFINISHED

GROQ = Model(provider="groq", id="gpt-oss")
GEMINI = Model(
    provider="google_gemini", id="gemini-3.8-flash", capabilities=frozenset({"tools", "vision"})
)
NO_TOOLS = Model(provider="ollama", id="gemma", capabilities=frozenset())
TARGETS: list[tuple[Api, Model]] = [("groq", GROQ), ("gemini", GEMINI), ("ollama", NO_TOOLS)]


def repair(*messages: BaseMessage, api: Api = "groq", model: Model = GROQ) -> list[BaseMessage]:
    return repaired(messages, api=api, model=model)


def call(call_id: str | None, name: str = "look", **args: Any) -> dict[str, Any]:
    return {"name": name, "args": args, "id": call_id, "type": "tool_call"}


def result(text: Any, call_id: str, **facts: Any) -> ToolMessage:
    return ToolMessage(text, tool_call_id=call_id, **facts)


def signed(message: AIMessage, model: Model, api: Api) -> AIMessage:
    sign(message, provider=model.provider, model=model.id, dialect=MARKS[api])
    return message


def shape(messages: Sequence[BaseMessage]) -> list[tuple[str, str]]:
    return [(message.type, str(message.text)) for message in messages]


def pairs(messages: Sequence[BaseMessage]) -> list[tuple[str, str]]:
    """Each call's name and its result, by their ids."""
    results = {m.tool_call_id: m.text for m in messages if isinstance(m, ToolMessage)}
    answers = [message for message in messages if isinstance(message, AIMessage)]
    return [(c["name"], results[str(c["id"])]) for answer in answers for c in answer.tool_calls]


QUESTION = HumanMessage("Well?")


def test_leaves_a_plain_conversation_as_it_is() -> None:
    history = [SystemMessage("Be brief."), QUESTION, AIMessage("Yes."), HumanMessage("Sure?")]
    assert repair(*history) == history
    assert repair() == []


def test_an_orphan_call_is_closed_with_a_stated_result() -> None:
    asked = AIMessage("", tool_calls=[call("a"), call("b")])
    history = repair(QUESTION, asked, result("found", "b"))
    assert pairs(history) == [("look", UNFINISHED), ("look", "found")]
    assert [m.status for m in history if isinstance(m, ToolMessage)] == ["error", "success"]


def test_an_orphan_result_gets_a_call_and_stays_a_tools_word() -> None:
    history = repair(QUESTION, result("found", "a", name="look"))
    assert shape(history) == [("human", "Well?"), ("ai", ""), ("tool", "found")]
    assert pairs(history) == [("look", "found")]


def test_a_result_that_came_late_moves_behind_its_call() -> None:
    asked = AIMessage("", tool_calls=[call("a")])
    history = repair(QUESTION, asked, HumanMessage("Hurry."), result("found", "a"))
    assert shape(history) == [
        ("human", "Well?"),
        ("ai", ""),
        ("tool", "found"),
        ("ai", NOTED),
        ("human", "Hurry."),
    ]


def test_a_second_result_of_one_call_is_dropped() -> None:
    asked = AIMessage("", tool_calls=[call("a")])
    history = repair(QUESTION, asked, result("first", "a"), result("second", "a"))
    assert pairs(history) == [("look", "first")]
    assert len(history) == 3


def test_calls_of_one_id_in_different_turns_get_ids_and_results_of_their_own() -> None:
    first, second = (AIMessage("", tool_calls=[call("call_0", n=n)]) for n in (1, 2))
    history = repair(
        QUESTION, first, result("one", "call_0"), second, result("two", "call_0"), QUESTION
    )
    assert [text for _, text in pairs(history)] == ["one", "two"]


def test_ids_are_of_nine_letters_and_digits_and_stay_from_call_to_call() -> None:
    asked = AIMessage("", tool_calls=[call("call_abc-123456789"), call("abcDEF123"), call(None)])
    history = [QUESTION, asked, result("a", "call_abc-123456789"), result("b", "abcDEF123")]
    ids = [[c["id"] for c in m.tool_calls] for m in repair(*history) if isinstance(m, AIMessage)]
    longer = repair(*history, AIMessage("So."), HumanMessage("And?"))
    assert ids[0] == [c["id"] for m in longer if isinstance(m, AIMessage) for c in m.tool_calls]
    assert ids[0][1] == "abcDEF123"
    assert all(len(str(one)) == 9 and str(one).isalnum() for one in ids[0])


def test_what_another_model_thought_is_left_out() -> None:
    thoughts = [
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "reasoning", "reasoning": "Hm.", "extras": {"signature": "c2ln"}},
        {"type": "text", "text": "Yes.", "extras": {"signature": "c2ln"}, "index": 1},
        {"type": "function_call", "name": "look"},
    ]
    answer = AIMessage(
        thoughts,
        additional_kwargs={"reasoning_content": "Hm.", "function_call": {"name": "look"}},
        response_metadata={"x_groq": {"id": "req"}, "model_provider": "google_genai"},
        tool_calls=[call("a")],
        name="executor",
    )
    taken = repair(QUESTION, answer)[1]
    assert isinstance(taken, AIMessage)
    assert (taken.content, taken.name) == ("Yes.", None)
    assert (taken.additional_kwargs, taken.response_metadata) == ({}, {})
    assert len(taken.tool_calls) == 1


@pytest.mark.parametrize("kind", [AIMessage, AIMessageChunk])
def test_a_models_own_answer_comes_back_to_it_untouched(kind: type[AIMessage]) -> None:
    own = signed(
        kind(
            [
                {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
                {"type": "text", "text": "I look.", "extras": {"signature": "c2ln"}},
            ],
            additional_kwargs={"__gemini_function_call_thought_signatures__": {"id-1": "c2ln"}},
            tool_calls=[call("id-1")],
        ),
        GEMINI,
        "gemini",
    )
    history = [QUESTION, own, result("found", "id-1", name="look")]
    assert repair(*history, api="gemini", model=GEMINI) == history
    sibling = Model(provider="google_gemini", id="gemini-3.5-flash-lite")
    taken = repair(*history, api="gemini", model=sibling)[1]
    assert (taken.content, taken.additional_kwargs) == ("I look.", {})


def test_its_own_answer_is_repaired_where_it_is_broken() -> None:
    """An id that stands for another call already, an unreadable call, no answer at all."""
    twice = [signed(AIMessage("", tool_calls=[call("same-id")]), GROQ, "groq") for _ in range(2)]
    history = repair(QUESTION, twice[0], result("1", "same-id"), twice[1], result("2", "same-id"))
    assert history[1] is twice[0]
    assert [text for _, text in pairs(history)] == ["1", "2"]
    empty = signed(AIMessage("", additional_kwargs={"reasoning_content": "Hm."}), GROQ, "groq")
    assert repair(QUESTION, empty) == [QUESTION]


def test_an_unreadable_call_becomes_a_readable_one_that_was_not_run() -> None:
    broken = {"name": "look", "args": '{"what": "sun', "id": "a", "error": None}
    answer = AIMessage("", invalid_tool_calls=[{**broken, "type": "invalid_tool_call"}])
    history = repair(QUESTION, answer)
    taken = history[1]
    assert isinstance(taken, AIMessage)
    assert taken.invalid_tool_calls == []
    assert [one["args"] for one in taken.tool_calls] == [{"what": "sun"}]
    assert "could not be read" in history[2].text
    told = repair(QUESTION, answer, result("Mend your JSON.", "a"))
    assert told[2].text == "Mend your JSON."


@pytest.mark.parametrize("raw", [None, "", "[" * 50_000, "look!"])
def test_a_call_that_nobody_can_read_has_no_arguments(raw: str | None) -> None:
    broken = {"name": None, "args": raw, "id": None, "error": "no JSON"}
    answer = AIMessage("", invalid_tool_calls=[{**broken, "type": "invalid_tool_call"}])
    taken = repair(QUESTION, answer)[1]
    assert isinstance(taken, AIMessage)
    assert [(one["name"], one["args"]) for one in taken.tool_calls] == [("_", {})]


@pytest.mark.parametrize(
    ("name", "expected"), [("look.up now", "look_up_now"), ("2nd", "_2nd"), ("x" * 70, "x" * 64)]
)
def test_a_tools_name_is_one_that_every_api_takes(name: str, expected: str) -> None:
    asked = AIMessage("", tool_calls=[call("a", name)])
    history = repair(QUESTION, asked, result("found", "a", name=name))
    assert pairs(history) == [(expected, "found")]
    assert history[-1].name == expected


def test_arguments_hold_only_what_json_knows() -> None:
    asked = AIMessage("", tool_calls=[call("a", n=float("nan"), deep=[{"x": float("inf")}])])
    taken = repair(QUESTION, asked)[1]
    assert isinstance(taken, AIMessage)
    assert taken.tool_calls[0]["args"] == {"n": "nan", "deep": [{"x": "inf"}]}


def test_neighbours_of_one_role_become_one_message() -> None:
    history = repair(
        HumanMessage("One."),
        HumanMessage([{"type": "text", "text": "Two."}]),
        AIMessage("I look."),
        AIMessage("", tool_calls=[call("a")]),
    )
    assert shape(history) == [
        ("human", "One.\n\nTwo."),
        ("ai", "I look."),
        ("tool", UNFINISHED),
    ]


def test_its_own_signatures_outlive_a_neighbour_of_the_same_role() -> None:
    text = {"type": "text", "text": "I look.", "extras": {"signature": "c2ln"}}
    own = signed(AIMessage([text], tool_calls=[call("id-1")]), GEMINI, "gemini")
    other = AIMessage([{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "So."}])
    taken = repair(QUESTION, other, own, api="gemini", model=GEMINI)[1]
    assert taken.content == [{"type": "text", "text": "So."}, text]
    assert taken.response_metadata == own.response_metadata


def test_empty_messages_vanish_and_empty_results_say_so() -> None:
    asked = AIMessage("", tool_calls=[call("a"), call("b")])
    history = repair(
        SystemMessage(" "),
        HumanMessage(""),
        AIMessage([]),
        HumanMessage([{"type": "text", "text": "\n"}, "Well?"]),
        asked,
        result("", "a"),
        result([], "b"),
    )
    assert shape(history) == [
        ("human", "\nWell?"),
        ("ai", ""),
        ("tool", NOTHING),
        ("tool", NOTHING),
    ]


def test_a_person_speaks_first_and_last() -> None:
    assert shape(repair(AIMessage("Hello!"))) == [
        ("human", BEGIN),
        ("ai", "Hello!"),
        ("human", GO_ON),
    ]
    assert shape(repair(SystemMessage("Tell a joke."))) == [
        ("system", "Tell a joke."),
        ("human", BEGIN),
    ]


def test_system_messages_are_one_in_front() -> None:
    history = repair(
        SystemMessage("Be brief."),
        QUESTION,
        SystemMessage([{"type": "text", "text": "Be kind."}], additional_kwargs={"x": 1}),
        ChatMessage("Be true.", role="developer"),
    )
    assert shape(history) == [("system", "Be brief.\n\nBe kind.\n\nBe true."), ("human", "Well?")]


def test_other_kinds_of_messages_take_the_roles_that_all_apis_know() -> None:
    history = repair(
        ChatMessage("Hi.", role="user"),
        ChatMessage("Hello.", role="assistant"),
        ChatMessage("How?", role="critic"),
        AIMessage("", additional_kwargs={"function_call": {"name": "look", "arguments": "{}"}}),
        FunctionMessage("found", name="look"),
    )
    assert shape(history)[:3] == [("human", "Hi."), ("ai", "Hello."), ("human", "How?")]
    assert pairs(history) == [("look", "found")]


def test_a_speakers_name_becomes_part_of_the_text() -> None:
    history = repair(HumanMessage("Hi.", name="Ann"), HumanMessage("Ho.", name="Bo B."))
    assert shape(history) == [("human", "Ann: Hi.\n\nBo B.: Ho.")]
    assert history[0].name is None


def test_a_huge_result_is_untouched() -> None:
    text = "  line\n" * 200_000
    history = repair(QUESTION, AIMessage("", tool_calls=[call("a")]), result(text, "a"))
    assert history[-1].content == text


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("plain", "plain"),
        ("1.50", '"1.50"'),
        ("NaN", '"NaN"'),
        ('{"a": 1}', '"{\\"a\\": 1}"'),
        ("9" * 5000, f'"{"9" * 5000}"'),
        ("[" * 50_000, f'"{"[" * 50_000}"'),
    ],
)
def test_geminis_class_finds_a_results_very_words(text: str, sent: str) -> None:
    history = [QUESTION, AIMessage("", tool_calls=[call("a")]), result(text, "a")]
    assert repair(*history, api="gemini", model=GEMINI)[-1].content == sent
    assert repair(*history)[-1].content == text


def test_a_model_without_tools_is_told_what_was_called_and_found() -> None:
    asked = AIMessage("I look.", tool_calls=[call("a", what="sun"), call("b", what="moon")])
    history = repair(
        QUESTION, asked, result("up", "a"), result("down", "b"), api="ollama", model=NO_TOOLS
    )
    assert shape(history) == [
        ("human", "Well?"),
        ("ai", 'I look.\n[Called look with {"what": "sun"}]\n[Called look with {"what": "moon"}]'),
        ("human", "[Result of look]\nup\n\n[Result of look]\ndown"),
    ]


texts = st.one_of(st.sampled_from(["", " \n"]), st.text(st.characters(), max_size=8))
ids = st.sampled_from(["", "a", "b", "call_0", "abcDEF123", "chatcmpl-tool-" + "9" * 40])
blocks = st.one_of(
    texts,
    st.fixed_dictionaries({"type": st.just("text"), "text": texts}),
    st.fixed_dictionaries({"type": st.just("thinking"), "thinking": texts}),
    st.just({"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}),
    st.just({"type": "image", "base64": "aGk=", "mime_type": "image/png"}),
    st.just({"type": "video", "file_id": "f"}),
)
contents = st.one_of(texts, st.lists(blocks, max_size=3))
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
calls = st.builds(call, st.none() | ids, st.sampled_from(["look", "a b", ""]), what=json_values)
broken_calls = st.builds(
    lambda call_id, raw: {"name": "look", "args": raw, "id": call_id, "error": None},
    st.none() | ids,
    st.none() | texts,
)


@st.composite
def answers(draw: st.DrawFn) -> AIMessage:
    message = AIMessage(
        draw(contents),
        tool_calls=draw(st.lists(calls, max_size=3)),
        invalid_tool_calls=draw(st.lists(broken_calls, max_size=1)),
    )
    maker = draw(st.none() | st.sampled_from(TARGETS))
    return message if maker is None else signed(message, maker[1], maker[0])


histories = st.lists(
    st.one_of(
        answers(),
        st.builds(result, contents, ids),
        st.builds(HumanMessage, contents, name=st.none() | texts),
        st.builds(SystemMessage, contents),
        st.builds(FunctionMessage, texts, name=st.just("look")),
    ),
    min_size=1,
    max_size=7,
)


def speaker(message: BaseMessage) -> str:
    return "ai" if isinstance(message, AIMessage) else message.type


def check_form(messages: Sequence[BaseMessage]) -> None:
    """The rules of all the APIs at once."""
    roles = [speaker(message) for message in messages]
    assert "system" not in roles[1:]
    spoken = [role for role in roles if role != "system"]
    assert spoken[0] == "human"
    assert spoken[-1] in {"human", "tool"}
    assert all(a != b or a == "tool" for a, b in pairwise(spoken))
    assert ("tool", "human") not in pairwise(spoken)
    seen: set[str] = set()
    waiting: list[str] = []
    for message in messages:
        calls = message.tool_calls if isinstance(message, AIMessage) else []
        assert message.text.strip() or calls or "image_url" in str(message.content)
        if isinstance(message, ToolMessage):
            assert message.tool_call_id == waiting.pop(0)
            assert isinstance(message.content, str)
            continue
        assert not waiting
        waiting = [str(one["id"]) for one in calls]
        assert len({*waiting} - seen) == len(waiting)
        seen.update(waiting)
    assert not waiting


@settings(max_examples=60, deadline=None)
@given(history=histories)
@pytest.mark.parametrize(("api", "model"), TARGETS)
def test_any_history_takes_the_form_that_all_apis_accept_and_keeps_it(
    api: Api, model: Model, history: list[BaseMessage]
) -> None:
    once = repaired(history, api=api, model=model)
    check_form(once)
    assert repaired(once, api=api, model=model) == once
