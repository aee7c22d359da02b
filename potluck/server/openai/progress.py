"""The agent's events as short lines for people."""

import json

from potluck.events import Event, PlanEvent

SHOWN_CHARS = 200
_MARKS = {"todo": " ", "doing": "~", "done": "x", "failed": "!"}


def line_of(event: Event) -> str:
    """One event as text that ends its line; empty when there is nothing new to tell."""
    text = _text_of(event)
    return f"{text}\n" if text else ""


def _text_of(event: Event) -> str:  # noqa: PLR0911 - one for each kind of event
    match event["type"]:
        case "step":
            return event["text"]
        case "plan":
            return _plan(event)
        case "tool_call":
            return f"{event['name']}({_arguments(event['args'])})"
        case "tool_result":
            return f"{'→' if event['ok'] else '✗'} {_cut(event['text'])}"
        case "failover":
            return f"{event['failed']} could not answer: {_cut(event['reason'])}"
        case "parked":
            return f"Waiting until {event['resume_at'][11:19]} UTC: {_cut(event['reason'])}"
        case "verdict":
            return f"{event['verdict'].capitalize()}: {_cut(event['reason'])}"
        case _:  # an event of a newer vocabulary than this door's
            return ""


def _plan(event: PlanEvent) -> str:
    steps = [f"- [{_MARKS[s['status']]}] {s['id']}. {_cut(s['goal'])}" for s in event["steps"]]
    return "\n".join(["Plan:", *steps])


def _arguments(args: dict[str, object]) -> str:
    shown = (f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in args.items())
    return _cut(", ".join(shown))


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARS else f"{line[:SHOWN_CHARS]}…"
