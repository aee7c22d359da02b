"""What our own chat models share: asynchronous only, tools kept in OpenAI's neutral form."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel

from potluck.errors import PotluckError


class AsyncChatModel(BaseChatModel):
    """A chat model that answers `ainvoke` and `astream` only."""

    # The base class would read an environment variable for each member of each chain
    output_version: str | None = None

    @cached_property
    def _serialized(self) -> dict[str, Any]:  # Any: BaseChatModel's own signature
        # The base class would print every part of the chain into the trace of each call
        name = type(self).__name__
        return {"lc": 1, "type": "not_implemented", "id": ["potluck", name], "name": name}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._identifying_params.get('model', '')})"

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],  # Any: JSON schemas
        *,
        tool_choice: str | None = None,
        **kwargs: Any,  # Any: BaseChatModel's own signature
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Offer tools to the model; `tool_choice` is `auto`, `none`, `any` or a tool's name."""
        if tool_choice is not None:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,  # Any: a JSON schema
        *,
        include_raw: bool = False,
        **kwargs: Any,  # Any: BaseChatModel's own signature
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:  # Any: what the schema says
        """Answers of the form of `schema`, asked for as the call of a tool."""
        # RunnableWithFallbacks reads these annotations, and the base class's cannot be resolved
        return super().with_structured_output(schema, include_raw=include_raw, **kwargs)

    def _generate(self, *_args: Any, **_kwargs: Any) -> ChatResult:  # Any: nothing is read
        raise PotluckError("Models are called asynchronously here.", fix="Use ainvoke or astream.")
