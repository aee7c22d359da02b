"""The shipped table of headers and texts can be relied on."""

import pytest

from potluck.providers.stated_limits_table import TABLE, Dialect


def test_every_text_has_a_date_and_a_source() -> None:
    assert len(TABLE.texts) > 8
    for text in TABLE.texts:
        assert text.source.startswith("http")
        assert text.checked_on.year >= 2026


def test_a_dialect_reads_a_header_once() -> None:
    for dialect in TABLE.dialects:
        names = [name for part in dialect.sets for name in part.names]
        assert len(names) == len(set(names))


def test_every_header_is_named_as_headers_are_compared() -> None:
    assert all(name == name.lower() and "{" not in name for name in TABLE.header_names)


@pytest.mark.parametrize(
    ("provider", "api", "names", "fits"),
    [
        ("groq", "openai", set(), True),
        ("My_Groq_2", "openai", set(), True),
        ("fast", "groq", set(), True),
        ("fast", "openai", {"x-when"}, True),
        ("fast", "openai", {"x-other"}, False),
    ],
)
def test_a_dialect_fits_by_name_by_api_or_by_a_header_that_only_it_sends(
    provider: str, api: str, names: set[str], fits: bool
) -> None:
    dialect = Dialect(("groq",), frozenset({"groq"}), "x-when", ())
    assert dialect.fits(provider, api, frozenset(names)) is fits


def test_a_dialect_of_nobodys_fits_all() -> None:
    assert Dialect((), frozenset(), None, ()).fits("x", "openai", frozenset())
