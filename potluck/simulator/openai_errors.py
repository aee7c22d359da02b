"""How refusals look on the OpenAI wire, provider by provider."""

from collections.abc import Callable
from http import HTTPStatus

from potluck.simulator.dialect import Refusal, WireError
from potluck.simulator.profile import ErrorShape, Profile

type _Shape = Callable[[Refusal], dict[str, object]]


def openai_error(profile: Profile, refusal: Refusal) -> WireError:
    """The refusal in the provider's variant of OpenAI's error object."""
    return WireError(refusal.status, _SHAPES[profile.error_shape](refusal))


def _bare(refusal: Refusal) -> dict[str, object]:
    return {
        "message": refusal.message,
        "type": refusal.kind,
        "param": refusal.param,
        "code": refusal.code,
    }


def _title(refusal: Refusal) -> dict[str, object]:
    title = HTTPStatus(refusal.status).phrase
    return {"status": refusal.status, "title": title, "detail": refusal.message}


def _cloudflare(refusal: Refusal) -> dict[str, object]:
    message = f"AiError: AiError: {refusal.message}"
    errors = [{"message": message, "code": 5006}]
    return {"errors": errors, "success": False, "result": {}, "messages": []}


_SHAPES: dict[ErrorShape, _Shape] = {
    "openai": lambda refusal: {"error": _bare(refusal)},
    "numeric": lambda refusal: {"error": {"message": refusal.message, "code": refusal.status}},
    "flat": lambda refusal: {"object": "error"} | _bare(refusal),
    "bare": _bare,
    "string": lambda refusal: {"error": refusal.message},
    "message": lambda refusal: {"message": refusal.message},
    "title": _title,
    "cloudflare": _cloudflare,
}
