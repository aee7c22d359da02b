"""Crons end with their users."""

import pytest
from aegra_api.services import cron_scheduler

from potluck.server.auth_keys import Keyring
from potluck.server.cron_owners import end_with_their_users
from potluck.settings import Settings


@pytest.mark.parametrize(
    ("keys", "user", "may_run"),
    [
        ("ann:s1", "ann", True),
        ("ann:s1", "ann/ada", True),
        ("ann:s1", "bob", False),
        ("ann:s1", "anonymous", True),
        ("", "bob", True),
    ],
)
async def test_a_cron_runs_for_who_still_has_a_key(
    monkeypatch: pytest.MonkeyPatch, keys: str, user: str, may_run: bool
) -> None:
    # So that it is put back
    monkeypatch.setattr(
        cron_scheduler,
        "_validate_cron_user",
        cron_scheduler._validate_cron_user,
    )
    settings = Settings(potluck_api_keys=keys)  # type: ignore[arg-type] # parsed
    end_with_their_users(Keyring.of(settings, "inner"))
    assert await cron_scheduler._validate_cron_user(user) is may_run
