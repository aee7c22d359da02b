"""The models that a running server offers by name."""

import difflib
from collections.abc import Sequence

import httpx

from potluck.errors import PotluckError
from potluck.terminal.running import Running

TIMEOUT_S = 15.0
SHOWN = 3


def offered_models(running: Running) -> list[str]:
    """What may be asked for, each as `provider/model`. Raises PotluckError."""
    headers = {"X-Api-Key": running.key.get_secret_value()} if running.key else {}
    try:
        # a proxy from the environment would be asked for this machine's own ports
        with httpx.Client(timeout=TIMEOUT_S, trust_env=False) as client:
            response = client.get(f"{running.url}/v1/models", headers=headers)
        response.raise_for_status()
        names = [str(model["id"]) for model in response.json()["data"]]
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise PotluckError(
            f"The server at {running.url} does not tell its models: {error}.",
            fix="Look at its log, or leave the model out.",
        ) from error
    return [name for name in names if "/" in name and not name.startswith("potluck:")]


def chosen(name: str, offered: Sequence[str]) -> str:
    """The model that is meant: by its whole name, or by a part that only it has.

    Raises PotluckError that names similar ones.
    """
    name = name.removeprefix("potluck:")
    if name in offered:
        return name
    fitting = [one for one in offered if name.lower() in one.lower()]
    if len(fitting) == 1:
        return fitting[0]
    similar = fitting[:SHOWN] or difflib.get_close_matches(name, offered, SHOWN, 0.4)
    if fitting:
        problem = f"{name!r} fits {len(fitting)} models."
    else:
        problem = f"No model that is on is called {name!r}."
    hint = f"Do you mean {' or '.join(similar)}? " if similar else ""
    raise PotluckError(problem, fix=f"{hint}`potluck models` lists them.")
