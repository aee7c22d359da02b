"""The turns of the failover benchmark, and what became of each: the same for every contender.

Nothing but the standard library is imported here: peers run it in environments of their own.
"""

import asyncio
import itertools
import random
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal, Protocol

Kind = Literal["streamed", "plain", "tool"]

TURNS_PER_ROUND = 5
TURN_LIMIT_S = 60.0
SHOWN_TURNS = 10
KINDS: tuple[Kind, ...] = ("streamed", "tool", "streamed", "plain", "tool")
CALCULATOR: dict[str, object] = {
    "type": "function",
    "function": {
        "name": "calculator",
        "description": "Work out an arithmetic expression.",
        "parameters": {
            "type": "object",
            "properties": {"expression": {"type": "string", "description": "Such as 2*(3+4)."}},
            "required": ["expression"],
        },
    },
}

_SENTENCES = (
    "The harbour of Genoa was dredged again in the spring, and the larger ships came back.",
    "Nobody on the quay could say how long the repairs to the eastern mole would take.",
    "A pilot boards each vessel two miles out, whatever the weather.",
    "In 1992 the old cotton warehouses were turned into halls for the exhibition.",
    "The lighthouse, which is 77 metres tall, has been lit since the twelfth century.",
    "Cranes move about 2,400 containers a day; on Sundays it is half of that.",
    "The fishermen sell what they have caught before eight, and the rest goes to the kitchens.",
    "Salt, coffee and marble made the fortunes of four families in the upper town.",
    "The wind they call the *libeccio* blows from the south-west and raises a short, steep sea.",
    "When it does, the ferries to Corsica wait, sometimes for a day and sometimes for two.",
    "The funicular climbs from the square to the ridge in under nine minutes.",
    "It was the first of its kind in the country, and the second is still running too.",
    "Most of the archives burned in 1684, so the early figures are guesses.",
    "What is left of them fills eleven rooms under the palace, and it is open to anyone.",
    "The water in the inner basin is brackish, because two streams end there.",
    "A dry dock was cut into the rock between 1847 and 1851, and it is still in use.",
)
_LIST = (
    "\n\nThree things to see:\n\n- the **old harbour**, at dusk\n- the market halls, before noon\n"
    "- the sea wall\n\n"
)
_CODE = "\n\n```python\ndef tonnes(ships):\n    return sum(ship.tonnes for ship in ships)\n```\n\n"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a model is asked: a provider's id, its API, its address and the model's name there."""

    provider: str
    api: str
    base_url: str
    model: str


@dataclass(frozen=True, slots=True)
class Turn:
    """One request of a user, with everything that a right answer holds."""

    number: int

    @property
    def kind(self) -> Kind:
        """How it is asked, and whether the answer needs the calculator."""
        return KINDS[self.number % len(KINDS)]

    @property
    def streamed(self) -> bool:
        """Whether the client wants the answer word by word; every other tool turn does."""
        return self.kind == "streamed" or (self.kind == "tool" and self.number % 2 == 0)

    @property
    def request(self) -> str:
        """What the user writes."""
        task = (
            f"What is {self.expression}?" if self.kind == "tool" else "Tell me about the harbour."
        )
        return f"This is turn {self.number}. {task}"

    @property
    def expression(self) -> str:
        """What the calculator has to be asked, in a tool turn."""
        return f"{self.number + 12}*{self.number % 89 + 3}"

    @property
    def product(self) -> int:
        """What the calculator answers."""
        return (self.number + 12) * (self.number % 89 + 3)

    @property
    def text(self) -> str:
        """The answer, to the letter: about a hundred words; thirty after a tool call."""
        chance = random.Random(f"text {self.number}")
        if self.kind == "tool":
            return f"It is {self.product}. " + " ".join(chance.sample(_SENTENCES, 2))
        sentences = chance.sample(_SENTENCES, 7)
        between = chance.choice((" ", " ", _LIST, _CODE, "\n\n"))
        return " ".join(sentences[:4]) + between + " ".join(sentences[4:])


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool call as the client got it; `args` is None when they are no JSON object."""

    id: str
    name: str
    args: Mapping[str, object] | None


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of a model; `message` is the same in the contender's own form."""

    text: str
    calls: tuple[ToolUse, ...]
    message: object


class Contender(Protocol):
    """Something that asks models and copes with their failures."""

    def question(self, text: str) -> object:
        """The user's message."""

    def result(self, call: ToolUse, text: str) -> object:
        """The tool's message."""

    async def ask(self, history: Sequence[object], *, streamed: bool) -> Answer:
        """Ask once, with the calculator on offer. Whatever it raises is a failed turn."""


