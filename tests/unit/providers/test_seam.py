"""A continuation is joined to what is out without a gap and without a repeated word."""

import re
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from potluck.providers.seam import NotContinuedError, Seam

STORY = """\
# Stone soup

A **stone** soup needs a pot, some water, and a stone. Everyone brings what they have: carrots, \
an onion; a little salt. In the end, nobody remembers who cooked it. \
"Wait," she said, "is it 12.50?"

```python
def stir(pot: Pot) -> Pot:
    for turn in range(10):
        pot.turn(turn)
    return pot
```

1. Another day, another soup, together with friends.
2. だしを取ってから味噌を入れます。最後に豆腐を切ってのせる。
"""


def joined(out: str, new: str, size: int = 1000) -> str:
    """The whole answer when `new` comes in pieces of this size after `out`."""
    seam = Seam(out)
    shown = [seam.feed(new[at : at + size]) for at in range(0, len(new), size)]
    return out + "".join(shown) + seam.finish()


def without_blanks(text: str) -> str:
    return re.sub(r"\s+", "", text)


def last_words(text: str, count: int) -> str:
    starts = [match.start() for match in re.finditer(r"\S+", text)]
    return text[starts[-count] :] if len(starts) >= count else text


CUTS = st.integers(1, len(STORY) - 1)
SIZES = st.integers(1, 40)
# Texts without a word that stands twice: where words repeat, nobody can tell what was meant
WORDS = st.lists(
    st.from_regex(r"[A-Za-zäöüéß]{4,12}[,.;]?", fullmatch=True),
    min_size=4,
    max_size=40,
    unique_by=lambda word: word[:3].lower(),
)
BLANKS = st.sampled_from([" ", " ", " ", "\n", "\n\n"])


@st.composite
def texts(draw: Any) -> str:
    words = draw(WORDS)
    return "".join(word + draw(BLANKS) for word in words).strip()


@given(cut=CUTS, size=SIZES)
def test_an_exact_continuation_stays_as_it_is(cut: int, size: int) -> None:
    assert joined(STORY[:cut], STORY[cut:], size) == STORY


@given(cut=CUTS, size=SIZES, lead=st.sampled_from(["", "\n", " ", "\n\n"]))
def test_a_restart_from_the_beginning_is_cut_off(cut: int, size: int, lead: str) -> None:
    assert joined(STORY[:cut], lead + STORY, size) == STORY


@given(cut=CUTS, size=SIZES, count=st.integers(4, 20), lead=st.sampled_from(["", "\n", " "]))
def test_repeated_last_words_are_cut_off(cut: int, size: int, count: int, lead: str) -> None:
    assume(not STORY[:cut].rstrip().endswith("`"))
    again = last_words(STORY[:cut], count)
    assert joined(STORY[:cut], lead + again + STORY[cut:], size) == STORY


@settings(max_examples=40)
@given(text=texts(), size=SIZES, data=st.data())
def test_any_text_is_continued_exactly(text: str, size: int, data: Any) -> None:
    cut = data.draw(st.integers(1, len(text) - 1))
    # "ha" that goes on with "ha" may be "haha" as well as "ha"
    assume(not text[cut:].startswith(last_words(text[:cut], 1)))
    assert joined(text[:cut], text[cut:], size) == text


@settings(max_examples=40)
@given(text=texts(), size=SIZES, data=st.data())
def test_of_any_text_the_last_words_are_not_shown_twice(text: str, size: int, data: Any) -> None:
    cut = data.draw(st.sampled_from([m.start() for m in re.finditer(r"(?<=\w\w)\W", text)]))
    again = last_words(text[:cut], data.draw(st.integers(1, 10)))
    lead = data.draw(st.sampled_from(["", "…", "Sure, here is the rest:\n\n", "... "]))
    assert joined(text[:cut], lead + again + text[cut:], size) == text


@settings(max_examples=40)
@given(text=texts(), size=SIZES, data=st.data())
def test_of_any_text_the_last_sentence_is_not_shown_twice(text: str, size: int, data: Any) -> None:
    cut = data.draw(st.integers(1, len(text) - 1))
    begin = max(text.rfind(". ", 0, cut) + 2, 0) if ". " in text[:cut] else 0
    assume(cut - begin > 4)
    assert without_blanks(joined(text[:cut], text[begin:], size)) == without_blanks(text)


