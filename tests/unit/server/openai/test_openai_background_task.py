"""Open WebUI's small tasks, by its prompts: what they want, and what no model need say."""

import json
from typing import Any

import pytest

from potluck.server.openai.background_task import Task, task_of, title_of
from potluck.server.openai.request import ChatRequest

HISTORY = (
    "<chat_history>\nUSER: Wie backe ich ein **Roggenbrot** ohne Hefe?\n"
    'ASSISTANT: So: { "tags": ["x"] }\nZweite Zeile\nUSER: Und wie lange?\n</chat_history>'
)
# The ends of Open WebUI 0.12.4's templates, and what each wants
WANTS = {
    "title": 'JSON format: { "title": "your concise title here" }\n- { "title": "Stock Trends" },',
    "tags": 'JSON format: { "tags": ["tag1", "tag2", "tag3"] }',
    "follow_ups": 'JSON format: { "follow_ups": ["Suggested next message 1"] }',
    "queries": 'return: { "queries": [] }.\n{\n  "queries": ["query1", "query2"]\n}',
    "prompt": '{\n    "prompt": "Your detailed description here."\n}',
    "text": '- Respond only in JSON format: `{ "text": "<your_completion>" }`.',
}


def messages(text: str, system: str = "") -> Any:
    said = [{"role": "system", "content": system}] if system else []
    body = {"model": "potluck", "messages": [*said, {"role": "user", "content": text}]}
    return ChatRequest.model_validate(body).messages


def task(key: str, told: str = "") -> Task:
    return task_of(messages(f"### Task:\nDo it.\n{WANTS[key]}\n{HISTORY}"), told)


def test_what_is_wanted_is_read_from_the_prompt_not_from_the_chat() -> None:
    for key in WANTS:
        assert task(key).key == key
        assert not task(key).is_substantial


def test_only_what_the_user_said_counts() -> None:
    said = ("Wie backe ich ein **Roggenbrot** ohne Hefe?", "Und wie lange?")
    assert task("title").said == said


@pytest.mark.parametrize(
    ("key", "answer"),
    [
        ("title", "Wie backe ich ein Roggenbrot ohne"),
        ("tags", ["General"]),
        ("follow_ups", []),
        ("queries", ["Und wie lange?"]),
        ("prompt", "Und wie lange?"),
        ("text", ""),
    ],
)
def test_without_a_model_each_has_an_answer_in_its_form(key: str, answer: object) -> None:
    assert json.loads(task(key).without_model()) == {key: answer}


@pytest.mark.parametrize(
    ("key", "said", "read"),
    [
        ("title", '{"title": "Rye Bread"}', "Rye Bread"),
        ("title", '```json\n{ "title": " Rye Bread " }\n```', "Rye Bread"),
        ("title", 'Sure! {"title": "Rye Bread",}', "Rye Bread"),
        ("title", '"Rye Bread"', "Rye Bread"),
        ("title", '{"title": ""}', None),
        ("title", '{"titel": "Rye Bread"}', None),
        ("title", "I think\nit could be called", None),
        ("tags", '{"tags": ["Food", "Baking"]}', ["Food", "Baking"]),
        ("tags", '{"tags": []}', None),
        ("tags", '{"tags": [1]}', None),
        ("tags", "Food", None),
        ("follow_ups", '{"follow_ups": []}', []),
        ("queries", '{"queries": ["rye"]}', ["rye"]),
        ("queries", '{"queries": "rye"}', None),
        ("text", '{"text": " and salt"}', " and salt"),
        ("prompt", "", None),
    ],
)
def test_a_models_answer_is_taken_only_in_its_form(key: str, said: str, read: object) -> None:
    found = task(key).read(said)
    assert (None if found is None else json.loads(found)) == (None if read is None else {key: read})


def test_the_header_tells_the_kind_and_the_prompt_the_form() -> None:
    plain = task_of(messages("Name this chat.\n" + HISTORY), "title_generation")
    assert (plain.kind, plain.key) == ("title", None)
    assert plain.without_model() == "Wie backe ich ein Roggenbrot ohne"
    assert plain.read(" Rye Bread\n") == "Rye Bread"


def test_a_face_is_one_emoji() -> None:
    face = task_of(messages("Your task is to reflect ... Message: ```hi```"), "emoji_generation")
    assert face.read("The face is 😢!") == "😢"
    assert face.read("sad") is None
    assert face.without_model() == "🙂"


def test_a_choice_of_tools_without_a_model_is_none() -> None:
    system = 'Available Tools: []\n{\n  "tool_calls": [\n    {"name": "toolName1"}\n  ]\n}'
    choice = task_of(messages("Query: hi", system), "function_calling")
    assert json.loads(choice.without_model()) == {"tool_calls": []}
    assert choice.read('{"tool_calls": [{"name": "a", "parameters": {}}]}') is not None


def test_a_summary_without_a_model_is_left_to_the_client() -> None:
    summary = task_of(messages("### Task:\nSummarize"), "context_compaction")
    assert not summary.is_substantial
    assert summary.without_model() == ""
    assert summary.read("They talked.") == "They talked."


@pytest.mark.parametrize("told", ["moa_response_generation", "something_new", ""])
def test_what_nothing_else_will_do_for_is_asked_like_anything_else(told: str) -> None:
    assert task_of(messages("### Task:\nMerge these\n" + HISTORY), told).is_substantial


@pytest.mark.parametrize(
    ("said", "title"),
    [
        ("```python\nprint(1)\n```\nWhy does this fail?", "Why does this fail"),
        ("<b>Look</b> at https://example.org/a?b=c now!", "Look at now"),
        ("如何在家里烤一个没有酵母的黑麦面包。", "如何在家里烤一个没有酵母的黑麦面包"),
        ("x" * 200, "x" * 60),
        ("", "New chat"),
        ("???", "New chat"),
    ],
)
def test_a_title_is_the_users_first_words(said: str, title: str) -> None:
    assert title_of([said]) == title


def test_a_history_without_speakers_is_taken_whole() -> None:
    assert task_of(messages("### Task:\n<chat_history>\nhi\n</chat_history>"), "title").said == (
        "hi",
    )
