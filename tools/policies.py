"""Which tool calls may run: one ruling for each call, by tool and by argument."""

import fnmatch
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from tools.tools_file import FILE, Policy, Rules, ToolsFile, compiled, is_regex

# A shell reads more into a line with one of these than its first word says
_OPERATORS = frozenset(";&|<>$`(){}\n\r\\")
_OWN: Mapping[Policy, str] = {
    "allow": "`{name}` may run.",
    "ask": f"`{{name}}` needs a person's approval, unless {FILE} says otherwise.",
    "deny": "`{name}` is switched off.",
}


@dataclass(frozen=True, slots=True)
class Ruling:
    """Whether a call may run, and why: a sentence for people and models."""

    policy: Policy
    reason: str


@dataclass(frozen=True, slots=True)
class Policies:
    """What config/tools.yaml says; a tool that it does not name keeps its own policy."""

    default: Policy | None = None
    tools: Mapping[str, Rules] = field(default_factory=dict)

    @classmethod
    def of(cls, form: ToolsFile) -> Self:
        """The policies of config/tools.yaml."""
        rules = {
            name: Rules(policy=given) if isinstance(given, str) else given
            for name, given in form.tools.items()
        }
        return cls(form.default, rules)

    def rule(self, name: str, args: Mapping[str, object], own: Policy) -> Ruling:
        """What holds for one call: patterns of `deny` first, of `ask`, of `allow`, then the policy.

        `own` is the policy with which the tool is registered.
        """
        rules = self._rules(name)
        for policy in ("deny", "ask", "allow"):
            found = _find(getattr(rules, policy), args, strict=policy == "allow")
            if found is not None:
                return Ruling(policy, f"{FILE} says {policy} to `{name}` with {_shown(found)}.")
        if rules.policy is not None:
            return Ruling(rules.policy, f"{FILE} says {rules.policy} to `{name}`.")
        if self.default is not None and _strictness(self.default) > _strictness(own):
            return Ruling(self.default, f"{FILE} says {self.default} to whatever it does not name.")
        return Ruling(own, _OWN[own].format(name=name))

    def is_denied(self, name: str, own: Policy) -> bool:
        """Whether no call of the tool may run, so that models need not know of it."""
        rules = self._rules(name)
        if rules.allow or rules.ask:
            return False
        return self.rule(name, {}, own).policy == "deny"

    def _rules(self, name: str) -> Rules:
        exact = self.tools.get(name)
        if exact is not None:
            return exact
        globs = (given for glob, given in self.tools.items() if fnmatch.fnmatchcase(name, glob))
        return next(globs, Rules())


def _find(
    patterns: Sequence[Mapping[str, str]], args: Mapping[str, object], *, strict: bool
) -> Mapping[str, str] | None:
    """The first pattern of which every argument matches."""
    return next(
        (p for p in patterns if all(_matches(args.get(n), t, strict=strict) for n, t in p.items())),
        None,
    )


def _matches(value: object, pattern: str, *, strict: bool) -> bool:
    """Whether an argument has a pattern's form.

    With `strict` a `*` stands for nothing that a shell would take for more than a word:
    `git log *` must not let `git log; rm -rf .` through.
    """
    if value is None:
        return False
    text = value if isinstance(value, str) else str(value)
    if is_regex(pattern):
        return compiled(pattern).fullmatch(text) is not None
    if strict and (_OPERATORS - set(pattern)) & set(text):
        return False
    return re.fullmatch(fnmatch.translate(pattern), text) is not None


def _strictness(policy: Policy) -> int:
    return ("allow", "ask", "deny").index(policy)


def _shown(pattern: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {text!r}" for name, text in pattern.items())
