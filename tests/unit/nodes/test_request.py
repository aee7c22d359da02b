"""The request is told from the conversation, and what it may need from its words."""

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage

from nodes.request import need_of, request_in
from nodes.task_type import task_type_of


def need(*messages: AnyMessage) -> str:
    request = request_in(messages)
    return need_of(request, task_type_of(request.text))


def asked_back(question: str, answer: str) -> list[AnyMessage]:
    return [
        HumanMessage("Write a Python script that cleans my data"),
        AIMessage(question),
        HumanMessage(answer),
    ]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Which file is it in?", "sales.csv"),
        ("Which file is it in?", "yes"),
        ("どのファイルですか。", "sales.csv"),
    ],
)
def test_the_answer_to_a_question_goes_on_with_the_request(question: str, answer: str) -> None:
    request = request_in(asked_back(question, answer))
    assert request.is_reply
    assert "Python script" in request.text
    assert request.text.endswith(answer)
    assert task_type_of(request.text) == "code_generation"


def test_thanks_are_no_answer_to_a_question() -> None:
    messages = asked_back("It is done. Is there anything else?", "thanks, bye")
    assert request_in(messages).text == "thanks, bye"
    assert need(*messages) == "talk"


def test_a_yes_means_what_was_asked_and_is_no_small_talk() -> None:
    assert need(HumanMessage("yes")) == "talk"
    assert need(*asked_back("Shall I run it?", "yes, please")) == "tools"


def test_going_on_means_the_request_before() -> None:
    messages = [HumanMessage("Read a.csv and b.csv"), AIMessage("a.csv is read."),
                HumanMessage("go on")]  # fmt: skip
    assert request_in(messages).text == "Read a.csv and b.csv\ngo on"


def test_a_new_request_stands_for_itself() -> None:
    messages = [HumanMessage("Write code"), AIMessage("Done."),
                HumanMessage("What is the capital of Peru?")]  # fmt: skip
    assert request_in(messages).text == "What is the capital of Peru?"
    assert need(*messages) == "knowledge"


def test_after_tools_were_used_a_plain_question_may_be_about_their_results() -> None:
    call = AIMessage("", tool_calls=[{"name": "read_file", "args": {"path": "a"}, "id": "1"}])
    used = [HumanMessage("Read a"), call, ToolMessage("x", tool_call_id="1"), AIMessage("It is x.")]
    assert need(*used, HumanMessage("Why is the sky blue?")) == "tools"
    assert need(*used, HumanMessage("thank you!")) == "talk"


def test_without_any_message_of_a_person_nothing_is_ruled_out() -> None:
    assert request_in([AIMessage("hello")]).text == ""
    assert need(AIMessage("hello")) == "tools"


@pytest.mark.parametrize(
    "text",
    ["hello, what is 2+2?", "thanks, now read a.txt", "hi 5", "ok, run it", "good news today?",
     "こんにちは、今日の天気は？", "ありがとう、次はb.txtも"],  # noqa: RUF001 - typed so
)  # fmt: skip
def test_a_greeting_with_a_request_is_no_small_talk(text: str) -> None:
    assert need(HumanMessage(text)) == "tools"


@pytest.mark.parametrize(
    "text",
    ["write", "write a", "write and count", "write a and then b", "explain", "why?", "直して"],
)
def test_what_is_too_short_to_be_clear_may_need_anything(text: str) -> None:
    assert need(HumanMessage(text)) == "tools"


@pytest.mark.parametrize(
    "text",
    ["Summarise https://example.com", "Translate notes.txt into French", "要約して: notes.txt"],
)
def test_a_chore_on_something_that_must_be_fetched_needs_tools(text: str) -> None:
    assert need(HumanMessage(text)) == "tools"
