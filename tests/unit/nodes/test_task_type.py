"""The kind of a task is told without a call."""

import pytest

from nodes.task_type import task_type_of


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("hi", "simple_task"),
        ("What day is it in Tokyo?", "simple_task"),
        ("東京は今何時ですか", "simple_task"),
        ("Write a Python function that reverses a list", "code_generation"),
        ("このコードのバグを直してください", "code_generation"),
        (
            "Compare PostgreSQL and SQLite for the needs of a small team",
            "complex_reasoning",
        ),
        ("二つの設計を比較して", "complex_reasoning"),
        ("word " * 200, "complex_reasoning"),
        (
            "Tell me something about the people who lived near the old harbour of Genoa and traded",
            "general",
        ),
    ],
)
def test_a_request_is_routed_by_its_words(text: str, kind: str) -> None:
    assert task_type_of(text) == kind
