"""Requests for responses: what is taken, and how they become chat completion requests."""

from typing import Any

import pytest
from pydantic import ValidationError

from potluck.server.openai.errors import ApiError, from_validation
from potluck.server.openai.responses.items import Items, kept_form
from potluck.server.openai.responses.request import ResponsesRequest
from potluck.server.openai.responses.translation import chat_request, renamed

LOOK: Any = {"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": True}
FIND: Any = {"type": "function", "name": "find"}


def ask(given: Any, *, history: Any = (), **more: Any) -> Any:
    asked = ResponsesRequest.model_validate({"model": "potluck", "input": given} | more)
    made = chat_request(asked, Items.validate_python(list(history)), asked.items)
    return made.model_dump(exclude_none=True)


def call(call_id: str, name: str = "look") -> Any:
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": "{}"}


def output(call_id: str, text: Any = "seen") -> Any:
    return {"type": "function_call_output", "call_id": call_id, "output": text}


def parts(*given: Any) -> Any:
    return {"role": "user", "content": list(given)}


def tool_call(call_id: str) -> Any:
    function = {"name": "look", "arguments": "{}"}
    return {"id": call_id, "type": "function", "function": function}


def test_a_text_is_what_the_user_says() -> None:
    assert ask("Hi")["messages"] == [{"role": "user", "content": "Hi"}]


def test_instructions_come_first_and_history_before_what_is_new() -> None:
    history = [{"role": "user", "content": "A"}, {"role": "assistant", "content": "B"}]
    asked = ask("C", history=history, instructions="Be brief")
    assert [(m["role"], m["content"]) for m in asked["messages"]] == [
        ("system", "Be brief"),
        ("user", "A"),
        ("assistant", "B"),
        ("user", "C"),
    ]


def test_parts_become_text_and_images() -> None:
    parts = [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "original"},
    ]
    (message,) = ask([{"role": "user", "content": parts}])["messages"]
    assert message["content"] == [
        {"type": "text", "text": "What is this?"},
        {
            "type": "image_url",
            "image_url": {"url": "data:image/png;base64,aGk=", "detail": "high"},
        },
    ]


def test_what_an_assistant_said_and_called_at_once_is_one_message() -> None:
    said = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "I look.", "annotations": []}],
    }
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": []}
    asked = ask([reasoning, said, call("a"), call("b"), output("a"), output("b")])
    assert asked["messages"] == [
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [tool_call("a"), tool_call("b")],
        },
        {"role": "tool", "content": "seen", "tool_call_id": "a"},
        {"role": "tool", "content": "seen", "tool_call_id": "b"},
    ]


@pytest.mark.parametrize(
    ("first", "second", "joined"), [("A", "\n\nB", "A\n\nB"), ("A", "B", "A\n\nB"), ("", "B", "B")]
)
def test_messages_of_one_answer_are_joined(first: str, second: str, joined: str) -> None:
    said = [{"role": "assistant", "content": text} for text in (first, second)]
    (message,) = ask(said)["messages"]
    assert message["content"] == joined


def test_output_of_a_function_may_come_in_parts() -> None:
    parts = [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]
    assert ask([call("a"), output("a", parts)])["messages"][1]["content"] == "a\nb"


@pytest.mark.parametrize(
    ("items", "param"),
    [
        ([output("a")], "input[0].call_id"),
        ([call("a")], "input[0].call_id"),
        ([call("a"), {"role": "user", "content": "x"}, output("a")], "input[0].call_id"),
        ([call("a"), output("a"), output("a")], "input[2].call_id"),
    ],
)
def test_calls_and_their_outputs_belong_together(items: Any, param: str) -> None:
    with pytest.raises(ApiError) as raised:
        ask(items)
    assert raised.value.param == param
    assert raised.value.status == 400


def test_a_call_of_a_kept_response_wants_its_output() -> None:
    history = [{"role": "user", "content": "Look"}, call("a")]
    with pytest.raises(ApiError, match="No tool output found for function call a") as raised:
        ask("Go on", history=history)
    assert raised.value.param == "input"
    assert len(ask([output("a")], history=history)["messages"]) == 3


