"""Whether a request lets the agent use its user's long-term notes."""

from starlette.datastructures import Headers

from potluck.server.openai.caller import EPHEMERAL, name_in

MEMORY_HEADER = "x-potluck-memory"


def notes_for(headers: Headers) -> dict[str, str]:
    """What a run's context says of notes; a chat that is not to be kept uses none."""
    is_off = headers.get(MEMORY_HEADER, "").strip().lower() == "off"
    return {"memory": "off"} if is_off or name_in(headers).startswith(EPHEMERAL) else {}
