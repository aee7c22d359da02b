import pytest
from langgraph.pregel import Pregel

from graph.agent import build
from potluck.server import context_schema


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pregel, "get_context_jsonschema", Pregel.get_context_jsonschema)
    monkeypatch.setattr(context_schema, "_made", {})


def test_the_schema_is_made_once_for_all_copies_of_a_graph(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graph = build()
    expected = graph.get_context_jsonschema()
    made: list[object] = []
    make = context_schema._make
    monkeypatch.setattr(context_schema, "_make", lambda one: made.append(one) or make(one))
    context_schema.remember_context_schemas()
    assert graph.get_context_jsonschema() == expected
    assert graph.copy().get_context_jsonschema() == expected
    assert len(made) == 1


def test_what_a_caller_does_to_it_is_not_seen_by_the_next() -> None:
    graph = build()
    context_schema.remember_context_schemas()
    first = graph.get_context_jsonschema()
    assert first is not None
    first.clear()
    assert graph.get_context_jsonschema()
