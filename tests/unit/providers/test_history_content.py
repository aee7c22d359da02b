"""What a model can take in of a message's content."""

from typing import Any

import pytest

from potluck.providers.catalog import Api, Model
from potluck.providers.history_content import BLIND, Sight, flat_text, introduce, join, parts

SEES = Sight(images=True, addresses=True)
PNG = "data:image/png;base64,aGk="
WEB = "https://example.org/a.png"
INLINE = {"type": "image_url", "image_url": {"url": PNG}}
LINKED = {"type": "image_url", "image_url": {"url": WEB}}


@pytest.mark.parametrize(
    ("block", "seen"),
    [
        ({"type": "image_url", "image_url": PNG}, INLINE),
        ({"type": "image_url", "image_url": {"url": WEB, "detail": "low"}}, LINKED),
        ({"type": "image", "base64": "aGk=", "mime_type": "image/png"}, INLINE),
        ({"type": "image", "url": WEB}, LINKED),
        (
            {"type": "image", "source_type": "base64", "data": "aGk=", "mime_type": "image/png"},
            INLINE,
        ),
        (
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": "aGk="},
            },
            INLINE,
        ),
        ({"type": "media", "mime_type": "image/png", "data": "aGk="}, INLINE),
    ],
)
def test_an_image_of_any_form_is_seen_or_noted(block: dict[str, Any], seen: Any) -> None:
    text = {"type": "text", "text": "Look:"}
    assert parts([text, block], SEES) == [text, seen]
    noted = parts([text, block], BLIND)
    assert isinstance(noted, str)
    assert noted.startswith("Look:[image")
    assert "aGk=" not in noted
    assert (WEB in noted) is (seen is LINKED)


@pytest.mark.parametrize(
    ("api", "taken"), [("openai", True), ("groq", True), ("gemini", False), ("ollama", False)]
)
def test_only_a_provider_that_fetches_images_itself_gets_their_address(
    api: Api, taken: bool
) -> None:
    model = Model(provider="p", id="m", capabilities=frozenset({"vision"}))
    sight = Sight.of(model, api)
    assert (parts([LINKED], sight) == [LINKED]) is taken
    assert parts([INLINE], sight) == [INLINE]
    blind = Model(provider="p", id="m")
    assert isinstance(parts([INLINE], Sight.of(blind, api)), str)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("Yes.", "Yes."),
        (" \n", ""),
        (["Yes", {"type": "text", "text": ", no."}], "Yes, no."),
        ([{"type": "refusal", "refusal": "No."}], "No."),
        ([{"type": "redacted_thinking", "data": "x"}], ""),
        ([{"row": 1}], '{"row": 1}'),
        (
            [{"type": "input_audio", "input_audio": {}}],
            "[input audio, which this model cannot be shown]",
        ),
        ("half \ud83d", "half ?"),
    ],
)
def test_flat_text_is_all_that_can_be_read(content: Any, text: str) -> None:
    assert flat_text(content) == text


def test_parts_are_joined_as_paragraphs() -> None:
    assert join("One.", "Two.") == "One.\n\nTwo."
    assert join("", "Two.") == "Two."
    assert join("One.", [INLINE]) == [{"type": "text", "text": "One."}, INLINE]


def test_a_name_stands_in_front() -> None:
    assert introduce("Ann", "Hi.") == "Ann: Hi."
    assert introduce("Ann", [INLINE]) == [{"type": "text", "text": "Ann: "}, INLINE]
