"""The user that Open WebUI names: by a plain header, or signed with a secret that both know."""

import jwt
from pydantic import SecretStr
from starlette.datastructures import Headers

from potluck.errors import PotluckError

USER_HEADER = "x-openwebui-user-id"
SIGNED_USER_HEADER = "x-openwebui-user-jwt"
ISSUER = "open-webui"


class ForwardedUserError(PotluckError):
    """The user is not rightly signed."""

    def __init__(self, reason: object) -> None:
        super().__init__(
            f"The user of `X-OpenWebUI-User-Jwt` cannot be believed: {reason}. Give Open WebUI's "
            "FORWARD_USER_INFO_HEADER_JWT_SECRET and Potluck's POTLUCK_OPENWEBUI_JWT_SECRET the "
            "same value, and let both clocks be right."
        )


def forwarded_user(headers: Headers, secret: SecretStr | None) -> str:
    """The id of the user, empty when none is named. Raises ForwardedUserError.

    With `secret` only a signed one counts. To be asked only of what came with a key: without one
    anybody could write these headers.
    """
    token = headers.get(SIGNED_USER_HEADER, "")
    if not token:
        return headers.get(USER_HEADER, "") if secret is None else ""
    try:
        # Without our knowing the secret it is worth what the plain header is: the key vouches.
        claims = (
            jwt.decode(token, options={"verify_signature": False})
            if secret is None
            else jwt.decode(
                token,
                secret.get_secret_value(),
                algorithms=["HS256"],
                issuer=ISSUER,
                options={"require": ["sub", "exp"]},
            )
        )
    except jwt.InvalidTokenError as error:
        raise ForwardedUserError(error) from error
    return str(claims.get("sub") or "")
