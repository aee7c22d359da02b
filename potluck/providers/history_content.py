"""What the messages of a history hold, in parts that the next model can take in."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from potluck.providers.catalog import Api, Model
from potluck.providers.json_values import portable

type Block = str | Mapping[str, object]
# What a message's constructor takes, and what its `content` is
type Parts = str | list[str | dict[str, object]]

# Another model's thoughts are no thoughts of this one; calls travel in `tool_calls`
_LEFT_OUT = frozenset({
    "thinking", "redacted_thinking", "reasoning", "reasoning_content", "tool_use", "tool_call",
    "tool_call_chunk", "invalid_tool_call", "function_call", "function_call_signature",
    "server_tool_call", "server_tool_result",
})  # fmt: skip
_DATA_URI = re.compile(r"data:image/[\w.+-]+;base64,")
# Gemini's class would fetch an image from its address itself, with the server's rights and while
# all else waits; Ollama takes no addresses
_TAKE_ADDRESSES: frozenset[Api] = frozenset({"openai", "groq", "together", "huggingface"})


@dataclass(frozen=True, slots=True)
class Sight:
    """Whether a model takes in images, and whether it fetches them from an address."""

    images: bool
    addresses: bool

    @classmethod
    def of(cls, model: Model, api: Api) -> "Sight":
        """What this model sees through this API."""
        sees = "vision" in model.capabilities
        return cls(images=sees, addresses=sees and api in _TAKE_ADDRESSES)


BLIND = Sight(images=False, addresses=False)


def flat_text(content: str | Sequence[Block]) -> str:
    """The text alone, with a note in place of each image or file."""
    blocks = [content] if isinstance(content, str) else content
    return clean("".join(_words(block) for block in blocks))


def parts(content: str | Sequence[Block], sight: Sight) -> Parts:
    """Text; or text and images in OpenAI's form, where there is an image that can be seen."""
    blocks = [content] if isinstance(content, str) else content
    seen = [_image(block, sight) or clean(_words(block)) for block in blocks]
    if all(isinstance(part, str) for part in seen):
        return flat_text(content)
    return [as_block(part) for part in seen if part]


def as_block(part: str | dict[str, object]) -> dict[str, object]:
    """A part as a content block."""
    return {"type": "text", "text": part} if isinstance(part, str) else part


def clean(text: str) -> str:
    """The text as every wire can carry it; empty if it is blank."""
    return portable(text) if text.strip() else ""


def introduce(name: str, said: Parts) -> Parts:
    """The parts with their speaker's name in front: not every API has a field for it."""
    introduction = f"{clean(name)}: "
    if isinstance(said, str):
        return introduction + said
    return [as_block(introduction), *(as_block(part) for part in said)]


def join(first: Parts, second: Parts) -> Parts:
    """One after the other, as paragraphs."""
    if isinstance(first, str) and isinstance(second, str):
        return "\n\n".join(text for text in (first, second) if text)
    both = [[part] if isinstance(part, str) else part for part in (first, second)]
    return [as_block(part) for listed in both for part in listed if part]


def _words(block: Block) -> str:
    """What a block says, or a note about what cannot be said in words."""
    if isinstance(block, str):
        return block
    kind = block.get("type")
    if kind in _LEFT_OUT:
        return ""
    for key in ("text", "refusal"):
        text = block.get(key)
        if isinstance(text, str):
            return text
    if kind is None:
        return json.dumps(block, default=str)
    address = _address(block)
    what = "image" if address is not None else str(kind).replace("_", " ")
    where = f" at {address}" if address and not address.startswith("data:") else ""
    return f"[{what}{where}, which this model cannot be shown]"


def _image(block: Block, sight: Sight) -> dict[str, object] | None:
    """The image in the block, if there is one and the model can see it."""
    address = None if isinstance(block, str) or not sight.images else _address(block)
    if address is None or not (sight.addresses or _DATA_URI.match(address)):
        return None
    return {"type": "image_url", "image_url": {"url": address}}


def _address(block: Mapping[str, object]) -> str | None:
    """Where an image is: its address on the web, or the data URI that it is itself."""
    stated = block.get("image_url")
    if stated is not None:
        address = stated.get("url") if isinstance(stated, Mapping) else stated
        return address if isinstance(address, str) else None
    source = block.get("source")
    facts = {**block, **source} if isinstance(source, Mapping) else block
    mime_type = facts.get("mime_type") or facts.get("media_type")
    if block.get("type") != "image" and not str(mime_type).startswith("image/"):
        return None
    for key in ("base64", "data"):
        if isinstance(facts.get(key), str):
            return f"data:{mime_type or 'image/png'};base64,{facts[key]}"
    return next((str(facts[key]) for key in ("url", "file_uri") if facts.get(key)), None)
