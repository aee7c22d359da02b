"""How much one run may spend."""

from graph.state import Context

# Five steps of a plan with four rounds each, and triage, planner, reflector with a second try.
DEFAULT_MAX_CALLS = 25
HIGHEST_MAX_CALLS = 200


def max_calls(context: Context | None) -> int:
    """Model calls that this run may make; what makes no sense counts as the default."""
    asked = (context or {}).get("max_calls")
    if not isinstance(asked, int) or isinstance(asked, bool) or asked < 1:
        return DEFAULT_MAX_CALLS
    return min(asked, HIGHEST_MAX_CALLS)
