from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage

from nodes.sight import IMAGE_TURNS, LEFT_OUT, MAX_IMAGE_CHARS, MAX_IMAGES, newest_images
from nodes.sight import within_sight as seen

NOTE = {"type": "text", "text": LEFT_OUT}


def image(name: str = "a") -> dict[str, object]:
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{name}"}}


def asked(*blocks: dict[str, object], text: str = "look") -> HumanMessage:
    return HumanMessage([{"type": "text", "text": text}, *blocks])


def test_images_of_the_latest_turns_are_shown() -> None:
    messages: list[AnyMessage] = [asked(image()), AIMessage("a cat"), HumanMessage("its colour?")]
    assert seen(messages) == (messages, True)


def test_an_older_image_becomes_a_note() -> None:
    later: list[AnyMessage] = [HumanMessage("and?")] * IMAGE_TURNS
    shown, has_images = seen([asked(image()), *later])
    assert shown[0].content == [{"type": "text", "text": "look"}, NOTE]
    assert not has_images


def test_what_tools_and_models_said_are_no_turns() -> None:
    between: list[AnyMessage] = [AIMessage("x"), ToolMessage("y", tool_call_id="1")] * 5
    assert seen([asked(image()), *between])[1]


def test_of_too_many_images_the_newest_are_shown() -> None:
    shown, _ = seen([asked(image("old")), asked(*[image(str(n)) for n in range(MAX_IMAGES)])])
    assert shown[0].content == [{"type": "text", "text": "look"}, NOTE]
    assert NOTE not in shown[1].content


def test_images_that_are_too_large_together_are_left_out_from_the_oldest_on() -> None:
    large = image("x" * (MAX_IMAGE_CHARS // 2))
    shown, has_images = seen([asked(large), asked(large), asked(image())])
    assert [NOTE in message.content for message in shown] == [True, False, False]
    assert has_images


def test_a_conversation_stays_as_it_is() -> None:
    message = asked(*[image()] * (MAX_IMAGES + 1))
    seen([message])
    assert NOTE not in message.content


def test_the_newest_images_are_those_of_the_last_message() -> None:
    assert newest_images([asked(image("a")), AIMessage("x"), asked(image("b"))]) == [image("b")]
    assert newest_images([asked(image("a")), HumanMessage("thanks")]) == []
    assert newest_images([]) == []


def test_langchains_own_form_of_an_image_counts_too() -> None:
    own: dict[str, object] = {"type": "image", "base64": "cG5n", "mime_type": "image/png"}
    assert newest_images([asked(own)]) == [own]