type Opener[C] = Callable[[], AbstractAsyncContextManager[C]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the client got in one turn; `failed` names the error, the rest is about no error."""

    turn: int
    ms: float
    failed: str = ""
    lost: int = 0
    doubled: int = 0
    respaced: bool = False
    wrong_call: bool = False


class WrongCallError(Exception):
    """The model was to call the calculator; what came is something else."""


async def run_rounds[C](
    open_contender: Opener[C],
    play: Callable[[C, Turn], Awaitable[Outcome]],
    turns: Iterable[Turn],
) -> list[Outcome]:
    """The outcome of each turn. Every round of five meets a contender without a memory.

    So that a contender which learns who is out does not go through all turns on what it learned
    in the first ones.
    """
    outcomes: list[Outcome] = []
    for turns_of_round in itertools.batched(turns, TURNS_PER_ROUND):
        async with open_contender() as contender:
            outcomes += [await play(contender, turn) for turn in turns_of_round]
    return outcomes


async def play_turn(contender: Contender, turn: Turn) -> Outcome:
    """Ask what the turn asks, and compare what comes."""
    return await judge(turn, lambda: _answer(contender, turn))


async def judge(turn: Turn, play: Callable[[], Awaitable[str]]) -> Outcome:
    """Play a turn that ends in a text, and compare the text with the right one."""
    begun = time.perf_counter()
    failed, wrong_call, text = "", False, ""
    try:
        async with asyncio.timeout(TURN_LIMIT_S):
            text = await play()
    except WrongCallError:
        wrong_call = True
    except Exception as error:  # noqa: BLE001 # contenders may fail in any way: that is counted
        failed = type(error).__name__
    ms = (time.perf_counter() - begun) * 1000
    if failed or wrong_call:
        return Outcome(turn=turn.number, ms=ms, failed=failed, wrong_call=wrong_call)
    lost, doubled = compare(turn.text, text)
    respaced = not lost and not doubled and text.strip() != turn.text.strip()
    return Outcome(turn=turn.number, ms=ms, lost=lost, doubled=doubled, respaced=respaced)


def compare(right: str, got: str) -> tuple[int, int]:
    """How many words are lost, and how many are there that should not be: repeated or foreign."""
    wanted, given = right.split(), got.split()
    lost = doubled = 0
    matcher = SequenceMatcher(None, wanted, given, autojunk=False)
    for operation, a, b, c, d in matcher.get_opcodes():
        if operation != "equal":
            lost += b - a
            doubled += d - c
    return lost, doubled


def check_call(calls: Sequence[ToolUse], turn: Turn) -> ToolUse:
    """The one right call. Raises WrongCallError when there is another one, or none."""
    if len(calls) != 1 or calls[0].name != "calculator":
        raise WrongCallError
    if calls[0].args != {"expression": turn.expression}:
        raise WrongCallError
    return calls[0]


def summarize(outcomes: Sequence[Outcome]) -> dict[str, object]:
    """The figures of one contender, ready for JSON."""
    times = sorted(outcome.ms for outcome in outcomes)
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    return {
        "turns": len(outcomes),
        "failed": sum(bool(outcome.failed) for outcome in outcomes),
        "doubled_words": sum(outcome.doubled > 0 for outcome in outcomes),
        "lost_words": sum(outcome.lost > 0 for outcome in outcomes),
        "wrong_calls": sum(outcome.wrong_call for outcome in outcomes),
        "changed_spacing": sum(outcome.respaced for outcome in outcomes),
        "p50_ms": round(cuts[49], 1),
        "p95_ms": round(cuts[94], 1),
        "errors": dict(Counter(one.failed for one in outcomes if one.failed).most_common()),
        "not_right": [
            one.turn
            for one in outcomes
            if one.failed or one.lost or one.doubled or one.wrong_call or one.respaced
        ][:SHOWN_TURNS],
    }


async def _answer(contender: Contender, turn: Turn) -> str:
    history = [contender.question(turn.request)]
    answer = await contender.ask(history, streamed=turn.streamed)
    if turn.kind == "tool":
        call = check_call(answer.calls, turn)
        history += [answer.message, contender.result(call, str(turn.product))]
        answer = await contender.ask(history, streamed=turn.streamed)
    if answer.calls:
        raise WrongCallError
    return answer.text
