"""How many tokens messages take, about: enough to know what a model has room for."""

import json
import re
from collections.abc import Iterable

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.utils import count_tokens_approximately

# LangChain counts four letters a token, which holds for English alone
_LETTERS = re.compile(r"[^\x00-\x7f]")
_SIGNS = re.compile(r"[\u2e80-\U0010ffff]")
_MORE_PER_LETTER = 0.25
_MORE_PER_SIGN = 0.5


def tokens_in(messages: Iterable[BaseMessage]) -> int:
    """Tokens of the messages together; never less than what a call of them is booked with."""
    return sum(map(tokens_of, messages))


def tokens_of(message: BaseMessage) -> int:
    """Tokens of one message, its tool calls included."""
    more = _more_of(str(message.text))
    if isinstance(message, AIMessage) and message.tool_calls:
        args = [call["args"] for call in message.tool_calls]
        more += _more_of(json.dumps(args, ensure_ascii=False, default=str))
    return count_tokens_approximately([message]) + more


def _more_of(text: str) -> int:
    """What other alphabets take beyond four letters a token, and scripts of one sign a word."""
    if text.isascii():
        return 0
    letters, signs = len(_LETTERS.findall(text)), len(_SIGNS.findall(text))
    return round(_MORE_PER_LETTER * letters + _MORE_PER_SIGN * signs)
