"""The offline model with a stand-in for the tools' node: what it calls, and what it says."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    AnyMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from nodes.assignment import FOR_THE_PLAN, STEP_PROMPT
from nodes.planner import submit_plan
from nodes.reflector import send_back
from nodes.triage import make_plan
from potluck.errors import ToolError
from potluck.providers.offline import OfflineModel
from tools.toolbox import Toolbox
from tools.workspace import Workspace, use_workspace

MAX_ROUNDS = 20
NOTICE = "no LLM is connected"

Ask = Callable[..., list[AnyMessage]]

TOOLBOX = Toolbox()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "root")


@pytest.fixture
def ask(workspace: Workspace) -> Iterator[Ask]:
    with use_workspace(workspace):
        yield converse


def converse(*requests: str, why: str = NOTICE, extra: tuple[type, ...] = ()) -> list[AnyMessage]:
    """Ask one after the other in one conversation, running the tools that are called."""
    model = OfflineModel(why=why).bind_tools([*TOOLBOX.offered, *extra])
    messages: list[AnyMessage] = []
    for request in requests:
        messages.append(HumanMessage(request))
        finish(model, messages)
    return messages


def finish(model, messages: list[AnyMessage]) -> None:
    for _ in range(MAX_ROUNDS):
        reply = model.invoke(messages)
        messages.append(reply)
        if not reply.tool_calls:
            return
        messages += [run(call) for call in reply.tool_calls]
    pytest.fail("it never stops")


def run(call) -> ToolMessage:
    known = TOOLBOX.spec(call["name"])
    assert known is not None, f"there is no tool {call['name']}"
    try:
        text, status = known.tool.invoke(call["args"]), "success"
    except ToolError as error:
        text, status = str(error), "error"
    return ToolMessage(text, tool_call_id=call["id"], name=call["name"], status=status)


def calls(messages: list[AnyMessage]) -> list[tuple[str, dict[str, object]]]:
    return [
        (call["name"], call["args"])
        for message in messages
        if isinstance(message, AIMessage)
        for call in message.tool_calls
    ]


def called(name: str, **args: object) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": name, "args": args, "id": "a"}])


def answer(messages: list[AnyMessage]) -> str:
    return str(messages[-1].text)


def test_calculates_with_the_calculator(ask: Ask) -> None:
    said = ask("What is 17*23 + sqrt(2)?")
    assert calls(said) == [("calculator", {"expression": "17*23 + sqrt(2)"})]
    assert "17*23 + sqrt(2) = 392.414213562373" in answer(said)


def test_every_answer_says_that_no_llm_is_connected_and_how_to_get_a_key(ask: Ask) -> None:
    for request in ("2+2", "hello", "Tell me a joke", "read nothing.txt", "今日は何日？"):  # noqa: RUF001
        text = answer(ask(request))
        assert NOTICE in text
        assert "aistudio.google.com/apikey" in text
        assert "GROQ_API_KEY" in text
        assert "potluck check" in text


def test_says_why_when_models_failed(ask: Ask) -> None:
    text = answer(ask("hi", why="no LLM could answer: groq/x: day: quota spent"))
    assert "(no LLM could answer: groq/x: day: quota spent)" in text


def test_writes_and_reads_back_in_order(ask: Ask, workspace: Workspace) -> None:
    said = ask("Write hello.txt with the text hi, then read it back")
    assert calls(said) == [
        ("write_file", {"path": "hello.txt", "text": "hi"}),
        ("read_file", {"path": "hello.txt"}),
    ]
    assert workspace.read("hello.txt") == b"hi"
    assert "hello.txt:\n\nhi" in answer(said)


def test_lists_the_workspace(ask: Ask, workspace: Workspace) -> None:
    workspace.write("a.txt", b"x")
    assert "a.txt (1 byte)" in answer(ask("List the files in my workspace"))


def test_tells_the_day_elsewhere(ask: Ask) -> None:
    said = ask("What day is it in Tokyo?")
    assert calls(said) == [("current_time", {"timezone": "Tokyo"})]
    assert "Asia/Tokyo" in answer(said)


def test_it_means_the_file_named_last_also_in_an_earlier_turn(ask: Ask) -> None:
    said = ask("write 'one' to a.txt", "thanks", "now read it back")
    assert calls(said)[-1] == ("read_file", {"path": "a.txt"})


def test_it_means_a_file_that_was_named_only_in_words() -> None:
    model = OfflineModel().bind_tools(TOOLBOX.offered)
    history = [HumanMessage("write 'one' to a.txt"), AIMessage("Done."), HumanMessage("read it")]
    assert model.invoke(history).tool_calls[0]["args"] == {"path": "a.txt"}


def test_that_means_the_last_result_also_in_an_earlier_turn(ask: Ask) -> None:
    said = ask("what is 6*7?", "multiply that by 2")
    assert "42 * 2 = 84" in answer(said)
    said = ask("what is 2-5, then double it")
    assert "2 * (-3) = -6" in answer(said)


def test_writes_the_result_of_the_step_before(ask: Ask, workspace: Workspace) -> None:
    ask("Compute 17*23 and write the result to result.txt")
    assert workspace.read("result.txt") == b"391"
    ask("copy result.txt to copy.txt")
    assert workspace.read("copy.txt") == b"391"


def test_leaves_out_what_builds_on_a_failure(ask: Ask, workspace: Workspace) -> None:
    said = ask("Compute 1/0 and write the result to result.txt")
    assert [name for name, _ in calls(said)] == ["calculator"]
    assert "Division by zero" in answer(said)
    assert 'Write the result to the file "result.txt"' in answer(said)
    assert list(workspace.entries()) == []


def test_says_plainly_what_failed_and_goes_on(ask: Ask) -> None:
    said = ask("read ../../etc/passwd and tell me what 2+2 is")
    assert calls(said)[0] == ("read_file", {"path": "../../etc/passwd"})
    assert "I could not read the file: The path '../../etc/passwd' leads out" in answer(said)
    assert "2+2 = 4" in answer(said)


def test_says_what_needs_an_llm_and_does_the_rest(ask: Ask) -> None:
    said = ask("What is 2+2? Also tell me a joke.")
    assert "2+2 = 4" in answer(said)
    assert "needs an LLM" in answer(said)
    assert "joke" in answer(said)


def test_asks_for_what_is_missing(ask: Ask) -> None:
    assert "What is a.txt to hold?" in answer(ask("Write a.txt"))
    assert "Composing a text needs an LLM" in answer(ask("Write a poem to poem.txt"))
    assert "I have no tool for this: delete a.txt" in answer(ask("delete a.txt"))


def test_does_no_more_than_a_bounded_number_of_things(ask: Ask) -> None:
    said = ask("; ".join(f"What is {n} + 1" for n in range(30)))
    assert len(calls(said)) == 12
    assert "at most 12" in answer(said)


def test_answers_in_japanese_when_asked_in_japanese(ask: Ask, workspace: Workspace) -> None:
    said = ask("hello.txtに「やあ」と書いて、それを読んで")
    assert calls(said) == [
        ("write_file", {"path": "hello.txt", "text": "やあ"}),
        ("read_file", {"path": "hello.txt"}),
    ]
    assert "LLM に接続されていません" in answer(said)


def test_a_greeting_is_answered_without_tools(ask: Ask) -> None:
    said = ask("Hello!")
    assert calls(said) == []
    assert "Without an LLM I can still do basics" in answer(said)


def test_without_tools_at_hand_it_says_which_thing_it_cannot_do() -> None:
    assert "a tool that is not at hand" in OfflineModel().invoke("What is 2+2?").text
    bound = OfflineModel().bind_tools(TOOLBOX.offered, tool_choice="none")
    assert bound.invoke("What is 2+2?").tool_calls == []


def test_goes_on_from_the_calls_that_another_model_made() -> None:
    history = [
        HumanMessage("What is 2+2, then list the files"),
        called("calculator", expression="2 + 2"),
        ToolMessage("2 + 2 = 4", tool_call_id="a"),
    ]
    reply = OfflineModel().bind_tools(TOOLBOX.offered).invoke(history)
    assert [call["name"] for call in reply.tool_calls] == ["list_files"]


def test_a_call_that_a_person_changed_or_refused_is_not_made_again() -> None:
    history = [
        HumanMessage("write 'x' to a.txt"),
        called("write_file", path="b.txt", text=""),
        ToolMessage("The user said no.", tool_call_id="a", status="error"),
    ]
    reply = OfflineModel().bind_tools(TOOLBOX.offered).invoke(history)
    assert reply.tool_calls == []
    assert "I could not write the file: The user said no." in reply.text


def test_passes_only_arguments_that_the_bound_tool_knows() -> None:
    schema = {
        "name": "current_time",
        "description": "Time.",
        "parameters": {"type": "object", "properties": {"timezone": {"type": "string"}}},
    }
    reply = OfflineModel().bind_tools([schema]).invoke("what day is it tomorrow in Tokyo?")
    assert reply.tool_calls[0]["args"] == {"timezone": "Tokyo"}


def test_never_hands_the_task_to_the_planner(ask: Ask) -> None:
    said = ask("Write a.txt with the text one, then read it", extra=(make_plan,))
    assert [name for name, _ in calls(said)] == ["write_file", "read_file"]


def test_plans_one_step_for_each_thing() -> None:
    reply = (
        OfflineModel()
        .bind_tools([submit_plan])
        .invoke("Write hello.txt with the text hi, then read it back, then what is 2+2?")
    )
    plan = submit_plan.model_validate(reply.tool_calls[0]["args"])
    assert [(s.goal, s.kind, s.needs) for s in plan.steps] == [
        ('Write the text "hi" to the file "hello.txt"', "act", []),
        ('Read the file "hello.txt"', "act", [1]),
        ("Calculate 2+2", "act", []),
    ]


def test_a_plan_keeps_a_step_with_the_one_whose_result_it_takes() -> None:
    reply = (
        OfflineModel().bind_tools([submit_plan]).invoke("Compute 6*7 and write the result to r.txt")
    )
    plan = submit_plan.model_validate(reply.tool_calls[0]["args"])
    assert [s.goal for s in plan.steps] == [
        'Calculate 6*7, then write the result to the file "r.txt"'
    ]


@pytest.mark.parametrize(
    "request_text", ["", "Tell me a joke", "; ".join(f"{n}+1" for n in range(12))]
)
def test_any_plan_fits_the_schema(request_text: str) -> None:
    reply = OfflineModel().bind_tools([submit_plan]).invoke([HumanMessage(request_text)])
    submit_plan.model_validate(reply.tool_calls[0]["args"])


def test_plans_again_after_a_complaint_about_the_plan() -> None:
    complaint = "Your call of `submit_plan` cannot be used: steps: too few.\nCall it again."
    history = [HumanMessage("What is 2+2?"), HumanMessage(complaint)]
    reply = OfflineModel().bind_tools([submit_plan]).invoke(history)
    assert reply.tool_calls[0]["args"]["steps"][0]["goal"] == "Calculate 2+2"


def test_does_a_step_of_a_plan_and_nothing_else(ask: Ask) -> None:
    assignment = STEP_PROMPT.format(
        task="Write a.txt with the text one, then read it back",
        results="Results you can build on:\n- Write a.txt: Wrote a.txt (3 bytes, new).\n\n",
        goal="Read it back",
        done_when="a.txt holds one and 1+1 is known",
        feedback="",
        closing=FOR_THE_PLAN,
    )
    assert calls(ask(assignment))[0] == ("read_file", {"path": "a.txt"})
    assert len(calls(ask(assignment))) == 1


def test_a_step_takes_the_result_that_it_builds_on(ask: Ask) -> None:
    done = answer(ask("What is 6*7?"))
    assignment = STEP_PROMPT.format(
        task="Compute 6*7 and save it",
        results=f"Results you can build on:\n- Calculate 6*7: {done}\n\n",
        goal="Write the result to r.txt",
        done_when="it is there",
        feedback="",
        closing=FOR_THE_PLAN,
    )
    assert calls(ask(assignment)) == [("write_file", {"path": "r.txt", "text": "42"})]


@pytest.mark.parametrize("may_send_back", [True, False])
def test_sums_up_the_steps_for_the_reflector_with_one_notice(
    ask: Ask, *, may_send_back: bool
) -> None:
    results = [answer(ask("What is 6*7?")), answer(ask("What is 2+2?"))]
    report = "\n\n".join(
        f"Step {n} (done): Calculate\nResult: {text}" for n, text in enumerate(results, start=1)
    )
    model = OfflineModel().bind_tools([send_back] if may_send_back else [])
    reply = model.invoke(
        [SystemMessage("Judge."), HumanMessage("6*7 and 2+2?"), HumanMessage(report)]
    )
    assert reply.tool_calls == []
    assert reply.text.startswith("6*7 = 42\n\n2+2 = 4\n\nOffline answer: ")
    assert reply.text.count(NOTICE) == 1


async def test_streams_word_by_word_with_usage_at_the_end() -> None:
    chunks = [chunk async for chunk in OfflineModel().astream("hello")]
    whole = OfflineModel().invoke("hello")
    assert len(chunks) > 30
    assert max(len(str(chunk.text)) for chunk in chunks) <= 42
    joined = chunks[0]
    for chunk in chunks[1:]:
        joined += chunk
    assert joined.text == whole.text
    assert joined.usage_metadata == whole.usage_metadata
    assert whole.usage_metadata is not None
    assert whole.usage_metadata["output_tokens"] > 50
    assert sum(chunk.usage_metadata is not None for chunk in chunks) == 1


async def test_streams_tool_calls_as_chunks() -> None:
    model = OfflineModel().bind_tools(TOOLBOX.offered)
    chunks = [chunk async for chunk in model.astream("What is 2+2?")]
    assert any(isinstance(c, AIMessageChunk) and c.tool_call_chunks for c in chunks)
    joined = chunks[0]
    for chunk in chunks[1:]:
        joined += chunk
    assert joined.tool_calls == (await model.ainvoke("What is 2+2?")).tool_calls
    assert joined.tool_calls == model.invoke("What is 2+2?").tool_calls


def test_the_same_question_twice_gets_calls_with_different_ids(ask: Ask) -> None:
    said = ask("2+2", "2+2")
    ids = [c["id"] for m in said if isinstance(m, AIMessage) for c in m.tool_calls]
    assert len(set(ids)) == len(ids) == 2


async def test_many_calls_at_once_do_not_disturb_each_other() -> None:
    model = OfflineModel().bind_tools(TOOLBOX.offered)
    replies = await asyncio.gather(*(model.ainvoke(f"What is {n}+1?") for n in range(20)))
    assert [r.tool_calls[0]["args"]["expression"] for r in replies] == [f"{n}+1" for n in range(20)]


WORDS = st.sampled_from(
    [
        *("write", "read", "list", "show", "file", "files", "it", "back", "then", "and", "with"),
        *("the", "text", "to", "in", "what is", "time", "day", "Tokyo", "2+2", "17", "*", "3"),
        *("plus", "that", "result", "append", "replace", "find", "copy", "delete", "hello.txt"),
        *(
            "a.txt",
            "../x",
            '"hi"',
            "'",
            '"',
            "(",
            ")",
            ",",
            ".",
            "?",
            "!",
            "%",
            "\n",
            "東京",
            "今日",
        ),
        *("書いて", "は", "save", "directory", "folder", "today", "half of", "multiply", "by"),
    ]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=2_000)
@given(request=st.text(max_size=80) | st.lists(WORDS, max_size=25).map(" ".join))
def test_any_text_ends_in_an_answer(tmp_path: Path, request: str) -> None:
    with use_workspace(Workspace(tmp_path / "root")):
        said = converse(request, "read it back", "multiply that by 2")
    assert NOTICE in answer(said)
    assert {p.name for p in tmp_path.iterdir()} == {"root"}