@given(out=st.text(min_size=1, max_size=60), new=st.text(max_size=60), size=SIZES)
def test_nothing_is_ever_made_up(out: str, new: str, size: int) -> None:
    """What is shown of a continuation is its end, but for one space."""
    shown = joined(out, new, size)[len(out) :]
    assert new.endswith((shown, shown.removeprefix(" ")))


@given(out=st.text(max_size=60), new=st.text(max_size=60), size=SIZES)
def test_the_size_of_the_pieces_makes_no_difference(out: str, new: str, size: int) -> None:
    assert joined(out, new, size) == joined(out, new)


@pytest.mark.parametrize(
    ("out", "new", "whole"),
    [
        ("We are in the", "other room", "We are in the other room"),
        ("That was all.", "Next comes salt", "That was all. Next comes salt"),
        ("carrots, onions,", "salt", "carrots, onions, salt"),
        ("We did it to", "gether", "We did it together"),
        ("It was an", "other one", "It was another one"),
        ("an inter", "national", "an international"),
        ("味噌を", "入れます", "味噌を入れます"),
        ("3.", "14", "3.14"),
        ("see example.", "com", "see example.com"),
        ("```py\nfoo.", "Bar()\n", "```py\nfoo.Bar()\n"),
    ],
)
def test_a_space_is_added_between_words_and_never_inside_one(
    out: str, new: str, whole: str
) -> None:
    assert joined(out, new) == whole


@pytest.mark.parametrize(
    ("out", "new", "whole"),
    [
        ("We say hel", "hello to all", "We say hello to all"),
        ("I think that it is", "is raining", "I think that it is raining"),
        ("a **bold", "a **bold** word", "a **bold** word"),
        ("a **bold**", "a bold word", "a **bold** word"),
        ("one\n\ntwo  three", "one two\nthree four", "one\n\ntwo  three four"),
        ("```py\nx = 1\ny", "```python\ny = 2\n```", "```py\nx = 1\ny = 2\n```"),
        ("```py\nx = 1\n", "```python\nz = 2\n```", "```py\nx = 1\nz = 2\n```"),
        ("So it ends well.", "So it ends well.", "So it ends well."),
        ("whoever saw ", "saw it first", "whoever saw it first"),
        ("what is with ", "without end", "what is with without end"),
        ("salt:\n\n-", "- a stone", "salt:\n\n- a stone"),
        ("salt:\n\n2.", "2. a stone", "salt:\n\n2. a stone"),
        ("one - two -", "- three", "one - two -- three"),
        ("the **old", "**old harbour**", "the **old harbour**"),
        ("the **old*", "* one", "the **old** one"),
        ("so:\n```python", "```python\nx = 1", "so:\n```python\nx = 1"),
        ("x = 1\n```", "```\nSo", "x = 1\n```\nSo"),
        ("it is 77", "77 metres tall", "it is 77 metres tall"),
        ("it is 52.", "52. Salt", "it is 52. Salt"),
        ("it is 1", "1 metres tall", "it is 11 metres tall"),
        ("ha ha ", "ho ho", "ha ha ho ho"),
        ("So be it", "Here is why:\nmore", "So be it Here is why:\nmore"),
    ],
)
def test_repetitions_are_seen_through_markup_and_half_words(out: str, new: str, whole: str) -> None:
    assert joined(out, new) == whole


def test_an_answer_begun_anew_is_followed_from_where_it_meets_what_is_out() -> None:
    out = "The quick brown fox jumps over the very lazy dog and then"
    new = "The quick brown fox jumps over a lazy dog, over the very lazy dog and then it sleeps."
    assert joined(out, new, 3) == f"{out} it sleeps."


def test_an_answer_begun_anew_in_other_words_is_refused() -> None:
    seam = Seam("The quick brown fox jumps over the lazy dog and then")
    assert seam.feed("The quick brown fox jumps over a lazy cat. It sleeps.") == ""
    with pytest.raises(NotContinuedError):
        seam.finish()


def test_words_are_let_out_as_soon_as_it_is_clear_that_they_are_new() -> None:
    seam = Seam("Everyone brings carrots")
    assert seam.feed(" and") == " and"
    assert seam.feed(" onions") == " onions"
    assert seam.finish() == ""
