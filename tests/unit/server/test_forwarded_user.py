"""The user whom Open WebUI names, and what is believed of it."""

import time
from typing import Any

import jwt
import pytest
from pydantic import SecretStr
from starlette.datastructures import Headers

from potluck.server.forwarded_user import ForwardedUserError, forwarded_user

SECRET = SecretStr("a secret that Open WebUI shares with us")


def signed(secret: SecretStr = SECRET, **changes: Any) -> str:
    """As Open WebUI signs who asks."""
    now = int(time.time())
    claims = {"sub": "ada", "name": "Ada", "iss": "open-webui", "iat": now, "exp": now + 300}
    return jwt.encode(claims | changes, secret.get_secret_value(), algorithm="HS256")


def user(secret: SecretStr | None = SECRET, **headers: str) -> str:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return forwarded_user(Headers(sent), secret)


@pytest.mark.parametrize("secret", [SECRET, None])
def test_a_signed_user_is_the_same_as_a_named_one(secret: SecretStr | None) -> None:
    assert user(secret, X_OpenWebUI_User_Jwt=signed()) == "ada"
    assert user(None, X_OpenWebUI_User_Id="ada") == "ada"
    assert user(None) == ""


def test_where_users_are_to_be_signed_a_plain_name_counts_for_nothing() -> None:
    assert user(X_OpenWebUI_User_Id="ada") == ""


@pytest.mark.parametrize(
    "token",
    [
        signed(SecretStr("quite another secret, long enough")),
        signed(exp=1),
        signed(iss="somebody"),
        jwt.encode({"sub": "ada"}, "", algorithm="none"),
        "no token",
    ],
    ids=["other secret", "old", "other issuer", "unsigned", "none"],
)
def test_a_user_who_is_not_rightly_signed_is_refused(token: str) -> None:
    with pytest.raises(ForwardedUserError, match="POTLUCK_OPENWEBUI_JWT_SECRET"):
        user(X_OpenWebUI_User_Jwt=token)
