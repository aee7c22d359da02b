"""The simulated providers of the failover benchmark, in a process of their own.

Five providers; openrouter and together are healthy, one call in five to each of the others goes
wrong, in one of the ways in `FAULTS`. What befalls a call is drawn from the seed, the turn, the
provider and how often the turn has asked that provider, so every contender meets the same fate
whatever it asked before. A key that is refused, a model that is gone and a day that is used up
stay so for the whole turn.

A model that is given the beginning of its answer, as an assistant's message or quoted, goes on in
one of three ways, drawn likewise: exactly where it ends (the space before the next word included),
with the last one to eight words once more, or with the whole answer from its first word.
"""

import json
import random
import re
import sys
from collections import Counter
from dataclasses import replace

from benchmarks.failover_turns import Turn
from potluck.simulator.reply import CutKind, Delay, Fault, FaultKind, Reply
from potluck.simulator.request import Message, ModelRequest
from potluck.simulator.script import Script
from potluck.simulator.server import SimulatorServer

HEALTHY = ("openrouter", "together")
FAULTY = ("groq", "google_gemini", "huggingface")
HANGING = "dead"
FAULT_SHARE = 0.2
SLOW_S = 0.3
FAULTS: dict[str, FaultKind | CutKind | None] = {
    "minute": FaultKind.MINUTE_REQUESTS,
    "day": FaultKind.DAY_TOKENS,
    "overload": FaultKind.OVERLOAD,
    "server_error": FaultKind.SERVER_ERROR,
    "hang": FaultKind.HANG,
    "drop": FaultKind.DROP,
    "bad_key": FaultKind.AUTH,
    "model_gone": FaultKind.MODEL_GONE,
    "slow_first_byte": None,
    "empty": None,
    "bad_tool_json": None,
    "cut_drop": "drop",
    "cut_end": "end",
    "cut_error": "error",
    "cut_stall": "stall",
}
_LASTING = ("day", "bad_key", "model_gone")
_TURN = re.compile(r"\bThis is turn (\d+)\.")
# So much of an answer quoted in a request is no chance
_QUOTE_LETTERS = 12
_CALM_TEXT = "The tide tables for next week are on the board by the harbour office, as always. " * 2


class World:
    """What the providers answer, and what befell their answers so far."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._asked: Counter[tuple[int, str]] = Counter()
        self._lasting: dict[tuple[int, str], str] = {}
        self._calls: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()
        self._continued: Counter[str] = Counter()

    def reply(self, request: ModelRequest) -> Reply:
        """The answer to a request, after its fate; a request without a turn has no ill fate."""
        self._calls[request.provider] += 1
        if request.provider == HANGING:
            return Reply(fault=Fault(FaultKind.HANG))
        turn = _turn_of(request)
        if turn is None:
            return Reply(text=_CALM_TEXT)
        place = (turn.number, request.provider)
        self._asked[place] += 1
        asked = self._asked[place]
        reply = self._right_reply(turn, request, asked)
        fate = self._fate(place, asked, reply, request)
        if fate is None:
            return reply
        self._faults[fate] += 1
        return _spoil(reply, fate, self._chance("cut", *place, asked))

    def counts(self) -> dict[str, dict[str, int]]:
        """Calls by provider, faults by kind, continuations by their way."""
        return {
            "calls": dict(self._calls),
            "faults": dict(self._faults),
            "continued": dict(self._continued),
        }

    def _right_reply(self, turn: Turn, request: ModelRequest, asked: int) -> Reply:
        if turn.kind == "tool" and not any(m.role == "tool" for m in request.messages):
            return Reply.call("calculator", expression=turn.expression)
        out = _begun(turn, request)
        if out is None:
            return Reply(text=turn.text)
        chance = self._chance("continue", turn.number, request.provider, asked)
        way = chance.choice(("exactly", "repeats", "restarts"))
        self._continued[way] += 1
        return Reply(text=_continue(turn.text, out, way, chance))

    def _fate(
        self, place: tuple[int, str], asked: int, reply: Reply, request: ModelRequest
    ) -> str | None:
        if place[1] not in FAULTY:
            return None
        if place in self._lasting:
            return self._lasting[place]
        chance = self._chance("fate", *place, asked)
        if chance.random() >= FAULT_SHARE:
            return None
        fate = chance.choice([kind for kind in FAULTS if _applies(kind, reply, request)])
        if fate in _LASTING:
            self._lasting[place] = fate
        return fate

    def _chance(self, *what: object) -> random.Random:
        return random.Random("/".join(str(part) for part in (self._seed, *what)))


def _spoil(reply: Reply, fate: str, chance: random.Random) -> Reply:
    fault = FAULTS[fate]
    if isinstance(fault, FaultKind):
        return Reply(fault=Fault(fault))
    if fault is not None:
        # The first chunk, any in the midst, or the last words on why it ended
        return replace(reply, cut_after=chance.randint(0, len(reply.text_pieces()) + 2), cut=fault)
    if fate == "slow_first_byte":
        return replace(reply, delay=Delay(first_byte_s=SLOW_S))
    if fate == "empty":
        return Reply()
    calls = tuple(replace(call, raw_args=call.args_text[:-1]) for call in reply.tool_calls)
    return replace(reply, tool_calls=calls)


def _applies(kind: str, reply: Reply, request: ModelRequest) -> bool:
    if kind.startswith("cut_"):
        return request.stream
    return kind != "bad_tool_json" or bool(reply.tool_calls)


def _turn_of(request: ModelRequest) -> Turn | None:
    for message in reversed(request.messages):
        found = _TURN.search(message.text) if message.role == "user" else None
        if found:
            return Turn(int(found.group(1)))
    return None


def _begun(turn: Turn, request: ModelRequest) -> str | None:
    """How much of the answer the request already holds; None when it holds nothing of it."""
    found = [_beginning_in(message, turn.text) for message in request.messages]
    return max((out for out in found if out), key=len, default=None)


def _beginning_in(message: Message, text: str) -> str:
    said = message.text.strip()
    if message.role == "assistant" and text.startswith(said):
        return said
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if text[:middle] in message.text else (low, middle - 1)
    return text[:low] if low >= _QUOTE_LETTERS else ""


def _continue(text: str, out: str, way: str, chance: random.Random) -> str:
    if way == "restarts":
        return text
    if way == "exactly":
        return text[len(out) :]
    starts = [word.start() for word in re.finditer(r"\S+", out)]
    return text[starts[-min(chance.randint(1, 8), len(starts))] :]


def main() -> None:
    """Serve; print the address, then the counts whenever a line comes in; end with the input."""
    world = World(int(sys.argv[1]))
    with SimulatorServer(Script(default=world.reply)) as server:
        print(server.url, flush=True)
        for _ in sys.stdin:
            print(json.dumps(world.counts()), flush=True)


if __name__ == "__main__":
    main()
