"""A tool call in the words of whichever tools are offered: the same act has many spellings."""

from collections.abc import Mapping

from pydantic import JsonValue

from potluck.simulator.request import ModelRequest, Tool, ToolCall

# What agents that bring file tools of their own call the same thing.
TOOL_NAMES = {
    "list_files": ("ls",),
    "search_files": ("grep",),
}
# What those tools want beside it to do the same.
MORE_ARGUMENTS: Mapping[str, Mapping[str, JsonValue]] = {
    "ls": {"path": "/"},
    "grep": {"output_mode": "content"},
}
ARGUMENT_NAMES = {
    "path": ("file_path", "filename"),
    "text": ("content", "pattern"),
    "old": ("old_string",),
    "new": ("new_string",),
    "every": ("replace_all",),
    "code": ("source",),
    "command": ("cmd",),
}


def offered(request: ModelRequest, name: str) -> Tool | None:
    """The tool that does what `name` does here, or None."""
    for known in (name, *TOOL_NAMES.get(name, ())):
        tool = request.tool(known)
        if tool is not None:
            return tool
    return None


def spelled(tool: Tool, args: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The arguments under the names that this tool's schema has."""
    known = tool.parameters.get("properties")
    names = known if isinstance(known, Mapping) else {}
    more = {k: v for k, v in MORE_ARGUMENTS.get(tool.name, {}).items() if k in names}
    return more | {_name_in(names, name): value for name, value in args.items()}


def does(call: ToolCall, name: str, args: Mapping[str, JsonValue]) -> bool:
    """Whether the call is this one, however it is spelled."""
    if call.name != name and call.name not in TOOL_NAMES.get(name, ()):
        return False
    return all(_same(_value(call.args, key), value) for key, value in args.items())


def _name_in(names: Mapping[str, object], name: str) -> str:
    if name in names:
        return name
    return next((other for other in ARGUMENT_NAMES.get(name, ()) if other in names), name)


def _value(args: Mapping[str, object], name: str) -> object:
    return next((args[n] for n in (name, *ARGUMENT_NAMES.get(name, ())) if n in args), None)


def _same(left: object, right: object) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return left.strip().lstrip("/") == right.strip().lstrip("/")
    return left == right
