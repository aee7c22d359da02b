"""What a model was asked, in one form for every wire: messages, tools, choices, parameters."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Role = Literal["system", "user", "assistant", "tool"]
FormatKind = Literal["json_object", "json_schema"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool; `raw_args` is the text on the wire when it is not the JSON of `args`."""

    name: str
    args: Mapping[str, object] = field(default_factory=dict)
    id: str | None = None
    raw_args: str | None = None

    @property
    def args_text(self) -> str:
        """The arguments as wires of the OpenAI kind carry them: JSON in a string."""
        if self.raw_args is not None:
            return self.raw_args
        return json.dumps(self.args, ensure_ascii=False)

    @property
    def malformed(self) -> bool:
        """Whether the text on the wire is no JSON object."""
        try:
            return self.raw_args is not None and not isinstance(json.loads(self.raw_args), dict)
        except json.JSONDecodeError:
            return True


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the conversation; `tool_call_id` and `name` belong to a tool's result."""

    role: Role
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None
    images: int = 0


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool offered to the model; `parameters` is its JSON schema."""

    name: str
    description: str = ""
    parameters: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """The form the caller wants the answer in; `schema` only for `json_schema`."""

    kind: FormatKind
    schema: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """One call of a model as the provider understood it, with the raw body beside it.

    `tool_choice` is `auto`, `none`, `required`, or the name of the one tool that must be called.
    """

    provider: str
    model: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    response_format: ResponseFormat | None = None
    stream: bool = False
    include_usage: bool = False
    params: Mapping[str, object] = field(default_factory=dict)
    key: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, object] = field(default_factory=dict)
    size_bytes: int = 0

    @property
    def system_text(self) -> str:
        """All system messages, a line each."""
        return "\n".join(message.text for message in self.messages if message.role == "system")

    @property
    def last_user_text(self) -> str:
        """What the user said last, or nothing."""
        texts = (message.text for message in reversed(self.messages) if message.role == "user")
        return next(texts, "")

    @property
    def tool_results(self) -> tuple[Message, ...]:
        """The results that came in since the user spoke last, oldest first."""
        return tuple(m for m in self._since_user() if m.role == "tool")

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls made since the user spoke last, oldest first."""
        return tuple(call for m in self._since_user() for call in m.tool_calls)

    @property
    def input_tokens(self) -> int:
        """About how many tokens the prompt has: a quarter of the body's bytes."""
        return max(1, self.size_bytes // 4)

    @property
    def max_output(self) -> int | None:
        """The most tokens the answer may have, if the request says."""
        for name in ("max_completion_tokens", "max_tokens", "maxOutputTokens", "num_predict"):
            value = self.params.get(name)
            if isinstance(value, int) and value > 0:
                return value
        return None

    def tool(self, name: str) -> Tool | None:
        """The tool offered under this name, or None."""
        return next((tool for tool in self.tools if tool.name == name), None)

    def _since_user(self) -> tuple[Message, ...]:
        start = 0
        for index, message in enumerate(self.messages):
            if message.role == "user":
                start = index + 1
        return self.messages[start:]
