"""What one call needs of a model, and who may answer it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from potluck.cache.responses import CacheMode
from potluck.errors import ProviderError
from potluck.providers.backend import Backend
from potluck.providers.catalog import OFFLINE, TaskType
from potluck.providers.course import Wait
from potluck.providers.terms import Fit
from potluck.providers.trim import OPTION as TRIM_OPTION
from potluck.providers.trim import Trim
from potluck.quota.windows import Priority

Tool = BaseTool | type | Callable[..., object] | dict[str, Any]  # Any: a JSON schema


@dataclass(frozen=True, slots=True)
class Call:
    """What one call needs of a model, and who may answer it.

    `prefer` and `only` are refs (`provider/model-id`, or a provider's id for all its models);
    `private` leaves out whoever may train on prompts; `params` are OpenAI's: temperature,
    max_tokens, stop, seed, response_format. `tool_choice` is `auto`, `none`, `any` or a name.
    The calls of one `thread` go to one model while it makes no difference; `parts` is how many
    steps of a plan share the call. `cache`: `use` an answer that is kept, `refresh` it, or `off`.
    `trim` ends the answer's text without cutting tool calls. `most_wait_s` is the longest that the
    call waits for room, where policy would have it wait longer; it does not come back. `vision`
    when there are images to see: whoever cannot see is asked only where nobody can. `avoid` is the
    ref of a model that has just answered badly: the others are asked first. `fit` shortens the
    conversation for a model that does not take all of it; without, such a model is left out.
    """

    task_type: TaskType = "general"
    tools: Sequence[Tool] = ()
    tool_choice: str | None = None
    prefer: str | None = None
    only: str | None = None
    private: bool = False
    params: Mapping[str, object] = field(default_factory=dict)
    on_failover: Callable[[ProviderError], None] | None = None
    on_wait: Callable[[Wait], None] | None = None
    priority: Priority = "interactive"
    thread: str | None = None
    tenant: str = ""
    cache: CacheMode = "use"
    parts: int = 1
    trim: Trim | None = None
    most_wait_s: float | None = None
    vision: bool = False
    avoid: str | None = None
    fit: Fit | None = None


def is_offline(ref: str) -> bool:
    """Whether the offline model is asked for by name."""
    return ref.partition("/")[0] == OFFLINE


def fits(backend: Backend, call: Call, *, private: bool) -> bool:
    """Whether the model can do what the call needs; `private`: and never trains on prompts."""
    can = backend.model.capabilities
    if (call.tools and "tools" not in can) or (call.vision and "vision" not in can):
        return False
    wanted = call.params.get("response_format")
    if isinstance(wanted, dict) and wanted.get("type", "text") != "text" and "json" not in can:
        return False
    return not private or backend.provider.trains_on_prompts == "no"


def options_of(call: Call) -> dict[str, object]:
    """Tools and parameters as every link takes them."""
    options = {key: value for key, value in call.params.items() if value is not None}
    if isinstance(options.get("stop"), str):
        options["stop"] = [options["stop"]]
    if call.trim is not None:
        options[TRIM_OPTION] = call.trim.as_option()
    if call.tools:
        options["tools"] = [convert_to_openai_tool(tool) for tool in call.tools]
        if call.tool_choice is not None:
            options["tool_choice"] = call.tool_choice
    return options
