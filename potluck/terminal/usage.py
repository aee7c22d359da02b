"""`potluck usage`: the quota report, from the running server or read in its place."""

import asyncio
from dataclasses import dataclass
from typing import Literal

import httpx
from pydantic import ValidationError

from potluck.database import prepare_home
from potluck.engine import Engine
from potluck.errors import PotluckError, StartError
from potluck.quota.report_form import QuotaReport
from potluck.server.quota_state import report_of
from potluck.server.turn import thread_id_of
from potluck.settings import Settings
from potluck.terminal.running import Running, find

TIMEOUT_S = 15.0


def usage(settings: Settings, *, days: int = 1) -> QuotaReport:
    """The report of the server on this data folder, or, where none runs, of its database.

    Raises PotluckError when neither can be read.
    """
    running = find(settings)
    if running is None:
        prepare_home(settings.potluck_home)
        return asyncio.run(_read(settings, days))
    return report_of_server(running, days=days)


def report_of_server(running: Running, *, days: int = 1) -> QuotaReport:
    """The report of this server. Raises PotluckError."""
    response = _ask(running, "GET", "/quota", params={"days": str(days)})
    try:
        return QuotaReport.model_validate_json(response.content)
    except ValidationError as error:
        raise PotluckError(
            f"The server at {running.url} answers in a form that is not known here.",
            fix="Restart it: it is of another version.",
        ) from error


@dataclass(frozen=True, slots=True)
class Done:
    """What was done about the parked run of a thread."""

    thread_id: str
    status: Literal["resumed", "cancelled"]

    def __str__(self) -> str:
        if self.status == "cancelled":
            return f"Thread {self.thread_id} waits no longer."
        told = f"Thread {self.thread_id} is tried again now"
        return f"{told}; `potluck usage` lists it if it must wait."


def resume(settings: Settings, thread: str) -> Done:
    """Have the parked run of a thread go on at once. Raises PotluckError."""
    return Done(_act(settings, thread, "POST", "/resume"), "resumed")


def cancel(settings: Settings, thread: str) -> Done:
    """Drop the parked run of a thread. Raises PotluckError."""
    return Done(_act(settings, thread, "DELETE", ""), "cancelled")


def _act(settings: Settings, thread: str, method: Literal["POST", "DELETE"], path: str) -> str:
    running = find(settings)
    if running is None:
        raise StartError(
            "Parked runs belong to a server, and none runs on this data folder.",
            fix="Start it with `potluck serve`: it resumes them by itself when they are due.",
        )
    thread_id = thread_id_of(thread, running.owner)
    _ask(running, method, f"/quota/parked/{thread_id}{path}")
    return thread_id


async def _read(settings: Settings, days: int) -> QuotaReport:
    used = await Engine.build(settings)
    try:
        return await report_of(used, days=days)
    finally:
        await used.aclose()


def _ask(
    running: Running, method: str, path: str, params: dict[str, str] | None = None
) -> httpx.Response:
    headers = {"X-Api-Key": running.key.get_secret_value()} if running.key else {}
    try:
        # a proxy from the environment would be asked for this machine's own ports
        with httpx.Client(timeout=TIMEOUT_S, trust_env=False) as client:
            response = client.request(method, running.url + path, params=params, headers=headers)
    except httpx.HTTPError as error:
        raise PotluckError(
            f"The server at {running.url} does not answer: {error}.",
            fix="Look at its log, or restart it.",
        ) from error
    if not response.is_success:
        raise PotluckError(
            f"The server at {running.url} answers HTTP {response.status_code}: {_detail(response)}",
            fix="`potluck usage` lists the runs that wait."
            if response.status_code == 404
            else None,
        )
    return response


def _detail(response: httpx.Response) -> str:
    try:
        body = response.json()
    except ValueError:
        return response.text[:200]
    told = body.get("detail") or body.get("message") if isinstance(body, dict) else None
    return str(told or body)
