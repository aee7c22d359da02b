"""How the users of keys are called."""

import hashlib
from urllib.parse import quote

from potluck.settings import ApiKey

SHOWN_DIGEST_CHARS = 12


def user_of(key: ApiKey) -> str:
    """The user whose key it is: as it is named, or by its digest."""
    if key.name:
        return label(key.name)
    return f"key-{digest_of(key.secret.get_secret_value()).hex()[:SHOWN_DIGEST_CHARS]}"


def label(name: str) -> str:
    """A name as a part of a user's: in ASCII, without slashes, and without periods.

    The store allows no periods in its namespaces, and the notes in it no per cent signs.
    """
    return quote(name, safe="@+").replace("~", "%7E").replace(".", "%2E").replace("%", "~")


def digest_of(key: str) -> bytes:
    """By which a key is known."""
    return hashlib.sha256(key.encode()).digest()
