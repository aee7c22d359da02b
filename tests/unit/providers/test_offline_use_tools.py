"""The offline model asks for the tools that it knows it needs and has not at hand."""

from langchain_core.messages import HumanMessage

from potluck.providers.offline_move import USE_TOOLS, Call, next_move

WAY = {USE_TOOLS: {"properties": {"why": {"type": "string"}}}}


def test_asks_for_tools_that_are_not_at_hand() -> None:
    move = next_move([HumanMessage("What is 17*23?")], WAY, "no key")
    assert isinstance(move, Call)
    assert move.tool == USE_TOOLS


def test_says_what_it_cannot_do_where_there_is_no_way_to_tools() -> None:
    assert isinstance(next_move([HumanMessage("What is 17*23?")], {}, "no key"), str)


def test_answers_small_talk_without_any_tool() -> None:
    assert isinstance(next_move([HumanMessage("hello")], WAY, "no key"), str)
