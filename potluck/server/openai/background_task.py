"""What a background task asks for, and what can be said to it without any model."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

import json_repair

from potluck.server.openai.request import Message, SystemMessage, text_in

TITLE_WORDS = 6
TITLE_CHARS = 60
QUERY_CHARS = 200
TAG = "General"
EMOJI = "🙂"

# The key of the JSON that each of Open WebUI's tasks wants
_KEYS: Mapping[str, str] = {
    "title": "title",
    "tags": "tags",
    "follow_up": "follow_ups",
    "query": "queries",
    "image_prompt": "prompt",
    "autocomplete": "text",
    "function_calling": "tool_calls",
}
_EMOJI_TASK = "emoji"
# Whoever gets no summary makes one of the messages' beginnings.
SUMMARY = "context_compaction"
_LISTS = frozenset({"tags", "follow_ups", "queries"})
_MAY_BE_EMPTY = frozenset({"text", "follow_ups", "queries"})
_WANTED = re.compile(r"\{\s*\"(" + "|".join(_KEYS.values()) + r")\"\s*:")
_HISTORY = re.compile(r"<chat_history>(.*)</chat_history>", re.DOTALL)
_SPEAKER = re.compile(r"^(USER|ASSISTANT|SYSTEM|TOOL):[ \t]?", re.MULTILINE)
_FENCED = re.compile(r"```.*?(```|\Z)", re.DOTALL)
_MARKUP = re.compile(r"<[^<>\n]{1,200}>|https?://\S+|[#*_`>|~\[\]{}\"“”«»]+")
_ENDS = " \t.,;:!?…。，、；：！？-–—"  # noqa: RUF001 - marks of all scripts
_EMOJIS = re.compile("[\u2600-\u27bf\U0001f300-\U0001faff]\ufe0f?")


@dataclass(frozen=True, slots=True)
class Task:
    """A task: its kind, the key of the JSON that it wants, and what the user said in the chat."""

    kind: str
    key: str | None
    said: tuple[str, ...] = ()

    @property
    def is_substantial(self) -> bool:
        """Whether the chat goes on with the answer, for which nothing else will do."""
        return self.kind not in {*_KEYS, _EMOJI_TASK, SUMMARY} and self.key is None

    def read(self, answer: str) -> str | None:
        """A model's answer in the form that was asked for; None when it cannot be that."""
        text = answer.strip()
        if self.kind == _EMOJI_TASK:
            found = _EMOJIS.search(text)
            return found[0] if found else None
        if self.key is None:
            return text or None
        value = _value_in(text, self.key)
        if value is None and self.key == "title" and "\n" not in text and "{" not in text:
            value = text.strip("\"' ")[:TITLE_CHARS] or None
        return None if value is None else _json(self.key, value)

    def without_model(self) -> str:
        """What can be said to it by rule."""
        if self.kind == _EMOJI_TASK:
            return EMOJI
        if self.kind == SUMMARY:
            return ""
        if self.key is None:
            return title_of(self.said)
        return _json(self.key, _RULES[self.key](self.said))


def task_of(messages: Sequence[Message], told: str) -> Task:
    """The task in a request; `told` is what its header calls it, such as `title_generation`."""
    kind = told.strip().lower().rpartition(".")[2].removesuffix("_generation")
    prompt = text_in(messages[-1].content)
    found = _HISTORY.search(prompt)
    around = prompt if found is None else prompt[: found.start()] + prompt[found.end() :]
    system = "\n".join(text_in(m.content) for m in messages if isinstance(m, SystemMessage))
    wanted = [match[1] for match in _WANTED.finditer(f"{system}\n{around}")]
    if kind:
        key = _KEYS.get(kind)
        return Task(kind, key if key in wanted else None, _said_in(found[1] if found else prompt))
    return Task("", wanted[0] if wanted else None, _said_in(found[1] if found else prompt))


def title_of(said: Sequence[str]) -> str:
    """A title in the user's own words."""
    plain = (" ".join(_MARKUP.sub(" ", _FENCED.sub(" ", text)).split()) for text in said)
    text = next((text for text in plain if text.strip(_ENDS)), "New chat")
    words = " ".join(text.split(" ")[:TITLE_WORDS])
    # Scripts without spaces have no words to count
    return words[:TITLE_CHARS].strip(_ENDS)


def _last(said: Sequence[str]) -> str:
    return " ".join(said[-1].split())[:QUERY_CHARS] if said else ""


_RULES: Mapping[str, Callable[[Sequence[str]], object]] = {
    "title": title_of,
    "tags": lambda _: [TAG],
    "follow_ups": lambda _: [],
    "queries": lambda said: [_last(said)] if _last(said) else [],
    "prompt": _last,
    "text": lambda _: "",
    "tool_calls": lambda _: [],
}


def _said_in(history: str) -> tuple[str, ...]:
    """What the user said, of lines that begin with who speaks; all of it when none does."""
    parts = _SPEAKER.split(history)
    if len(parts) == 1:
        return (history.strip(),) if history.strip() else ()
    pairs = zip(parts[1::2], parts[2::2], strict=True)
    return tuple(text.strip() for speaker, text in pairs if speaker == "USER" and text.strip())


def _value_in(text: str, key: str) -> object:
    """What the JSON in a text has under the key, if it is of the right kind; else None."""
    found = json_repair.loads(text[text.find("{") : text.rfind("}") + 1] or "{}")
    value = found.get(key) if isinstance(found, dict) else None
    if key in _LISTS:
        fits = _is_texts(value)
    elif key == "tool_calls":
        fits = isinstance(value, list)
    else:
        fits = isinstance(value, str)
        value = value.strip() if isinstance(value, str) and key != "text" else value
    return value if fits and (value or key in _MAY_BE_EMPTY | {"tool_calls"}) else None


def _is_texts(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _json(key: str, value: object) -> str:
    return json.dumps({key: value}, ensure_ascii=False)
