from hypothesis import given
from hypothesis import strategies as st

from potluck.sandbox.output import PIECE_CHARS, TOLD_CHARS, Output

pieces = st.lists(st.text("abc\n", max_size=60), max_size=40)


@given(pieces)
def test_keeps_everything_that_fits(given_pieces: list[str]) -> None:
    output = Output(10_000)
    for piece in given_pieces:
        output.add(piece)
    assert output.text == "".join(given_pieces)
    assert output.lost_chars == 0
    assert output.seen_chars == len(output.text)


@given(pieces, st.integers(10, 200))
def test_keeps_beginning_and_end_of_what_does_not_fit(given_pieces: list[str], room: int) -> None:
    output = Output(room)
    for piece in given_pieces:
        output.add(piece)
    whole = "".join(given_pieces)
    if len(whole) <= room:
        assert output.text == whole
        return
    head, _, rest = output.text.partition(f"\n[cut: {output.lost_chars:,} characters")
    tail = rest.partition("are not kept]\n")[2]
    assert whole.startswith(head)
    assert whole.endswith(tail)
    assert len(head) + len(tail) == room
    assert output.lost_chars == len(whole) - room


@given(pieces)
def test_tells_everything_in_order_when_flushed(given_pieces: list[str]) -> None:
    told: list[str] = []
    output = Output(10, told.append)
    for piece in given_pieces:
        output.add(piece)
        output.flush()
    assert "".join(told) == "".join(given_pieces)
    assert all(told)


def test_tells_in_small_pieces_and_stops_telling_a_flood() -> None:
    told: list[str] = []
    output = Output(10, told.append)
    for _ in range(5):
        output.add("x" * TOLD_CHARS)
        output.flush()
    assert all(len(piece) <= PIECE_CHARS for piece in told)
    assert "".join(told).count("x") == TOLD_CHARS
    assert told[-1] == "\n[more output is not shown live]\n"
    assert "".join(told).count("not shown live") == 1


def test_a_flood_of_nothing_counts_too() -> None:
    output = Output(10)
    output.notice(100)
    assert output.seen_chars == 100
    assert output.text == ""
