"""The real LangChain classes must find in the simulator the provider they know."""

from collections.abc import Callable

import pytest
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from potluck.simulator.reply import Reply, Usage
from potluck.simulator.request import ToolCall
from potluck.simulator.server import SimulatorServer

pytestmark = [
    pytest.mark.integration,
    # the classes keep clients across calls, and leave it to the garbage collector to close them
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    # google-genai subclasses aiohttp's session
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning"),
]

Build = Callable[..., BaseChatModel]


@tool
def calculator(expression: str) -> str:
    """Work out an arithmetic expression."""
    return expression


class Person(BaseModel):
    """A person."""

    name: str
    age: int


async def gather(model: BaseChatModel, text: str) -> tuple[AIMessageChunk, list[AIMessageChunk]]:
    chunks = [chunk async for chunk in model.astream(text)]
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    return whole, chunks


async def test_answers(simulator: SimulatorServer, build: Build, provider: str) -> None:
    simulator.script.on(Reply("Good morning.", usage=Usage(11, 7)))
    answer = await build().ainvoke([("system", "Be brief."), ("user", "Good day?")])
    assert answer.text == "Good morning."
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["input_tokens"] == 11
    assert answer.usage_metadata["output_tokens"] == 7
    request = simulator.log.last.request
    assert request is not None
    assert (request.provider, request.last_user_text) == (provider, "Good day?")
    assert request.system_text == "Be brief."
    # langchain-ollama streams whatever it is asked
    assert request.stream == (provider == "ollama")


async def test_streams_in_pieces(simulator: SimulatorServer, build: Build) -> None:
    simulator.script.on(Reply("One two three four.", usage=Usage(5, 6)))
    whole, chunks = await gather(build(), "Count.")
    assert whole.text == "One two three four."
    assert sum(bool(chunk.text) for chunk in chunks) == 4
    assert whole.usage_metadata is not None
    assert whole.usage_metadata["input_tokens"] == 5
    assert whole.usage_metadata["output_tokens"] == 6
    assert simulator.log.last.outcome == "answered"


async def test_calls_a_tool_and_takes_its_result(simulator: SimulatorServer, build: Build) -> None:
    model = build().bind_tools([calculator])
    simulator.script.on(Reply.call("calculator", expression="17*23"), results=0)
    simulator.script.on(Reply("It is 391."), results=1, last_tool="calculator")
    question = HumanMessage("What is 17*23?")
    asked = await model.ainvoke([question])
    assert isinstance(asked, AIMessage)
    [call] = asked.tool_calls
    assert (call["name"], call["args"]) == ("calculator", {"expression": "17*23"})
    answer = await model.ainvoke([question, asked, ToolMessage("391", tool_call_id=call["id"])])
    assert answer.text == "It is 391."
    request = simulator.log.last.request
    assert request is not None
    [result] = request.tool_results
    assert result.text == "391"


async def test_streams_tool_calls(simulator: SimulatorServer, build: Build) -> None:
    calls = (
        ToolCall("calculator", {"expression": "17*23+" + "1+" * 40 + "1"}),
        ToolCall("calculator", {"expression": "2"}),
    )
    simulator.script.on(Reply(tool_calls=calls))
    chunks = [chunk async for chunk in build().bind_tools([calculator]).astream("17*23?")]
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    assert [call["args"] for call in whole.tool_calls] == [dict(call.args) for call in calls]
    assert len({call["id"] for call in whole.tool_calls}) == 2
    assert not whole.invalid_tool_calls


async def test_forces_a_tool(simulator: SimulatorServer, build: Build, provider: str) -> None:
    if provider == "ollama":
        pytest.skip("Ollama has no tool_choice")
    model = build().bind_tools([calculator], tool_choice="calculator")
    answer = await model.ainvoke("Say anything.")
    request = simulator.log.last.request
    assert request is not None
    assert request.tool_choice == "calculator"
    assert isinstance(answer, AIMessage)
    assert [call["name"] for call in answer.tool_calls] == ["calculator"]


async def test_answers_in_a_schema_without_a_script(build: Build, provider: str) -> None:
    # langchain-huggingface takes no class here
    schema = Person.model_json_schema() if provider == "huggingface" else Person
    structured = build().with_structured_output(schema, method="json_schema")
    person = await structured.ainvoke("Who is it?")
    assert isinstance(person, Person | dict)
    assert set(dict(person)) == {"name", "age"}


async def test_default_uses_the_calculator_it_is_offered(build: Build) -> None:
    answer = await build().bind_tools([calculator]).ainvoke("What is 17*23 + 4?")
    assert isinstance(answer, AIMessage)
    assert answer.tool_calls[0]["args"] == {"expression": "17*23 + 4"}


async def test_default_says_that_it_is_simulated(build: Build) -> None:
    answer = await build().ainvoke("Good day?")
    assert "simulated" in answer.text
    assert "Good day?" in answer.text


async def test_refuses_a_bad_key(build: Build, provider: str) -> None:
    if provider == "ollama":
        pytest.skip("a local Ollama takes no key")
    with pytest.raises(Exception, match=r"(?i)key|unauthorized|401") as caught:
        await build(api_key="bad-key").ainvoke("Good day?")
    assert caught.type.__name__ != "AssertionError"


async def test_refuses_an_unknown_model(build: Build) -> None:
    with pytest.raises(Exception, match=r"no-such-model|404|400"):
        await build(model="no-such-model").ainvoke("Good day?")


async def test_a_cut_stream_raises_after_what_was_sent(
    simulator: SimulatorServer, build: Build
) -> None:
    simulator.script.on(Reply("One two three four five six.", cut_after=4))
    seen = ""

    async def read() -> None:
        nonlocal seen
        async for chunk in build().astream("Count."):
            seen += chunk.text

    with pytest.raises(Exception, match=r"(?i)connection|incomplete|peer|payload|closed"):
        await read()
    assert seen.startswith("One two")
    assert "six" not in seen
    assert simulator.log.last.outcome == "cut"
