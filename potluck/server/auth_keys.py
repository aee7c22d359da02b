"""The keys of this server: whose request it is, by what its headers hold."""

import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from pydantic import SecretStr
from starlette.datastructures import Headers

from potluck.errors import PotluckError
from potluck.server.auth_names import digest_of, label, user_of
from potluck.server.forwarded_user import forwarded_user
from potluck.server.ownership import ANONYMOUS, Caller, Role
from potluck.settings import ApiKey, Settings

ACT_FOR_HEADER = "x-potluck-user"
INTERNAL = "internal"
MAX_USER_CHARS = 400
# As `label` writes names
_USER = re.compile(r"[\w@+~-]+(/[\w@+~-]+)?", re.ASCII)


class ActingError(PotluckError):
    """The key does not allow to act for that user."""


@dataclass(frozen=True, slots=True)
class _Entry:
    digest: bytes
    caller: Caller


@dataclass(frozen=True, slots=True)
class GivenKey:
    """The key that a request came with, by its digest alone."""

    digest: bytes
    is_there: bool

    @classmethod
    def of(cls, headers: Headers) -> Self:
        """What stands in `X-Api-Key` or `Authorization: Bearer`."""
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        text = headers.get("x-api-key") or (bearer if scheme.lower() == "bearer" else "")
        return cls(digest_of(text.strip()), is_there=bool(text.strip()))


class Keyring:
    """Knows every key by its digest alone, and tells who asks.

    Without keys everybody is the local user, who may do everything.
    """

    def __init__(
        self,
        keys: Sequence[ApiKey] = (),
        *,
        internal_key: str | None = None,
        jwt_secret: SecretStr | None = None,
    ) -> None:
        self.has_keys = bool(keys)
        self._jwt_secret = jwt_secret
        self._entries = [_entry(key) for key in keys]
        if internal_key is not None:
            inside = Caller(role="admin", key=INTERNAL, is_internal=True)
            self._entries.append(_Entry(digest_of(internal_key), inside))

    @classmethod
    def of(cls, settings: Settings, internal_key: str | None = None) -> Self:
        """The keys of POTLUCK_API_KEYS, and the one by which this process calls itself."""
        return cls(
            settings.api_keys,
            internal_key=internal_key,
            jwt_secret=settings.potluck_openwebui_jwt_secret,
        )

    def has_user(self, user: str) -> bool:
        """Whether a key stands for him, or for the program behind which he is; see `label`."""
        names = {one.caller.user for one in self._entries if not one.caller.is_internal}
        return not self.has_keys or user == ANONYMOUS or user.partition("/")[0] in names

    def holder_of(self, given: GivenKey) -> Caller | None:
        """Whose key it is; None when it is nobody's."""
        # Every comparison is made, so that the time tells nothing.
        found = [
            one.caller for one in self._entries if hmac.compare_digest(given.digest, one.digest)
        ]
        return found[0] if found else None

    def caller_of(self, headers: Headers) -> Caller | None:
        """Who asks; None without a key where one is needed.

        Raises ActingError, or ForwardedUserError for a user that Open WebUI has not signed.
        """
        found = self.holder_of(GivenKey.of(headers))
        if found is None:
            if self.has_keys:
                return None
            found = Caller()
        if found.role == "metrics":
            # A program that counts: it acts for nobody, and nobody stands behind it
            return found
        wanted = headers.get(ACT_FOR_HEADER)
        if wanted is not None:
            return self._acting_for(found, wanted)
        if not self.has_keys or found.is_internal:
            return found
        behind = forwarded_user(headers, self._jwt_secret)
        if not behind:
            return found
        user = f"{found.user}/{label(behind)}"
        if len(user) > MAX_USER_CHARS:
            raise ActingError(f"The user's id is longer than {MAX_USER_CHARS} characters.")
        return replace(found, user=user, role="user")

    def _acting_for(self, found: Caller, wanted: str) -> Caller:
        if len(wanted) > MAX_USER_CHARS or _USER.fullmatch(wanted) is None:
            raise ActingError("X-Potluck-User must name a user, as `owner` of a thread does.")
        behind = wanted.startswith(f"{found.user}/") and self._jwt_secret is None
        if found.role != "admin" and wanted != found.user and not behind:
            raise ActingError(
                f"The key of {found.user!r} may not act for {wanted!r}: leave X-Potluck-User out, "
                "or use a key with the role admin (name:secret:admin)."
            )
        if wanted == found.user:
            return found
        role: Role = "admin" if found.is_internal else "user"
        return replace(found, user=wanted, role=role)


def _entry(key: ApiKey) -> _Entry:
    user = user_of(key)
    return _Entry(digest_of(key.secret.get_secret_value()), Caller(user, key.role, key=user))
