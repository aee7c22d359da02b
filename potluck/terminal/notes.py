"""`potluck notes`: what the agent was told to remember, over the store of the running server."""

from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from potluck.errors import PotluckError, StartError
from potluck.server.auth_keys import ACT_FOR_HEADER
from potluck.settings import Settings
from potluck.terminal.running import Running, find
from tools.notebook import KIND, MOST_NOTES, NOTED_AT, TEXT

TIMEOUT_S = 15.0


@dataclass(frozen=True, slots=True)
class KeptNote:
    """A note as the store keeps it."""

    id: str
    text: str
    noted_at: str


def notes(settings: Settings, user: str = "") -> list[KeptNote]:
    """The notes of a user (default: of the first key), the oldest first.

    Raises StartError when no server runs on this data folder.
    """
    return notes_of(_running(settings), user)


def notes_of(running: Running, user: str = "") -> list[KeptNote]:
    """The notes that this server keeps of a user, the oldest first. Raises PotluckError."""
    asked = {"namespace_prefix": [KIND], "limit": 2 * MOST_NOTES}
    response = _ask(running, "POST", "/store/items/search", asked, user)
    found = [
        KeptNote(item["key"], str(value[TEXT]), str(value.get(NOTED_AT, "")))
        for item in response.json()["items"]
        if TEXT in (value := item["value"])
    ]
    return sorted(found, key=lambda note: note.noted_at)


def forget(settings: Settings, note_id: str, user: str = "") -> KeptNote:
    """Delete the note with that id and give it back. Raises PotluckError when there is none."""
    kept = next((note for note in notes(settings, user) if note.id == note_id), None)
    if kept is None:
        raise PotluckError(f"No note has the id {note_id!r}.", fix="`potluck notes` lists them.")
    place = {"namespace": [KIND], "key": note_id}
    _ask(_running(settings), "DELETE", "/store/items", place, user)
    return kept


def _running(settings: Settings) -> Running:
    running = find(settings)
    if running is None:
        raise StartError(
            "Notes are kept by a server, and none runs on this data folder.",
            fix="Start it with `potluck serve`.",
        )
    return running


def _ask(
    running: Running, method: str, path: str, body: Mapping[str, object], user: str
) -> httpx.Response:
    headers = {
        **({"X-Api-Key": running.key.get_secret_value()} if running.key else {}),
        **({ACT_FOR_HEADER: user} if user else {}),
    }
    try:
        # a proxy from the environment would be asked for this machine's own ports
        with httpx.Client(timeout=TIMEOUT_S, trust_env=False) as client:
            response = client.request(method, running.url + path, json=body, headers=headers)
        response.raise_for_status()
    except httpx.HTTPStatusError as error:
        raise PotluckError(
            f"The server refused: {error.response.text[:300]}",
            fix="Leave --user out, or put an administrator's key first into POTLUCK_API_KEYS.",
        ) from error
    except httpx.HTTPError as error:
        raise PotluckError(
            f"The server at {running.url} does not answer: {error}.", fix="See its output."
        ) from error
    return response
