import pytest
from langchain_core.messages import ToolMessage

from tools.sources import MAX_TEXT_CHARS, as_sources, sources_in


def result(artifact: object) -> ToolMessage:
    return ToolMessage("text", tool_call_id="1", artifact=artifact)


def test_pages_are_kept_as_people_are_shown_them() -> None:
    made = as_sources([("https://e.com", " On\n tea ", "leaf " * 1_000)])
    (source,) = sources_in(result(made))
    assert (source["url"], source["title"]) == ("https://e.com", "On tea")
    assert len(source["text"]) == MAX_TEXT_CHARS + 1


@pytest.mark.parametrize(
    "artifact",
    [
        None,
        "text",
        {"structured_content": {"sources": 1}},
        {"sources": "https://e.com"},
        {"sources": ["https://e.com", None, {}, {"url": 7}]},
        {"sources": [{"url": "javascript:alert(1)"}, {"url": "file:///etc/passwd"}]},
        {"sources": [{"url": "https://[broken"}]},
    ],
)
def test_what_is_no_page_of_the_web_is_passed_over(artifact: object) -> None:
    assert sources_in(result(artifact)) == []


def test_other_tools_pages_need_no_title() -> None:
    assert sources_in(result({"sources": [{"url": "http://e.com"}]})) == [
        {"url": "http://e.com", "title": "", "text": ""}
    ]
