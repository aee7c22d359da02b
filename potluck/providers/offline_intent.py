"""Intents: what the offline model understood of a request, one tool call each."""

from collections.abc import Mapping
from dataclasses import dataclass

from potluck.providers.offline_quotes import RESULT, quote


@dataclass(frozen=True, slots=True)
class Intent:
    """One tool call; an argument holding RESULT waits for what the call before it gives."""

    tool: str
    args: Mapping[str, object]

    @property
    def takes_result(self) -> bool:
        """Whether it needs the result of the call before it."""
        return any(isinstance(value, str) and RESULT in value for value in self.args.values())

    @property
    def path(self) -> str | None:
        """The file it is about."""
        path = self.args.get("path")
        return path if isinstance(path, str) and path else None


@dataclass(frozen=True, slots=True)
class Gap:
    """A part of the request that cannot be done: `why` names a phrase of the answer."""

    why: str
    text: str


@dataclass(frozen=True, slots=True)
class Background:
    """What earlier turns leave to refer to: the last file named, and whether there is a result."""

    file: str | None = None
    has_result: bool = False


def goal_of(intent: Intent) -> str:
    """The intent in words that are understood as the same intent again."""
    args = {key: str(value) for key, value in intent.args.items()}
    match intent.tool:
        case "calculator":
            goal = f"Calculate {args['expression'].replace(RESULT, 'the result')}"
        case "current_time":
            goal = _time_goal(args.get("timezone", ""), int(args.get("days", "0")))
        case "write_file":
            what = "the result" if args["text"] == RESULT else f"the text {quote(args['text'])}"
            verb = "Append" if "append" in args else "Write"
            goal = f"{verb} {what} to the file {quote(args['path'])}"
        case "edit_file":
            change = f"{quote(args['old'])} with {quote(args['new'])}"
            every = "every " if "every" in args else ""
            goal = f"Replace {every}{change} in the file {quote(args['path'])}"
        case "read_file":
            goal = f"Read the file {quote(args['path'])}"
        case "search_files" if "name" in args:
            goal = f"Find files named {quote(args['name'])}"
        case "search_files":
            goal = f"Search the files for {quote(args['text'])}"
        case "python":
            goal = f"Run this Python code:\n```python\n{args['code']}\n```"
        case "shell":
            goal = f"Run this command:\n```sh\n{args['command']}\n```"
        case _:
            goal = "List the files" + (f" in the folder {quote(args['path'])}" if args else "")
    return goal


def _time_goal(place: str, days: int) -> str:
    when = f" in {days} days" if days > 0 else f" {-days} days ago" if days < 0 else ""
    where = f" in {place}" if place else ""
    return f"Tell the date and the current time{where}{when}"
