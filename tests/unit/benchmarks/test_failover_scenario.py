"""The simulated providers of the failover benchmark: their fate and how they go on."""

from benchmarks.failover_scenario import FAULTS, FAULTY, HEALTHY, World
from benchmarks.failover_turns import CALCULATOR, Turn
from potluck.simulator.reply import Reply
from potluck.simulator.request import Message, ModelRequest, Tool

TEXT_TURN, TOOL_TURN = Turn(2), Turn(1)
TURNS = 600


def asked(
    turn: Turn, *more: Message, provider: str = HEALTHY[0], stream: bool = True
) -> ModelRequest:
    messages = (Message("user", turn.request), *more)
    tools = (Tool("calculator", "", CALCULATOR),)
    return ModelRequest(provider=provider, model="m", messages=messages, tools=tools, stream=stream)


def fates(seed: int) -> list[Reply]:
    world = World(seed)
    return [
        world.reply(asked(Turn(number), provider=provider))
        for number in range(TURNS)
        for provider in FAULTY
    ]


def test_one_call_in_five_goes_wrong_in_every_way() -> None:
    world = World(1)
    for number in range(TURNS):
        for provider in (*FAULTY, *HEALTHY):
            world.reply(asked(Turn(number), provider=provider))
    struck = world.counts()["faults"]
    assert set(struck) == set(FAULTS)
    assert 0.17 < sum(struck.values()) / (TURNS * len(FAULTY)) < 0.23


def test_the_same_seed_gives_the_same_fate() -> None:
    assert fates(1) == fates(1)
    assert fates(1) != fates(2)


def test_fate_does_not_depend_on_what_was_asked_before() -> None:
    late = World(1)
    for number in range(50):
        late.reply(asked(Turn(number), provider="groq"))
    assert late.reply(asked(Turn(77), provider="groq")) == World(1).reply(
        asked(Turn(77), provider="groq")
    )


def test_healthy_providers_give_the_right_answer() -> None:
    world = World(1)
    for number in range(TURNS):
        turn = Turn(number)
        reply = world.reply(asked(turn))
        if turn.kind == "tool":
            assert reply.tool_calls[0].args == {"expression": turn.expression}
        else:
            assert reply == Reply(text=turn.text)


def test_after_the_result_comes_the_text() -> None:
    reply = World(1).reply(asked(TOOL_TURN, Message("tool", "391", tool_call_id="c1")))
    assert reply.text == TOOL_TURN.text


def test_a_begun_answer_is_gone_on_with_in_three_ways() -> None:
    text = TEXT_TURN.text
    out = text[: text.index(" ", 120)]
    world, ways = World(1), set()
    for _ in range(40):
        reply = world.reply(asked(TEXT_TURN, Message("assistant", out), Message("user", "Go on.")))
        if reply.text == text:
            ways.add("restarts")
        elif reply.text == text[len(out) :]:
            ways.add("exactly")
        else:
            assert text.endswith(reply.text)
            assert 1 <= len(out.split()) - len(text[: -len(reply.text)].split()) <= 8
            ways.add("repeats")
    assert ways == {"exactly", "repeats", "restarts"} == set(world.counts()["continued"])


def test_a_quoted_beginning_is_understood_too() -> None:
    out = TEXT_TURN.text[:100]
    world = World(1)
    world.reply(asked(TEXT_TURN, Message("user", f"Your answer broke off here:\n{out}\nGo on.")))
    assert sum(world.counts()["continued"].values()) == 1