def test_parameters_are_handed_on() -> None:
    asked = ask(
        "Hi",
        tools=[LOOK, {"type": "web_search"}],
        tool_choice={"type": "function", "name": "look"},
        temperature=0.5,
        top_p=0.9,
        max_output_tokens=9,
        text={"format": {"type": "json_schema", "name": "n", "schema": {}, "strict": True}},
        metadata={"thread_id": "t"},
    )
    function = {"name": "look", "parameters": {"type": "object"}, "strict": True}
    assert asked["tools"] == [{"type": "function", "function": function}]
    assert asked["tool_choice"] == {"type": "function", "function": {"name": "look"}}
    assert (asked["temperature"], asked["top_p"], asked["max_completion_tokens"]) == (0.5, 0.9, 9)
    assert asked["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "n", "schema": {}, "strict": True},
    }
    assert asked["metadata"] == {"thread_id": "t"}


def test_allowed_tools_leave_the_others_out() -> None:
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [FIND]}
    asked = ask("Hi", tools=[LOOK, FIND], tool_choice=allowed)
    assert [tool["function"]["name"] for tool in asked["tools"]] == ["find"]
    assert asked["tool_choice"] == "required"


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": 5}, "input"),
        ({"input": [{"type": "weird"}]}, "input[0]"),
        ({"input": [{"type": ["message"], "role": "user", "content": "x"}]}, "input[0]"),
        ({"input": [parts({"type": {}, "text": "x"})]}, "input[0].content[0]"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
        ({"input": [parts({"type": "input_file"})]}, "input[0].content[0]"),
        ({"input": [parts({"type": "input_image", "file_id": "f"})]}, "input[0].content[0]"),
        ({"input": [{**call("a"), "arguments": "["}]}, "input[0]"),
        ({"input": "a\x00b"}, "input"),
        ({"tools": [{"type": "custom", "name": "x"}]}, "tools[0]"),
        ({"tools": [{"type": "function", "name": "a b"}]}, "tools[0].name"),
        ({"tool_choice": "sometimes"}, "tool_choice"),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"temperature": 3}, "temperature"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(given: Any, param: str) -> None:
    with pytest.raises(ValidationError) as raised:
        ResponsesRequest.model_validate({"model": "potluck", "input": "Hi"} | given)
    assert from_validation(raised.value).param == param


def test_unknown_parameters_and_hosted_tools_are_accepted() -> None:
    ResponsesRequest.model_validate(
        {
            "model": "potluck",
            "input": "Hi",
            "tools": [{"type": "mcp", "server_label": "x"}, {"type": "code_interpreter"}],
            "tool_choice": {"type": "web_search"},
            "include": ["reasoning.encrypted_content"],
            "truncation": "auto",
            "stream_options": {"include_obfuscation": False},
            "never_heard_of": 1,
        }
    )


def test_errors_are_in_the_words_of_this_form() -> None:
    error = renamed(ApiError("Invalid `messages[3].content`: no.", param="messages[3].content"))
    assert (error.message, error.param) == ("Invalid `input`: no.", "input")
    other = ApiError("No such model.", param="model")
    assert renamed(other) is other


def test_items_are_kept_so_that_they_can_be_read_again() -> None:
    given = [
        {"role": "user", "content": "Hi"},
        {"role": "user", "content": [{"type": "input_image", "image_url": "data:a"}]},
        {"role": "assistant", "content": "Hello"},
        call("a"),
        output("a"),
        {"type": "reasoning", "id": "rs_1", "summary": []},
    ]
    kept = [kept_form(item) for item in Items.validate_python(given)]
    assert all(item["id"] for item in kept)
    again = [kept_form(item) for item in Items.validate_python(kept)]
    assert again == kept
    assert kept[0]["content"] == [{"type": "input_text", "text": "Hi"}]
    assert kept[2]["content"] == [{"type": "output_text", "text": "Hello", "annotations": []}]
