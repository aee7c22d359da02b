"""Markdown that streams: blocks come out whole, once, and nothing is lost."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from potluck.terminal.markdown import MarkdownStream, end_of, rendered

TEXT = """\
# Tea

Some *kinds*:

1. sencha

2. oolong
   - dark

| a | b |
|---|---|
| 1 | 2 |

```python
x = 1

# no heading
```

The end
"""


def shown(text: str, width: int = 40) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(rendered(text))
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def blocks(pieces: list[str]) -> list[str]:
    stream = MarkdownStream()
    found = [stream.add(piece) for piece in pieces]
    return [block for block in [*found, stream.take_rest()] if block]


def test_a_block_comes_out_once_the_next_has_begun() -> None:
    stream = MarkdownStream()
    assert stream.add("One\ntwo\n\n") == ""
    assert stream.add("Three") == ""
    assert stream.add("\n") == "One\ntwo\n\n"
    assert stream.rest == "Three\n"


@pytest.mark.parametrize("line", ["{}. tea\n", "tea {}\n", "| tea | {} |\n"])
def test_a_long_block_is_not_read_anew_with_each_line(line: str) -> None:
    stream = MarkdownStream()
    read: list[int] = []
    parse = stream._parser.parse
    stream._parser.parse = lambda text: read.append(len(text)) or parse(text)  # type: ignore[method-assign]
    text = "".join(line.format(number) for number in range(1, 600))
    came = [stream.add(one) for one in text.splitlines(keepends=True)]
    assert "".join(came) == ""
    assert stream.rest == text
    assert sum(read) < 40 * len(text)
    # What comes after it is there soon
    assert stream.add("\n\nShort.\n\n" + "And\n\n" * 1000).startswith(text)


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("a\nb\nc\n", "b\nc\n"),
        ("```py\na\nb\nc\n", "```py\nb\nc\n"),
        (
            "| a | b |\n|---|:-:|\n| 1 | 2 |\n| 3 | 4 |\n| 5 | 6 |\n",
            "| a | b |\n|---|:-:|\n| 3 | 4 |\n| 5 | 6 |\n",
        ),
        ("| a |\nb\nc\n", "b\nc\n"),
        ("word " * 20, ("word " * 20)[-30:]),
        ("short\n", "short\n"),
    ],
)
def test_the_end_of_a_block_is_a_block_of_its_kind(text: str, end: str) -> None:
    assert end_of(text, lines=2, chars=30) == end


def test_a_list_a_table_and_code_stay_whole() -> None:
    found = blocks([f"{line}\n" for line in TEXT.splitlines()])
    assert [block.split("\n")[0] for block in found] == [
        "# Tea", "Some *kinds*:", "1. sencha", "| a | b |", "```python", "The end",
    ]  # fmt: skip


@given(st.lists(st.text(alphabet="a*`#|-1.> \n[]()~", max_size=12), max_size=30))
def test_all_that_is_written_comes_out_in_its_order(pieces: list[str]) -> None:
    assert "".join(blocks(pieces)) == "".join(pieces)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=80))
def test_how_a_text_is_cut_into_pieces_does_not_matter_to_what_is_shown(sizes: list[int]) -> None:
    pieces, at = [], 0
    for size in sizes:
        pieces.append(TEXT[at : at + size])
        at += size
    pieces.append(TEXT[at:])
    assert "".join(shown(block) for block in blocks(pieces)).split() == shown(TEXT).split()


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("before <b>bold</b> after", "<b>bold</b>"),
        ("<details>\nhidden\n</details>", "hidden"),
        ("<script>x</script>\n", "<script>"),
        ("![a plot](images/plot.png)", "images/plot.png"),
        ("[tea](https://example.com/tea)", "https://example.com/tea"),
        ("See [1].\n\n[1]: https://example.com/one", "https://example.com/one"),
        ("roses are red\nviolets are blue", "roses are red\nviolets"),
    ],
)
def test_nothing_that_a_model_wrote_is_left_out(text: str, kept: str) -> None:
    assert kept in shown(text, 100)


@pytest.mark.parametrize("written", ["&#27;[31mred", "&#x1b;[31mred", "&#7;", "&#155;31m"])
def test_entities_make_no_control_characters(written: str) -> None:
    assert not {"\x1b", "\x07", "\x9b"} & set(shown(written))


def test_lines_fit_a_narrow_terminal() -> None:
    assert all(len(line) <= 20 for line in shown("word " * 30, 20).splitlines())
