"""Rules as JSON or YAML: what `/_sim/rules` takes and scenario files hold."""

import re
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from potluck.simulator.forms import Form, Seconds
from potluck.simulator.reply import CutKind, Delay, Fault, FaultKind, FinishReason, Reply, Usage
from potluck.simulator.request import ToolCall
from potluck.simulator.script import Rule, When


class WhenForm(Form):
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


class ToolCallForm(Form):
    """One tool call; `raw_args` to send what is no JSON."""

    name: Annotated[str, Field(min_length=1)]
    args: Annotated[dict[str, object], Field(default_factory=dict)]
    id: str | None = None
    raw_args: str | None = None

    def call(self) -> ToolCall:
        """The tool call."""
        return ToolCall(self.name, self.args, self.id, self.raw_args)


class FaultForm(Form):
    """A fault by its kind, or by status, body and headers."""

    kind: FaultKind | None = None
    status: Annotated[int, Field(ge=400, le=599)] | None = None
    body: object = None
    headers: Annotated[dict[str, str], Field(default_factory=dict)]
    retry_after_s: Seconds | None = None
    message: str | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.kind is None and self.status is None:
            raise ValueError("needs a kind or a status")
        return self

    def fault(self) -> Fault:
        """The fault."""
        return Fault(**dict(self))


class UsageForm(Form):
    """Tokens."""

    input_tokens: Annotated[int, Field(ge=0)]
    output_tokens: Annotated[int, Field(ge=0)]
    reasoning_tokens: Annotated[int, Field(ge=0)] = 0


class DelayForm(Form):
    """Seconds to the first byte, and before each chunk."""

    first_byte_s: Seconds = 0.0
    per_chunk_s: Seconds = 0.0


class ReplyForm(Form):
    """A reply; `fault` may be a kind alone."""

    text: str = ""
    tool_calls: tuple[ToolCallForm, ...] = ()
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
        return Reply(
            text=self.text,
            tool_calls=tuple(call.call() for call in self.tool_calls),
            reasoning=self.reasoning,
            finish_reason=self.finish_reason,
            usage=Usage(**self.usage.model_dump()) if self.usage else None,
            pieces=tuple(self.pieces) if self.pieces is not None else None,
            fault=fault_of(self.fault),
            delay=Delay(**self.delay.model_dump()),
            cut_after=self.cut_after,
            cut=self.cut,
        )


class RuleForm(Form):
    """One rule: `reply`, or `replies` given one after the other."""

    when: WhenForm = WhenForm()
    reply: ReplyForm | None = None
    replies: tuple[ReplyForm, ...] = ()
    times: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.reply is None) == (not self.replies):
            raise ValueError("needs either reply or replies")
        return self

    def rule(self) -> Rule:
        """The rule."""
        forms = (self.reply,) if self.reply is not None else self.replies
        times = self.times or (len(forms) if len(forms) > 1 else None)
        return Rule([form.reply() for form in forms], self.when.when(), times)


def fault_of(form: FaultKind | FaultForm | None) -> Fault | None:
    """The fault of a form, which may be a kind alone."""
    if form is None:
        return None
    return form.fault() if isinstance(form, FaultForm) else Fault(form)
