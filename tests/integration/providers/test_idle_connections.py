"""A provider may close an idle connection just when the next call goes over it."""

from collections.abc import Callable

import pytest

from potluck.errors import ChainError, ErrorKind
from potluck.providers.chain import Call, Chain
from potluck.simulator.reply import Fault, FaultKind, Reply
from potluck.simulator.server import SimulatorServer

pytestmark = [
    pytest.mark.integration,
    # google-genai subclasses aiohttp's session
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning"),
]

MakeChain = Callable[..., Chain]
CLOSED = Reply(fault=Fault(FaultKind.DROP))


async def ask(chain: Chain, vendor: str, *, streamed: bool) -> str:
    model = chain.runnable(Call(only=vendor))
    if streamed:
        return "".join([chunk.text async for chunk in model.astream("Hello?")])
    return (await model.ainvoke("Hello?")).text


@pytest.mark.parametrize("streamed", [False, True])
async def test_the_call_is_made_again_over_a_new_one(
    simulator: SimulatorServer, make_chain: MakeChain, vendor: str, streamed: bool
) -> None:
    chain = make_chain([vendor])
    simulator.script.on(Reply("First."), times=1)
    simulator.script.on(CLOSED, times=1)
    simulator.script.on(Reply("Second."))
    # After a stream, not every vendor's class keeps its connection
    assert await ask(chain, vendor, streamed=False) == "First."
    assert await ask(chain, vendor, streamed=streamed) == "Second."
    assert len(simulator.log) == 3


@pytest.mark.parametrize("streamed", [False, True])
async def test_but_not_one_that_breaks_a_new_connection(
    simulator: SimulatorServer, make_chain: MakeChain, vendor: str, streamed: bool
) -> None:
    simulator.script.on(CLOSED)
    with pytest.raises(ChainError) as caught:
        await ask(make_chain([vendor]), vendor, streamed=streamed)
    assert [one.kind for one in caught.value.attempts] == [ErrorKind.NETWORK]
    assert len(simulator.log) == 1
