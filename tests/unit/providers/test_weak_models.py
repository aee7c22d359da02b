"""A model that calls tools badly is helped once; then the next one is asked."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.tools import tool

from potluck.errors import ChainError, ErrorKind
from potluck.providers.chain import Call, Chain

Say = Callable[..., AIMessageChunk]
FORM = {
    "type": "json_schema",
    "json_schema": {
        "name": "person",
        "schema": {
            "type": "object",
            "properties": {"name": {"type": "string"}},
            "required": ["name"],
        },
    },
}


@tool
def look(place: str, days: int = 1) -> str:
    """Look there."""
    return f"{place} {days}"


class ToolUseFailedError(Exception):
    status_code = 400
    body = {"error": {"code": "tool_use_failed", "message": "Failed to call a function."}}  # noqa: RUF012 # read only


def call(args: str, name: str = "look") -> AIMessageChunk:
    chunk = tool_call_chunk(name=name, args=args, id="1", index=0)
    return AIMessageChunk(content="", tool_call_chunks=[chunk])


GOOD = '{"place": "sea"}'
FENCED = f'{{"name": "look", "args": {GOOD}}}'


@pytest.fixture(params=[False, True], ids=["plain", "streamed"])
def ask(request: Any) -> Any:
    async def plain(chain: Chain, **options: Any) -> AIMessage:
        return await chain.runnable(Call(**options)).ainvoke("hi")

    async def streamed(chain: Chain, **options: Any) -> AIMessage:
        whole: Any = None
        async for chunk in chain.runnable(Call(**options)).astream("hi"):
            whole = chunk if whole is None else whole + chunk
        return whole

    return streamed if request.param else plain


def calls_of(message: AIMessage) -> list[tuple[str, dict[str, Any]]]:
    assert not message.invalid_tool_calls
    return [(made["name"], made["args"]) for made in message.tool_calls]


def shown_to(model: Any) -> str:
    return str(model.calls[-1][0][-1].text)


LOOKED = [("look", {"place": "sea"})]


@pytest.mark.parametrize(
    "pieces",
    [
        [call('{"place": "sea"')],
        [call("{'place': 'sea'}")],
        [call(GOOD, "functions.look")],
        [AIMessageChunk(content=f'<tool_call>{{"name": "look", "arguments": {GOOD}}}</tool_call>')],
        [
            AIMessageChunk(content=text)
            for text in ("```js", f'on\n{{"name":"look","args":{GOOD}}}', "\n```")
        ],
        [AIMessageChunk(content=f'{{"name": "look", "parameters": {GOOD}}}')],
    ],
    ids=["cut brace", "single quotes", "prefix", "tags", "fence", "bare"],
)
async def test_what_is_clear_is_mended_without_another_call(
    world: Any, ask: Any, pieces: list[AIMessageChunk]
) -> None:
    model = world.add("a/1", pieces)
    answer = await ask(world.chain(), tools=[look])
    assert calls_of(answer) == LOOKED
    assert answer.text == ""
    assert answer.tool_calls[0]["id"]
    assert len(model.calls) == 1


async def test_words_before_a_written_call_stay(world: Any, ask: Any, speak: Say) -> None:
    written = f'<tool_call>{{"name": "look", "arguments": {GOOD}}}</tool_call>'
    world.add("a/1", [speak("Let me see.\n"), speak(written[:5]), speak(written[5:])])
    answer = await ask(world.chain(), tools=[look])
    assert (answer.text.strip(), calls_of(answer)) == ("Let me see.", LOOKED)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (call('{"days": 2}'), '"place" is a required property'),
        (call('{"place": "sea", "days": "soon"}'), "days"),
        (call("{}", "peek"), "there is no tool `peek`"),
        (AIMessageChunk(content='{"name": "peek", "arguments": {}}'), "there is no tool `peek`"),
        (ToolUseFailedError("failed"), "Failed to call a function"),
    ],
    ids=["argument missing", "argument wrong", "unknown tool", "written", "tool_use_failed"],
)
async def test_a_wrong_call_is_shown_to_its_model_once(
    world: Any, ask: Any, wrong: Any, reason: str
) -> None:
    model = world.add("a/1", wrong, call(GOOD))
    other = world.add("b/2")
    assert calls_of(await ask(world.chain(), tools=[look])) == LOOKED
    assert reason in shown_to(model)
    assert other.calls == []


async def test_after_its_second_wrong_call_the_next_model_is_asked(world: Any, ask: Any) -> None:
    first = world.add("a/1", call("{}"))
    second = world.add("b/2", call(GOOD))
    answer = await ask(world.chain(), tools=[look])
    assert calls_of(answer) == LOOKED
    assert len(first.calls) == 2
    assert shown_to(second) == "hi"


async def test_when_all_call_wrongly_the_error_says_how(world: Any, ask: Any) -> None:
    world.add("a/1", call("{}"))
    with pytest.raises(ChainError, match="required property") as caught:
        await ask(world.chain(), tools=[look], only="a/1")
    assert {error.kind for error in caught.value.attempts} == {ErrorKind.BAD_TOOL_CALL}


async def test_text_that_was_shown_before_a_wrong_call_is_not_shown_again(
    world: Any, ask: Any, speak: Say
) -> None:
    model = world.add("a/1", [speak("Let me see."), call("{}")], [speak("Let me see."), call(GOOD)])
    answer = await ask(world.chain(), tools=[look])
    assert (answer.text, calls_of(answer)) == ("Let me see.", LOOKED)
    assert len(model.calls) == 2


async def test_a_call_that_the_output_limit_cut_is_not_made_up(world: Any, ask: Any) -> None:
    end = AIMessageChunk(content="", response_metadata={"finish_reason": "length"})
    model = world.add("a/1", [call('{"place": "half of a na'), end], call(GOOD))
    assert calls_of(await ask(world.chain(), tools=[look])) == LOOKED
    assert "output limit" in shown_to(model)


async def test_where_a_tool_must_be_called_json_alone_is_its_call(
    world: Any, ask: Any, speak: Say
) -> None:
    world.add("a/1", [speak("```json\n"), speak(GOOD), speak("\n```")])
    answer = await ask(world.chain(), tools=[look], tool_choice="look")
    assert calls_of(answer) == LOOKED


async def test_text_that_only_looks_like_a_call_is_shown(world: Any, ask: Any, speak: Say) -> None:
    text = 'So:\n```json\n{"port": 80}\n```\nand `<function>` is a word.'
    world.add("a/1", [speak(piece) for piece in text.split("`")[:1]] + [speak(text[4:])])
    answer = await ask(world.chain(), tools=[look])
    assert (answer.text, answer.tool_calls) == (text, [])


class TestForm:
    async def test_json_in_a_fence_is_taken_out(self, world: Any, ask: Any, speak: Say) -> None:
        world.add("a/1", [speak("```json\n"), speak('{"name": "Bo"}'), speak("\n```")])
        answer = await ask(world.chain(), params={"response_format": FORM})
        assert json.loads(answer.text) == {"name": "Bo"}

    async def test_what_has_not_the_form_is_shown_once(
        self, world: Any, ask: Any, speak: Say
    ) -> None:
        model = world.add("a/1", speak('{"title": "Bo"}'), speak('{"name": "Bo"}'))
        answer = await ask(world.chain(), params={"response_format": FORM})
        assert answer.text == '{"name": "Bo"}'
        assert '"name" is a required property' in shown_to(model)

    async def test_then_the_next_model_is_asked(self, world: Any, ask: Any, speak: Say) -> None:
        first = world.add("a/1", speak("I would rather not."))
        world.add("b/2", speak('{"name": "Bo"}'))
        answer = await ask(world.chain(), params={"response_format": FORM})
        assert answer.text == '{"name": "Bo"}'
        assert len(first.calls) == 2

    async def test_what_the_output_limit_cut_comes_as_it_is(
        self, world: Any, ask: Any, speak: Say
    ) -> None:
        world.add("a/1", speak('{"na', response_metadata={"finish_reason": "length"}))
        answer = await ask(world.chain(), params={"response_format": FORM})
        assert answer.text == '{"na'

    async def test_a_stream_that_breaks_in_json_is_answered_by_the_next_model_alone(
        self, world: Any, ask: Any, speak: Say
    ) -> None:
        world.add("a/1", [speak('{"name"'), ConnectionError("gone")])
        world.add("b/2", [speak('{"name": '), speak('"Bo"}')])
        answer = await ask(world.chain(), params={"response_format": FORM})
        assert answer.text == '{"name": "Bo"}'
