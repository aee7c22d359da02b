"""How refusals look on the OpenAI wire, provider by provider."""

from potluck.simulator.dialect import Refusal, WireError
from potluck.simulator.profile import Profile


def openai_error(profile: Profile, refusal: Refusal) -> WireError:
    """The refusal in the provider's variant of OpenAI's error object."""
    shape = profile.error_shape
    if shape == "string":
        return WireError(refusal.status, {"error": refusal.message})
    if shape == "flat":
        flat = {
            "object": "error",
            "message": refusal.message,
            "type": refusal.kind,
            "param": refusal.param,
            "code": refusal.code,
        }
        return WireError(refusal.status, flat)
    if shape == "numeric":
        return WireError(
            refusal.status, {"error": {"message": refusal.message, "code": refusal.status}}
        )
    error = {
        "message": refusal.message,
        "type": refusal.kind,
        "param": refusal.param,
        "code": refusal.code,
    }
    return WireError(refusal.status, {"error": error})
