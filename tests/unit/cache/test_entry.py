"""An answer comes back from its bytes as it was, or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potluck.cache.entry import Entry, KeptCall

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=5,
)
CALLS = st.lists(
    st.builds(KeptCall, st.text(), st.dictionaries(st.text(), JSON, max_size=2)), max_size=2
)


@given(st.text(alphabet=st.characters()), CALLS)
def test_every_answer_survives(text: str, calls: list[KeptCall]) -> None:
    entry = Entry("groq", "m", "stop", text=text, reasoning=text, calls=tuple(calls))
    stored = entry.to_bytes()
    assert stored is not None
    assert Entry.from_bytes(stored) == entry


def test_text_that_utf_8_cannot_hold_survives() -> None:
    entry = Entry("groq", "m", "stop", text="\ud800")
    assert Entry.from_bytes(entry.to_bytes() or b"") == entry


@pytest.mark.parametrize(
    "damaged",
    [b"", b"\xff\xfe", b"{", b"[]", b"null", b'{"provider": "groq"}', b"[" * 100_000,
     b'{"provider":"groq","model":"m","finish_reason":"stop","calls":[{"name":"x"}]}'],
)  # fmt: skip
def test_damage_is_noticed(damaged: bytes) -> None:
    assert Entry.from_bytes(damaged) is None


def test_what_json_cannot_hold_is_not_kept() -> None:
    assert Entry("g", "m", "stop", calls=(KeptCall("x", {"at": object()}),)).to_bytes() is None
