"""Words in place of deeds are told from answers."""

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from nodes.reply_faults import (
    ANNOUNCED_NUDGE,
    CLAIMED_NUDGE,
    EMPTY_NUDGE,
    LOOKED_NUDGE,
    UNABLE_NUDGE,
    announces,
    claims,
    nudge_for,
    refuses,
)

ANNOUNCED = [
    "I will now call calculator.",
    "I'll use the `read_file` tool to look at it.",
    "Let me check the weather for you.",
    "Sure! Let me search the web:",
    "I am going to run the script now...",
    "計算します。",
    "それではファイルを確認します。",
]
NOT_ANNOUNCED = [
    "It is 391.",
    "Let me know if you need anything else.",
    "I will read it to you if you want.",
    "Should I create the file?",
    "The script will run at noon. It uses cron.",
    "You can call me anytime.",
    "Tomorrow I'll be 40, you said. Happy birthday!",
    "It is checked by the server every minute.",
    "Let me explain: a list is mutable, a tuple is not.",
    "毎朝六時に起きます。",
]
CLAIMED = [
    "I have saved the file as a.txt.",
    "All of it is done.",
    "Done.",
    "I've created the chart.",
    "The file has been created successfully.",
    "ファイルを作成しました。",
]
NOT_CLAIMED = [
    "The capital is Paris.",
    "You should save the file first.",
    "Rome was not built in a day.",
    "Columbus reached America in 1492.",
    "To have it done, ask a carpenter.",
]
REFUSED = [
    "I'm sorry, but I cannot access files on your computer.",
    "As an AI language model, I can't browse the internet.",
    "I do not have the ability to run code.",
    "I do not agree that this is useful, so I will not do it. It would be wrong.",
    "申し訳ありませんが、ファイルにアクセスできません。",
]
NOT_REFUSED = [
    "You cannot divide by zero.",
    "I cannot say which of the two I like better.",
    "It is not possible to know before the vote.",
]


@pytest.mark.parametrize("text", ANNOUNCED)
def test_an_announcement_is_seen(text: str) -> None:
    assert announces(text)


@pytest.mark.parametrize("text", NOT_ANNOUNCED)
def test_other_words_are_no_announcement(text: str) -> None:
    assert not announces(text)


@pytest.mark.parametrize("text", CLAIMED)
def test_a_claim_is_seen(text: str) -> None:
    assert claims(text)


@pytest.mark.parametrize("text", NOT_CLAIMED)
def test_other_words_are_no_claim(text: str) -> None:
    assert not claims(text)


@pytest.mark.parametrize("text", REFUSED)
def test_a_refusal_is_seen(text: str) -> None:
    assert refuses(text)


@pytest.mark.parametrize("text", NOT_REFUSED)
def test_other_words_are_no_refusal(text: str) -> None:
    assert not refuses(text)


def test_each_fault_has_its_word() -> None:
    asked = [HumanMessage("Save it")]
    told = {text: nudge_for(AIMessage(text), asked, may_call=True) for text in (
        "", "Let me check.", "Done.", "I cannot access files.", "Paris.",
    )}  # fmt: skip
    assert list(told.values()) == [EMPTY_NUDGE, ANNOUNCED_NUDGE, CLAIMED_NUDGE, UNABLE_NUDGE, ""]


def test_who_has_used_tools_may_say_what_was_done() -> None:
    asked = [HumanMessage("Save it"), ToolMessage("saved", tool_call_id="1")]
    assert nudge_for(AIMessage("Done."), asked, may_call=True) == ""
    assert nudge_for(AIMessage("Let me check."), asked, may_call=True) == ANNOUNCED_NUDGE


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        ("median in stats.py is wrong. Mend it, and try it out.", "All of it is done."),
        ("Write the sum into total.txt", "The file has been created."),
        ("Delete old.txt", "Done."),
        ("report.mdを修正して", "修正しました。"),
    ],
)
def test_who_has_only_looked_has_changed_nothing(request_: str, text: str) -> None:
    asked = [HumanMessage(request_), ToolMessage("...", name="read_file", tool_call_id="1")]
    assert nudge_for(AIMessage(text), asked, may_call=True) == LOOKED_NUDGE
    changed = [*asked, ToolMessage("ok", name="edit_file", tool_call_id="2")]
    assert nudge_for(AIMessage(text), changed, may_call=True) == ""
    assert nudge_for(AIMessage(text), asked, may_call=False) == ""


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        ("Read a.txt and write me a summary of it", "I have read it: all is well."),
        ("What does a.txt say?", "It says: all is done."),
        ("Is the build done? Look into log.txt", "Done."),
        ("Mend stats.py", "stats.py is right as it is: the median of two is their mean."),
    ],
)
def test_who_was_to_look_may_say_what_was_seen(request_: str, text: str) -> None:
    asked = [HumanMessage(request_), ToolMessage("...", name="read_file", tool_call_id="1")]
    assert nudge_for(AIMessage(text), asked, may_call=True) == ""


def test_who_has_no_tools_is_not_told_to_call_any() -> None:
    assert nudge_for(AIMessage("Let me check."), [], may_call=False) == ""
    assert nudge_for(AIMessage(""), [], may_call=False) == EMPTY_NUDGE


def test_a_call_is_no_fault() -> None:
    call = {"name": "x", "args": {}, "id": "1", "type": "tool_call"}
    assert nudge_for(AIMessage("Let me check.", tool_calls=[call]), [], may_call=True) == ""
