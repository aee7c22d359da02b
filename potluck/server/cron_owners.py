"""Crons end with their users: whose key is gone has nothing run in his name any more."""

from aegra_api.services import cron_scheduler

from potluck.server.auth_keys import Keyring


def end_with_their_users(keyring: Keyring) -> None:
    """From now on a due cron whose user has no key is switched off instead of run.

    What was made without keys stays everybody's, and goes on.
    """

    async def has_key(user: str) -> bool:
        return keyring.has_user(user)

    # Aegra's own place for this, which takes no other way in.
    cron_scheduler._validate_cron_user = has_key  # noqa: SLF001 - see above
