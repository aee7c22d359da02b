"""How each vendor's class wants what a call says: its tools and its parameters.

A call speaks OpenAI's words: `tools`, `tool_choice`, `temperature`, `max_tokens`, `seed`,
`response_format` and whatever else the provider of an OpenAI-shaped API takes.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnableBinding

from potluck.providers.catalog import Api

Keywords = dict[str, Any]  # Any: keyword arguments of the vendors' classes

# What each class writes as `model_provider` into the messages it makes and looks for in history
MARKS: Mapping[Api, str] = {
    "gemini": "google_genai",
    "groq": "groq",
    "together": "openai",
    "openai": "openai",
    "ollama": "ollama",
    "huggingface": "huggingface",
    "offline": "offline",
}


def to_vendor(
    inner: BaseChatModel, api: Api, base_url: str | None, options: Mapping[str, object]
) -> tuple[BaseChatModel, Keywords]:
    """The model to call, and the options of one call as keyword arguments of its call."""
    rest = {key: value for key, value in options.items() if value is not None}
    tools = rest.pop("tools", None)
    choice = _plain_choice(rest.pop("tool_choice", None))
    bound = _bind(inner, api, tools, choice) if tools else {}
    if api == "ollama":
        return _with_ollama_params(inner, rest), {**_only(rest, "response_format"), **bound}
    given = _params(api, base_url, rest)
    if "extra_body" in given:
        # A call's replaces the model's own, where the model's output limit may be
        given["extra_body"] = {**(getattr(inner, "extra_body", None) or {}), **given["extra_body"]}
    return inner, {**given, **bound}


def _plain_choice(choice: object) -> object:
    """`auto`, `none`, `any` or a tool's name, from any of the forms in use."""
    if isinstance(choice, dict):
        function = choice.get("function", choice)
        return function.get("name") if isinstance(function, dict) else None
    if choice is True or choice == "required":
        return "any"
    return choice or None


def _bind(inner: BaseChatModel, api: Api, tools: object, choice: object) -> Keywords:
    if not isinstance(tools, list):
        raise TypeError(f"tools must be a list, not {type(tools).__name__}")
    if api == "huggingface":
        # Its bind_tools refuses any choice among several tools; its wire does not
        return {"tools": tools, **_openai_choice(choice)}
    extra: Keywords = {} if choice is None else {"tool_choice": choice}
    binding = inner.bind_tools(tools, **extra)
    if not isinstance(binding, RunnableBinding):
        raise TypeError(f"{type(inner).__name__}.bind_tools did not return a binding")
    return dict(binding.kwargs)


def _openai_choice(choice: object) -> Keywords:
    if choice is None:
        return {}
    if choice in ("auto", "none"):
        return {"tool_choice": choice}
    if choice == "any":
        return {"tool_choice": "required"}
    return {"tool_choice": {"type": "function", "function": {"name": choice}}}


def _params(api: Api, base_url: str | None, params: Keywords) -> Keywords:
    if api == "gemini":
        return _gemini_params(params)
    if api == "offline":
        return {}
    if api in ("openai", "together"):
        return _openai_params(api, base_url, params)
    if api == "huggingface":
        return _huggingface_params(params)
    return params


def _huggingface_params(params: Keywords) -> Keywords:
    """Its class takes no parameter that it does not know; what its wire knows goes there as is."""
    extra = _only(params, "reasoning_effort")
    known = {name: value for name, value in params.items() if name not in extra}
    return {**known, "extra_body": extra} if extra else known


def _openai_params(api: Api, base_url: str | None, params: Keywords) -> Keywords:
    """Parameters for OpenAI's SDK; `extra_body` goes to the wire as it is.

    Given by its own name, `response_format` would make the SDK parse the answer, and raise when
    it was cut short.
    """
    extra = _only(params, "response_format")
    known = {name: value for name, value in params.items() if name not in extra}
    if api == "openai" and "max_tokens" in known:
        limit = output_limit(base_url, known.pop("max_tokens"))
        extra |= limit.pop("extra_body", {})
        known |= limit
    return {**known, "extra_body": extra} if extra else known


def output_limit(base_url: str | None, max_tokens: object) -> Keywords:
    """The output limit for ChatOpenAI, which renames `max_tokens` to what only OpenAI takes."""
    if base_url is None or urlsplit(base_url).hostname == "api.openai.com":
        return {"max_tokens": max_tokens}
    return {"extra_body": {"max_tokens": max_tokens}}


def _gemini_params(params: Keywords) -> Keywords:
    known = _only(params, "temperature", "top_p", "seed")
    if "max_tokens" in params:
        known["max_output_tokens"] = params["max_tokens"]
    schema = _json_schema(params.get("response_format"))
    if schema is not None:
        known["response_mime_type"] = "application/json"
        if schema:
            known["response_json_schema"] = schema
    return known


def _json_schema(response_format: object) -> dict[str, object] | None:
    """The schema asked for; empty for any JSON; None when no JSON is asked for."""
    if not isinstance(response_format, dict) or response_format.get("type") == "text":
        return None
    described = response_format.get("json_schema")
    schema = described.get("schema") if isinstance(described, dict) else None
    return schema if isinstance(schema, dict) else {}


def _only(params: Keywords, *names: str) -> Keywords:
    return {name: params[name] for name in names if name in params}


def _with_ollama_params(inner: BaseChatModel, params: Keywords) -> BaseChatModel:
    """A copy with the call's parameters: given as `options`, they would drop all others."""
    known = _only(params, "temperature", "top_p", "seed")
    if "max_tokens" in params:
        known["num_predict"] = params["max_tokens"]
    return inner.model_copy(update=known) if known else inner
