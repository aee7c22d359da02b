import pytest

from potluck.simulator.reply import Fault, Reply
from potluck.simulator.request import Message, ModelRequest, Tool, ToolCall
from potluck.simulator.script import Rule, Script, When, refuse


def request(*messages: Message, **fields: object) -> ModelRequest:
    said = messages or (Message("user", "What is 17*23?"),)
    return ModelRequest(**{"provider": "groq", "model": "m", "messages": said, **fields})  # type: ignore[arg-type]


def after_tool(name: str = "calculator") -> ModelRequest:
    call = ToolCall(name, {"expression": "1"}, "c1")
    return request(
        Message("user", "Sum?"), Message("assistant", "", (call,)), Message("tool", "1", (), "c1")
    )


@pytest.mark.parametrize(
    ("when", "fits"),
    [
        (When(), True),
        (When(provider="groq"), True),
        (When(provider="together"), False),
        (When(model="m", stream=False), True),
        (When(stream=True), False),
        (When(text=r"WHAT IS \d+"), True),
        (When(text="goodbye"), False),
        (When(system="anything"), False),
        (When(tool="calculator"), True),
        (When(tool="shell"), False),
        (When(results=0), True),
        (When(results=1), False),
        (When(provider="groq", text="goodbye"), False),
    ],
)
def test_when_fits_only_if_every_term_does(when: When, fits: bool) -> None:
    assert when(request(tools=(Tool("calculator"),))) is fits


def test_when_sees_tool_results_since_the_user_spoke() -> None:
    assert When(results=1, last_tool="calculator")(after_tool())
    assert not When(last_tool="clock")(after_tool())
    spoken = (*after_tool().messages, Message("user", "And now?"))
    assert When(results=0)(request(*spoken))


def test_when_refuses_a_broken_pattern() -> None:
    with pytest.raises(Exception, match="unterminated"):
        When(text="[")


def test_first_fitting_rule_answers() -> None:
    script = Script()
    script.on(Reply("no"), provider="together")
    script.on(Reply("yes"))
    script.on(Reply("late"))
    assert script.reply_to(request()).text == "yes"


def test_several_replies_are_given_once_each_then_the_next_rule_answers() -> None:
    script = Script()
    script.on(Reply("one"), Reply("two"))
    script.on(Reply("else"))
    assert [script.reply_to(request()).text for _ in range(4)] == ["one", "two", "else", "else"]


def test_times_limits_a_single_reply() -> None:
    script = Script()
    script.on(Reply("once"), times=1)
    script.on(Reply("else"))
    assert [script.reply_to(request()).text for _ in range(3)] == ["once", "else", "else"]


def test_last_reply_repeats_until_times_are_used_up() -> None:
    script = Script()
    script.on(Reply("one"), Reply("two"), times=3)
    texts = [script.reply_to(request()).text for _ in range(3)]
    assert texts == ["one", "two", "two"]


def test_a_callable_may_answer_or_pass() -> None:
    script = Script()
    script.on(lambda asked: Reply(asked.model) if asked.model == "x" else None)
    script.on(Reply("passed"))
    assert script.reply_to(request(model="x")).text == "x"
    assert script.reply_to(request()).text == "passed"


def test_a_pass_does_not_use_up_the_rule() -> None:
    rule = Rule([lambda _: None], times=1)
    assert rule.reply_to(request()) is None
    assert not rule.spent


def test_a_rule_without_replies_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Script().on()


def test_refuse_shows_the_request_nobody_foresaw() -> None:
    reply = Script(default=refuse).reply_to(request())
    assert isinstance(reply.fault, Fault)
    assert "17*23" in str(reply.fault.body)


def test_default_asks_the_calculator_only_once() -> None:
    offered = (
        Tool("calculator", "", {"properties": {"e": {"type": "string"}}, "required": ["e"]}),
    )
    script = Script()
    [call] = script.reply_to(request(tools=offered)).tool_calls
    assert (call.name, call.args) == ("calculator", {"e": "17*23"})
    done = request(*after_tool().messages, tools=offered)
    assert not script.reply_to(done).tool_calls
    assert "1" in script.reply_to(done).text


def test_default_leaves_tools_alone_when_told_so() -> None:
    reply = Script().reply_to(request(tools=(Tool("calculator"),), tool_choice="none"))
    assert not reply.tool_calls
