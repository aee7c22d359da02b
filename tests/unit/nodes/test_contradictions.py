"""Results that do not agree are named."""

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from nodes.contradictions import note_on, results_in


def test_different_numbers_for_one_thing_are_told_with_their_sources() -> None:
    told = note_on([("a.txt", "Population: 1,200"), ("b.txt", "population = 1500\nArea: 3")])
    assert "population is 1200 in a.txt, but 1500 in b.txt" in told


def test_sentences_are_read_too() -> None:
    told = note_on([("x", "The price of the ticket is $5."), ("y", "the price of the ticket is 7")])
    assert "price of the ticket is 5 in x, but 7 in y" in told


def test_japanese_is_read_too() -> None:
    assert "人口" in note_on([("x", "人口: 100"), ("y", "人口：200")])  # noqa: RUF001 - typed so


def test_what_agrees_is_not_told() -> None:
    assert note_on([("x", "Population: 1,200"), ("y", "population: 1200")]) == ""
    assert note_on([("x", "Population: 1200"), ("y", "Area: 1500")]) == ""


def test_names_that_mean_nothing_are_left_out() -> None:
    assert note_on([("x", "line: 1\nsize: 2"), ("y", "line: 3\nsize: 4")]) == ""


def test_a_table_in_one_source_is_no_contradiction() -> None:
    table = "score: 1\nscore: 2"
    assert note_on([("x", table), ("y", "score: 3")]) == ""


def test_results_before_a_change_do_not_count() -> None:
    def read(text: str) -> ToolMessage:
        return ToolMessage(text, tool_call_id="1", name="read_file")

    changed = ToolMessage("written", tool_call_id="2", name="write_file")
    before = [HumanMessage("x"), AIMessage("."), read("mass: 1")]
    assert note_on(results_in([*before, read("mass: 2")]))
    assert not note_on(results_in([*before, changed, read("mass: 2")]))
    assert not note_on(results_in([*before, HumanMessage("y"), read("mass: 2")]))
