"""Notes in everyday words, without an LLM."""

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from nodes.memory import NOTES_PROMPT
from potluck.providers.offline import OfflineModel
from potluck.providers.offline_notes import wish_in
from tools.notes import forget, remember


@pytest.mark.parametrize(
    ("request_", "kind", "text"),
    [
        ("Remember that I am vegetarian.", "remember", "I am vegetarian"),
        ("please remember: my dog is Rex", "remember", "my dog is Rex"),
        ("Don't forget that I live in Kyoto!", "remember", "I live in Kyoto"),
        ("私はベジタリアンだと覚えておいて", "remember", "私はベジタリアンだ"),
        ("京都に住んでいることを覚えてください。", "remember", "京都に住んでいる"),
        ("Forget the note about Kyoto", "forget", "Kyoto"),
        ("forget everything you know about me", "forget", "all"),
        ("Delete all my notes.", "forget", "all"),
        ("forget that I am vegetarian", "forget", "I am vegetarian"),
        ("京都のことを忘れて", "forget", "京都"),
        ("すべて忘れてください", "forget", "all"),
        ("What do you remember about me?", "list", ""),
        ("私について何を覚えていますか。", "list", ""),
    ],
)
def test_wishes_are_understood(request_: str, kind: str, text: str) -> None:
    wish = wish_in(request_)
    assert wish is not None
    assert (wish.kind, wish.text) == (kind, text)


@pytest.mark.parametrize(
    "other",
    [
        "Do you remember the moon landing?",
        "delete notes.txt",
        "remove all files",
        "Write notes.txt with the text hi",
        "What is 2+2?",
        "メモ.txtを読んで",
        "delete the file notes.md",
    ],
)
def test_other_requests_are_none(other: str) -> None:
    assert wish_in(other) is None


def test_offline_it_notes_answers_and_lists() -> None:
    model = OfflineModel().bind_tools([remember, forget])
    asked = HumanMessage("Remember that I am vegetarian.")
    reply = model.invoke([asked])
    assert isinstance(reply, AIMessage)
    made = reply.tool_calls[0]
    assert (made["name"], made["args"]) == ("remember", {"text": "I am vegetarian"})
    result = ToolMessage("Noted as [ab12]: I am vegetarian", tool_call_id=made["id"])
    answer = model.invoke([asked, reply, result])
    assert answer.text.startswith("Noted as [ab12]: I am vegetarian")
    assert not answer.tool_calls  # type: ignore[attr-defined] # an AIMessage

    prompt = SystemMessage(NOTES_PROMPT.format(notes="- [ab12] I am vegetarian"))
    listed = model.invoke([prompt, HumanMessage("What do you remember about me?")])
    assert listed.text.startswith("I have noted:\n- I am vegetarian")
    none = model.invoke([HumanMessage("私について何を覚えていますか。")])
    assert none.text.startswith("まだ何も覚えていません")
