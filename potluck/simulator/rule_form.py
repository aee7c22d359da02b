"""Rules as JSON or YAML: what `/_sim/rules` takes and scenario files hold."""

import re
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from potluck.simulator.reply import CutKind, Delay, Fault, FaultKind, FinishReason, Reply, Usage
from potluck.simulator.request import ToolCall
from potluck.simulator.script import Rule, When

_Seconds = Annotated[float, Field(ge=0, le=86_400 * 31)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class WhenForm(_Form):
    """The terms of `When`."""

    provider: str | None = None
    model: str | None = None
    text: str | None = None
    system: str | None = None
    tool: str | None = None
    results: Annotated[int, Field(ge=0)] | None = None
    last_tool: str | None = None
    stream: bool | None = None

    @field_validator("text", "system")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"is no regular expression: {error}") from error
        return value

    def when(self) -> When:
        """The predicate."""
        return When(**self.model_dump())


class ToolCallForm(_Form):
    """One tool call; `raw_args` to send what is no JSON."""

    name: Annotated[str, Field(min_length=1)]
    args: dict[str, object] = {}
    id: str | None = None
    raw_args: str | None = None

    def call(self) -> ToolCall:
        """The tool call."""
        return ToolCall(self.name, self.args, self.id, self.raw_args)


class FaultForm(_Form):
    """A fault by its kind, or by status, body and headers."""

    kind: FaultKind | None = None
    status: Annotated[int, Field(ge=400, le=599)] | None = None
    body: object = None
    headers: dict[str, str] = {}
    retry_after_s: _Seconds | None = None
    message: str | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.kind is None and self.status is None:
            raise ValueError("needs a kind or a status")
        return self

    def fault(self) -> Fault:
        """The fault."""
        return Fault(**dict(self))


class UsageForm(_Form):
    """Tokens."""

    input_tokens: Annotated[int, Field(ge=0)]
    output_tokens: Annotated[int, Field(ge=0)]
    reasoning_tokens: Annotated[int, Field(ge=0)] = 0


class DelayForm(_Form):
    """Seconds to the first byte, and before each chunk."""

    first_byte_s: _Seconds = 0.0
    per_chunk_s: _Seconds = 0.0


class ReplyForm(_Form):
    """A reply; `fault` may be a kind alone."""

    text: str = ""
    tool_calls: list[ToolCallForm] = []
    reasoning: str = ""
    finish_reason: FinishReason | None = None
    usage: UsageForm | None = None
    pieces: list[str] | None = None
    fault: FaultKind | FaultForm | None = None
    delay: DelayForm = DelayForm()
    cut_after: Annotated[int, Field(ge=0)] | None = None
    cut: CutKind = "drop"

    def reply(self) -> Reply:
        """The reply."""
        fault = self.fault
        return Reply(
            text=self.text,
            tool_calls=tuple(call.call() for call in self.tool_calls),
            reasoning=self.reasoning,
            finish_reason=self.finish_reason,
            usage=Usage(**self.usage.model_dump()) if self.usage else None,
            pieces=tuple(self.pieces) if self.pieces is not None else None,
            fault=fault.fault() if isinstance(fault, FaultForm) else _named(fault),
            delay=Delay(**self.delay.model_dump()),
            cut_after=self.cut_after,
            cut=self.cut,
        )


class RuleForm(_Form):
    """One rule: `reply`, or `replies` given one after the other."""

    when: WhenForm = WhenForm()
    reply: ReplyForm | None = None
    replies: list[ReplyForm] = []
    times: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.reply is None) == (not self.replies):
            raise ValueError("needs either reply or replies")
        return self

    def rule(self) -> Rule:
        """The rule."""
        forms = [self.reply] if self.reply is not None else self.replies
        times = self.times or (len(forms) if len(forms) > 1 else None)
        return Rule([form.reply() for form in forms], self.when.when(), times)


class RulesForm(_Form):
    """Rules to add, or with `replace` to have instead of those that are there."""

    rules: list[RuleForm]
    replace: bool = False


class ClockForm(_Form):
    """How far to move the clock on."""

    advance_s: _Seconds


def _named(kind: FaultKind | None) -> Fault | None:
    return None if kind is None else Fault(kind)


def explain(error: ValidationError) -> str:
    """All that is wrong, in one line: where, and what."""
    return "; ".join(
        f"{'.'.join(map(str, item['loc'])) or 'body'}: {item['msg']}" for item in error.errors()
    )
