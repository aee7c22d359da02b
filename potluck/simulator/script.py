"""Scripted replies: ordered rules over what was asked, and a default when none fits."""

import random
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypedDict, Unpack

from potluck.simulator.default_replies import answer
from potluck.simulator.reply import Fault, Reply
from potluck.simulator.request import ModelRequest
from potluck.simulator.trouble import Trouble

Predicate = Callable[[ModelRequest], bool]
Replier = Callable[[ModelRequest], Reply | None]


class Terms(TypedDict, total=False):
    """The terms of a `When`, as keyword arguments of `Script.on`."""

    provider: str
    model: str
    text: str
    system: str
    tool: str
    results: int
    last_tool: str
    stream: bool


@dataclass(frozen=True, slots=True)
class When:
    """Fits a request that meets every term that is set.

    `provider` and `model` are names; `text` is searched for in what the user said last and
    `system` in the system prompt, as regular expressions without regard to case; `tool` must be
    offered; `results` is how many tool results came since the user spoke; `last_tool` is the
    tool whose result came last.
    """

    provider: str | None = None
    model: str | None = None
    text: str | None = None
    system: str | None = None
    tool: str | None = None
    results: int | None = None
    last_tool: str | None = None
    stream: bool | None = None

    def __post_init__(self) -> None:
        for pattern in (self.text, self.system):
            if pattern is not None:
                re.compile(pattern)

    def __call__(self, request: ModelRequest) -> bool:
        """Whether the request fits."""
        return (
            _equal(self.provider, request.provider)
            and _equal(self.model, request.model)
            and _equal(self.stream, request.stream)
            and (self.tool is None or request.tool(self.tool) is not None)
            and self._results_fit(request)
            and _found(self.text, request.last_user_text)
            and _found(self.system, request.system_text)
        )

    def _results_fit(self, request: ModelRequest) -> bool:
        if self.results is not None and self.results != len(request.tool_results):
            return False
        if self.last_tool is None:
            return True
        results = request.tool_results
        return bool(results) and _tool_of(request, results[-1].tool_call_id) == self.last_tool


@dataclass(slots=True)
class Rule:
    """If `when` fits, the next of `replies`; the last one is repeated until `times` are used up.

    A reply may be a callable over the request; when it returns None, the next rule is asked.
    """

    replies: Sequence[Reply | Replier]
    when: Predicate = field(default_factory=When)
    times: int | None = None
    used: int = 0

    @property
    def spent(self) -> bool:
        """Whether it will not answer any more."""
        return self.times is not None and self.used >= self.times

    def reply_to(self, request: ModelRequest) -> Reply | None:
        """The reply, or None when this rule has nothing to say."""
        if self.spent or not self.when(request):
            return None
        chosen = self.replies[min(self.used, len(self.replies) - 1)]
        reply = chosen(request) if callable(chosen) else chosen
        if reply is not None:
            self.used += 1
        return reply


class Script:
    """Decides every reply: the first rule that fits and is not spent, else the default.

    Then the troubles have their way with it, each in turn. Safe to change from another thread
    while the simulator runs. The same `seed` gives the same luck.
    """

    def __init__(
        self,
        rules: Iterable[Rule] = (),
        *,
        troubles: Iterable[Trouble] = (),
        default: Replier = answer,
        seed: int = 0,
    ) -> None:
        self._rules = list(rules)
        self._troubles = list(troubles)
        self._default = default
        self._chance = random.Random(seed)  # noqa: S311 # luck in a game, not a secret
        self._lock = threading.RLock()

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules, in the order in which they are asked."""
        with self._lock:
            return tuple(self._rules)

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """The troubles, in the order in which they strike."""
        with self._lock:
            return tuple(self._troubles)

    def on(
        self, *replies: Reply | Replier, times: int | None = None, **terms: Unpack[Terms]
    ) -> Rule:
        """Add a rule: one reply is given every time, several are given once each in turn.

        `times` limits how often the rule is used; the terms are those of `When`.
        """
        if not replies:
            raise ValueError("on() needs at least one reply")
        if times is None and len(replies) > 1:
            times = len(replies)
        rule = Rule(replies, When(**terms), times)
        self.add(rule)
        return rule

    def add(self, *rules: Rule) -> None:
        """Add rules after those that are there."""
        with self._lock:
            self._rules.extend(rules)

    def trouble(self, *troubles: Trouble) -> None:
        """Add troubles after those that are there."""
        with self._lock:
            self._troubles.extend(troubles)

    def clear(self) -> None:
        """Forget all rules and troubles."""
        with self._lock:
            self._rules.clear()
            self._troubles.clear()

    def reply_to(self, request: ModelRequest, *, elapsed_s: float = 0.0) -> Reply:
        """The reply to this request, so many seconds after the simulator's start."""
        with self._lock:
            reply = self._scripted(request)
            for trouble in self._troubles:
                reply = trouble.befall(reply, request, elapsed_s, self._chance)
        return reply

    def _scripted(self, request: ModelRequest) -> Reply:
        for rule in self._rules:
            reply = rule.reply_to(request)
            if reply is not None:
                return reply
        return self._default(request) or Reply()


def refuse(request: ModelRequest) -> Reply:
    """A default for strict tests: what no rule foresaw is an error that shows the request."""
    said = request.last_user_text[:200]
    text = f"No rule of the script fits: {request.provider}/{request.model}, user said: {said!r}"
    return Reply(fault=Fault(status=400, body={"error": {"message": text, "type": "no_rule"}}))


def _equal(wanted: object, actual: object) -> bool:
    return wanted is None or wanted == actual


def _found(pattern: str | None, text: str) -> bool:
    return pattern is None or re.search(pattern, text, re.IGNORECASE) is not None


def _tool_of(request: ModelRequest, call_id: str | None) -> str | None:
    calls = request.tool_calls
    return next((call.name for call in reversed(calls) if call.id == call_id), None)
