"""Two answers to one question: the first was not good enough, the second is what there is."""

from langchain_core.messages import AIMessage
from langchain_core.messages.ai import add_usage

from nodes.answer_form import CALLS_KEY, calls_of
from nodes.reply_faults import is_empty
from potluck.providers.replay import CACHED_KEY, is_cached

NO_ANSWER = (
    "None of the models gave an answer to this, although they were asked twice. Nothing was lost: "
    "ask again, or in other words."
)


def joined(first: AIMessage, second: AIMessage, *, shown: bool) -> AIMessage:
    """The second answer, with the words of the first if they were shown, and what both cost."""
    before, after = str(first.text).strip(), str(second.text).strip()
    content = second.content
    if before and (shown or is_empty(second)):
        content = before if not after or after == before else f"{before}\n\n{after}"
    made = sum(calls_of(reply) for reply in (first, second) if not is_cached(reply))
    metadata = {k: v for k, v in second.response_metadata.items() if not made or k != CACHED_KEY}
    return second.model_copy(
        update={
            "content": content,
            "response_metadata": {**metadata, CALLS_KEY: made},
            "usage_metadata": add_usage(first.usage_metadata, second.usage_metadata),
        }
    )
