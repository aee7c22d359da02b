"""Reading and checking a generateContent request as Google does."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from potluck.simulator.dialect import Incoming, Refusal, Target
from potluck.simulator.gemini_schema import refuse_unknown_schema
from potluck.simulator.json_body import json_object, path_of
from potluck.simulator.request import Message, ModelRequest, ResponseFormat, Tool, ToolCall


class _Google(BaseModel):
    # protobuf's JSON takes both spellings and refuses what it does not know
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class _FunctionCall(_Google):
    name: Annotated[str, Field(min_length=1)]
    args: dict[str, object] | None = None
    id: str | None = None


class _FunctionResponse(_Google):
    name: Annotated[str, Field(min_length=1)]
    response: dict[str, object]
    id: str | None = None
    parts: list[dict[str, object]] | None = None
    will_continue: bool | None = None
    scheduling: str | None = None


class _Part(_Google):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    inline_data: dict[str, object] | None = None
    file_data: dict[str, object] | None = None
    function_call: _FunctionCall | None = None
    function_response: _FunctionResponse | None = None
    executable_code: dict[str, object] | None = None
    code_execution_result: dict[str, object] | None = None
    video_metadata: dict[str, object] | None = None
    media_resolution: object = None


class _Content(_Google):
    role: Literal["user", "model", "function"] | None = None
    parts: list[_Part] = []


class _SystemInstruction(_Google):
    role: str | None = None
    parts: list[_Part] = []


class _Declaration(_Google):
    name: Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}$")]
    description: str | None = None
    parameters: dict[str, object] | None = None
    parameters_json_schema: dict[str, object] | None = None
    response: dict[str, object] | None = None
    response_json_schema: dict[str, object] | None = None
    behavior: str | None = None


class _Tool(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="allow")

    function_declarations: list[_Declaration] = []


class _CallingConfig(_Google):
    mode: Literal["MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED"] | None = None
    allowed_function_names: list[str] | None = None
    stream_function_call_arguments: bool | None = None


class _ToolConfig(_Google):
    function_calling_config: _CallingConfig | None = None
    retrieval_config: dict[str, object] | None = None
    include_server_side_tool_invocations: bool | None = None


class _Body(_Google):
    contents: list[_Content] = []
    system_instruction: _SystemInstruction | None = None
    tools: list[_Tool] | None = None
    tool_config: _ToolConfig | None = None
    generation_config: dict[str, object] | None = None
    safety_settings: list[dict[str, object]] | None = None
    cached_content: str | None = None
    model: str | None = None
    labels: dict[str, str] | None = None
    service_tier: str | None = None
    store: bool | None = None


def parse_generate(incoming: Incoming, target: Target, *, key: str | None) -> ModelRequest:
    """The request in neutral form. Raises Refusal as Google would."""
    raw = json_object(
        incoming.body, "Invalid JSON payload received. Unexpected token.\nInvalid value."
    )
    try:
        body = _Body.model_validate(raw)
    except ValidationError as error:
        raise _wrong(error) from error
    tools = _tools(body.tools or ())
    _check_contents(body.contents, thinking=_signs_thoughts(target.model or ""))
    config = body.generation_config or {}
    return ModelRequest(
        provider=incoming.provider,
        model=target.model or "",
        messages=_messages(body),
        tools=tools,
        tool_choice=_choice(body.tool_config),
        response_format=_format(config),
        stream=bool(target.stream),
        include_usage=True,
        params=config,
        key=key,
        headers=incoming.headers,
        body=raw,
        size_bytes=len(incoming.body),
    )


def _wrong(error: ValidationError) -> Refusal:
    first = error.errors()[0]
    if first["type"] == "extra_forbidden":
        place = path_of(first["loc"][:-1])
        at = f" at '{place}'" if place else ""
        return Refusal(
            f'Invalid JSON payload received. Unknown name "{first["loc"][-1]}"{at}: '
            "Cannot find field."
        )
    return Refusal(f"Invalid value at '{path_of(first['loc'])}': {first['msg']}.")


def _check_contents(contents: Sequence[_Content], *, thinking: bool) -> None:
    if not contents:
        raise Refusal("* GenerateContentRequest.contents: contents is not specified\n")
    open_calls = 0
    for index, content in enumerate(contents):
        _check_parts(content, index)
        results = sum(part.function_response is not None for part in content.parts)
        if results != open_calls:
            raise Refusal(
                "Please ensure that the number of function response parts is equal to the number "
                "of function call parts of the function call turn."
            )
        open_calls = sum(part.function_call is not None for part in content.parts)
        if open_calls and (index == 0 or contents[index - 1].role == "model"):
            raise Refusal(
                "Please ensure that function call turn comes immediately after a user turn or "
                "after a function response turn."
            )
    if contents[-1].role == "model" and open_calls:
        raise Refusal("Please ensure that function response turn comes after a function call turn.")
    if thinking:
        _check_signatures(contents)


def _check_parts(content: _Content, index: int) -> None:
    if not content.parts:
        raise Refusal(
            f"* GenerateContentRequest.contents[{index}].parts: contents.parts must not be empty.\n"
        )
    for number, part in enumerate(content.parts):
        data = part.model_dump(exclude_none=True, exclude={"thought", "thought_signature"})
        if not data and part.thought_signature is None:
            raise Refusal(
                f"* GenerateContentRequest.contents[{index}].parts[{number}].data: required oneof "
                "field 'data' must have one initialized field\n"
            )


def _check_signatures(contents: Sequence[_Content]) -> None:
    """In the turn under way, the first call of each step must carry its thought signature."""
    start = max((i for i, c in enumerate(contents) if _is_question(c)), default=0)
    for index in range(start, len(contents)):
        calls = [part for part in contents[index].parts if part.function_call is not None]
        if calls and not calls[0].thought_signature:
            name = calls[0].function_call.name if calls[0].function_call else ""
            raise Refusal(
                "Function call is missing a thought_signature in functionCall parts. This is "
                "required for tools to work correctly, and missing thought_signature may lead to "
                f"degraded model performance. Additional data, function call `default_api:{name}` "
                f", position {index + 1}. Please refer to "
                "https://ai.google.dev/gemini-api/docs/thought-signatures for more details."
            )


def _is_question(content: _Content) -> bool:
    return content.role != "model" and any(part.text is not None for part in content.parts)


def _signs_thoughts(model: str) -> bool:
    return model.startswith("gemini-3")


def _tools(tools: Sequence[_Tool]) -> tuple[Tool, ...]:
    found: list[Tool] = []
    for number, tool in enumerate(tools):
        for index, declared in enumerate(tool.function_declarations):
            place = f"tools[{number}].function_declarations[{index}].parameters"
            refuse_unknown_schema(declared.parameters or {}, place)
            schema = declared.parameters or declared.parameters_json_schema or {}
            found.append(Tool(declared.name, declared.description or "", schema))
    return tuple(found)


def _choice(config: _ToolConfig | None) -> str:
    calling = config.function_calling_config if config else None
    if calling is None:
        return "auto"
    if calling.mode == "ANY":
        names = calling.allowed_function_names or []
        return names[0] if len(names) == 1 else "required"
    return "none" if calling.mode == "NONE" else "auto"


def _format(config: Mapping[str, object]) -> ResponseFormat | None:
    kind = config.get("responseMimeType") or config.get("response_mime_type")
    if kind != "application/json":
        return None
    names = ("responseJsonSchema", "responseSchema", "response_json_schema", "response_schema")
    schema = next((config[name] for name in names if config.get(name)), None)
    if isinstance(schema, Mapping):
        return ResponseFormat("json_schema", schema)
    return ResponseFormat("json_object")


def _messages(body: _Body) -> tuple[Message, ...]:
    found: list[Message] = []
    if body.system_instruction is not None:
        text = "".join(part.text or "" for part in body.system_instruction.parts)
        found.append(Message("system", text))
    open_calls: list[ToolCall] = []
    for turn, content in enumerate(body.contents):
        results = [p.function_response for p in content.parts if p.function_response]
        found += [_result(result, open_calls) for result in results]
        said = [part for part in content.parts if part.function_response is None]
        if said:
            message = _said(content, said, turn)
            open_calls = list(message.tool_calls)
            found.append(message)
    return tuple(found)


def _said(content: _Content, parts: Sequence[_Part], turn: int) -> Message:
    text = "".join(part.text or "" for part in parts if not part.thought)
    calls = tuple(
        ToolCall(call.name, call.args or {}, call.id or f"turn-{turn}-{index}")
        for index, call in enumerate(part.function_call for part in parts if part.function_call)
    )
    images = sum(part.inline_data is not None or part.file_data is not None for part in parts)
    return Message("assistant" if content.role == "model" else "user", text, calls, images=images)


def _result(result: _FunctionResponse, open_calls: list[ToolCall]) -> Message:
    # without ids, results answer the calls of their name in order
    call = next((c for c in open_calls if c.id == result.id), None)
    call = call or next((c for c in open_calls if c.name == result.name), None)
    if call is not None:
        open_calls.remove(call)
    shown = next(iter(result.response.values()), "") if len(result.response) == 1 else None
    text = str(shown if shown is not None else result.response)
    return Message("tool", text, (), call.id if call else result.id, result.name)
