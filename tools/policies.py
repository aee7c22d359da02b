"""Which tool calls may run: config/tools.yaml read and checked, and one decision for each call."""

import fnmatch
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from potluck.yaml_document import Document, Place, Problem, config_error, read_document
from potluck.yaml_form import Form, check_form

Policy = Literal["allow", "ask", "deny"]

FILE = "tools.yaml"
_DESCRIBED = "allow, ask or deny"
# A shell reads more into a line with one of these than its first word says
_OPERATORS = frozenset(";&|<>$`(){}\n\r\\")
_REGEX = "re:"
_OWN: Mapping[Policy, str] = {
    "allow": "`{name}` may run.",
    "ask": f"`{{name}}` needs a person's approval, unless {FILE} says otherwise.",
    "deny": "`{name}` is switched off.",
}


class RulesForm(Form):
    """A tool's policy, and the calls that are treated in another way."""

    policy: Policy | None = Field(default=None, description=_DESCRIBED)
    allow: list[dict[str, str]] = Field(default=[], description="a list of argument patterns")
    ask: list[dict[str, str]] = Field(default=[], description="a list of argument patterns")
    deny: list[dict[str, str]] = Field(default=[], description="a list of argument patterns")

    @field_validator("allow", "ask", "deny")
    @classmethod
    def _readable(cls, patterns: list[dict[str, str]]) -> list[dict[str, str]]:
        for pattern in patterns:
            if not pattern:
                raise ValueError("an empty pattern would match every call")
            for text in pattern.values():
                if _is_regex(text):
                    _compile(text)
        return patterns


class ToolsFile(Form):
    """config/tools.yaml."""

    default: Policy | None = Field(default=None, description=_DESCRIBED)
    tools: dict[str, Policy | RulesForm] = Field(
        default={}, description="names of tools, each with allow, ask, deny or a mapping"
    )


@dataclass(frozen=True, slots=True)
class Ruling:
    """Whether a call may run, and why: a sentence for people and models."""

    policy: Policy
    reason: str


@dataclass(frozen=True, slots=True)
class Policies:
    """What config/tools.yaml says; a tool that it does not name keeps its own policy."""

    default: Policy | None = None
    tools: Mapping[str, RulesForm] = field(default_factory=dict)

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

    def _rules(self, name: str) -> RulesForm:
        exact = self.tools.get(name)
        if exact is not None:
            return exact
        globs = (given for glob, given in self.tools.items() if fnmatch.fnmatchcase(name, glob))
        return next(globs, RulesForm())


def load_policies(config_dir: Path, known: Sequence[str]) -> Policies:
    """Read tools.yaml; all defaults when there is none.

    `known` are the tools there are. Raises ConfigError with file, line and fix.
    """
    file = config_dir / FILE
    if not file.exists():
        return Policies()
    document = read_document(file)
    problems: list[Problem] = []
    form = check_form(ToolsFile, document, problems)
    if form is not None:
        problems += _unknown(document, form, known)
    if problems or form is None:
        raise config_error(problems)
    rules = {
        name: RulesForm(policy=given) if isinstance(given, str) else given
        for name, given in form.tools.items()
    }
    return Policies(form.default, rules)


def _unknown(document: Document, form: ToolsFile, known: Sequence[str]) -> list[Problem]:
    """Names without a tool: a slip here would leave a tool less guarded than its owner thinks."""
    problems = []
    for name in form.tools:
        # Tools of MCP servers are known only when the servers run.
        if any(mark in name for mark in "*?[") or name.startswith("mcp_") or name in known:
            continue
        place: Place = ("tools", name)
        fix = f"Use one of: {', '.join(known)}, or a pattern such as `mcp_*`."
        problems.append(document.problem(place, f"There is no tool `{name}`.", fix))
    return problems


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
    if _is_regex(pattern):
        return _compile(pattern).fullmatch(text) is not None
    if strict and (_OPERATORS - set(pattern)) & set(text):
        return False
    return re.fullmatch(fnmatch.translate(pattern), text) is not None


def _is_regex(pattern: str) -> bool:
    return pattern.startswith(_REGEX)


@cache
def _compile(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern.removeprefix(_REGEX), re.DOTALL)
    except re.error as error:
        raise ValueError(f"{pattern} is no regular expression ({error})") from error


def _strictness(policy: Policy) -> int:
    return ("allow", "ask", "deny").index(policy)


def _shown(pattern: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {text!r}" for name, text in pattern.items())
