import base64

from potluck.sandbox.cell import MAX_TRACEBACK_CHARS, Cell
from potluck.sandbox.limits import Limits
from potluck.sandbox.output import Output
from potluck.sandbox.wire import Message, is_idle

LIMITS = Limits(images=2, image_bytes=10)


def cell_after(*messages: tuple[str, dict[str, object]]) -> Cell:
    cell = Cell(LIMITS, Output(1_000))
    for kind, content in messages:
        cell.take(Message(kind, "1", content))
    return cell


def shown(**data: object) -> tuple[str, dict[str, object]]:
    kinds = {name.replace("_", "/"): value for name, value in data.items()}
    return ("display_data", {"data": kinds})


def png(content: bytes) -> str:
    return base64.b64encode(content).decode()


def test_takes_text_and_values_without_colours() -> None:
    cell = cell_after(
        ("stream", {"name": "stdout", "text": "\x1b[31mred\x1b[0m\n"}),
        ("execute_result", {"data": {"text/plain": "42"}}),
    )
    assert cell.output.text == "red\n42\n"


def test_takes_images_and_leaves_their_text_out() -> None:
    cell = cell_after(shown(image_png=png(b"picture"), text_plain="<Figure>"))
    assert [image.content for image in cell.images] == [b"picture"]
    assert cell.output.text == ""


def test_leaves_out_images_that_are_too_many_or_too_large_and_counts_them() -> None:
    cell = cell_after(shown(image_png=png(b"x" * 11)), *[shown(image_png=png(b"x"))] * 3)
    assert len(cell.images) == 2
    assert cell.images_left_out == 2


def test_cuts_the_middle_of_a_long_traceback() -> None:
    lines = [f"line {n}" for n in range(10_000)]
    cell = cell_after(("error", {"traceback": lines, "ename": "E", "evalue": "v"}))
    assert cell.error is not None
    assert len(cell.error) < MAX_TRACEBACK_CHARS + 20
    assert cell.error.startswith("line 0\n")
    assert cell.error.endswith("line 9999")


def test_names_an_error_that_has_no_traceback() -> None:
    cell = cell_after(("error", {"ename": "OSError", "evalue": "no"}))
    assert cell.error == "OSError: no"


def test_bears_whatever_a_hostile_kernel_tells() -> None:
    cell = cell_after(
        ("stream", {"text": 5}),
        ("stream", {}),
        ("display_data", {"data": [1]}),
        shown(image_png="!not base64!"),
        shown(image_png={"a": 1}),
        ("error", {"traceback": "text", "ename": None}),
        ("nonsense", {"a": []}),
    )
    assert cell.output.text == ""
    assert cell.images == []
    assert cell.output.seen_chars > 0


def test_only_the_word_about_its_own_request_ends_a_cell() -> None:
    idle = {"execution_state": "idle"}
    assert is_idle(Message("status", "1", idle), "1")
    assert not is_idle(Message("status", "2", idle), "1")
    assert not is_idle(Message("status", "1", {"execution_state": "busy"}), "1")
    assert not is_idle(Message("stream", "1", idle), "1")
