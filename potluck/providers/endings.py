"""What is wrong with how an answer ended."""

from potluck.errors import ErrorKind, ErrorScope, ProviderFault
from potluck.providers.draft import Draft

_DONE = frozenset({"stop", "end_turn", "eos", "stop_sequence"})
_FILTERED = frozenset({"content_filter", "safety", "prohibited_content", "blocklist", "recitation"})


def fault_of_end(draft: Draft, *, may_be_empty: bool) -> ProviderFault | None:
    """What is wrong with a stream that is over; None when it ended because the answer did.

    With `may_be_empty` a model may have found that there is nothing to say.
    """
    reason = draft.finish_reason
    if reason == "error" or (draft.said and not reason):
        message = "its stream ended in the middle of the answer"
        return ProviderFault(ErrorKind.NETWORK, ErrorScope.MODEL, message)
    if draft.is_answer or (may_be_empty and reason in _DONE):
        return None
    return fault_of_nothing(reason)


def fault_of_nothing(reason: str) -> ProviderFault:
    """What is wrong with an answer that says nothing, by the reason why the model stopped."""
    ended = f" (it ended with {reason})" if reason else ""
    kind, message = ErrorKind.EMPTY, f"the answer was empty{ended}"
    if reason in _FILTERED:
        kind, message = ErrorKind.CONTENT_FILTER, "the provider's filter held the answer"
    elif reason == "malformed_function_call":
        kind, message = ErrorKind.BAD_TOOL_CALL, "the model wrote a tool call without form"
    return ProviderFault(kind, ErrorScope.REQUEST, message)
