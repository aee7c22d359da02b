import pytest

from potluck.server.openai.citations import span_of


@pytest.mark.parametrize(
    ("url", "text", "named"),
    [
        ("https://e.com/a", "(https://e.com/a)", "https://e.com/a"),
        ("https://e.com/a/", "see https://e.com/a.", "https://e.com/a"),
        ("https://e.com/a", "https://e.com/a/ is it", "https://e.com/a/"),
        ("https://e.com/a", "https://e.com/ab, then https://e.com/a", "https://e.com/a"),
        ("https://e.com/?q=(x)", "<https://e.com/?q=(x)>", "https://e.com/?q=(x)"),
    ],
)
def test_a_page_is_cited_where_the_text_names_it(url: str, text: str, named: str) -> None:
    start, end = span_of(url, text)
    assert text[start:end] == named


@pytest.mark.parametrize("text", ["", "no address", "https://e.com/abc", "https://e.com/a/b"])
def test_a_page_that_is_not_named_stands_behind_the_whole_text(text: str) -> None:
    assert span_of("https://e.com/a", text) == (0, len(text))
