import asyncio
from pathlib import Path

import psutil
import pytest

from potluck.sandbox.pool import Sandboxes

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

PNG = """
import base64
from IPython.display import Image, display
raw = base64.b64decode('iVBORw0KGgo=')
"""
BLOCKED = """
import os, time
print('begun')
while not os.path.exists('go'): time.sleep(0.01)
print('done')
"""
BEATING = """
import time
print('begun')
for i in range(600):
    time.sleep(0.1)
    open('beat', 'w').write(str(i))
"""
HOARDING = """
import os, time
for _ in range(4):
    if os.fork() == 0:
        held = os.urandom(1) * 150_000_000
        time.sleep(20)
        os._exit(0)
time.sleep(20)
"""


async def test_keeps_variables_between_cells(sandboxes: Sandboxes, workspace: Path) -> None:
    await sandboxes.python(workspace, "x = 20\nprint('set')")
    outcome = await sandboxes.python(workspace, "x + 1")
    assert outcome.ok
    assert outcome.text == "21\n"
    assert outcome.state_lost is None


async def test_tells_output_while_the_cell_runs(sandboxes: Sandboxes, workspace: Path) -> None:
    heard: list[str] = []
    first = asyncio.Event()

    def hear(text: str) -> None:
        heard.append(text)
        first.set()

    code = BLOCKED
    running = asyncio.create_task(sandboxes.python(workspace, code, timeout_s=20, tell=hear))
    await asyncio.wait_for(first.wait(), 20)
    assert "".join(heard) == "begun\n"
    (workspace / "go").touch()
    outcome = await running
    assert outcome.text == "begun\ndone\n"
    assert "".join(heard) == outcome.text


async def test_shows_errors_as_python_does_and_goes_on(
    sandboxes: Sandboxes, workspace: Path
) -> None:
    outcome = await sandboxes.python(workspace, "print('before')\n1 / 0")
    assert not outcome.ok
    assert outcome.text == "before\n"
    assert outcome.error is not None
    assert outcome.error.startswith("Traceback (most recent call last):")
    assert outcome.error.endswith("ZeroDivisionError: division by zero")
    assert "\x1b" not in outcome.error
    assert (await sandboxes.python(workspace, "1")).ok


async def test_returns_images_and_names_the_files_it_made(
    sandboxes: Sandboxes, workspace: Path
) -> None:
    await sandboxes.python(workspace, "open('old.txt', 'w').write('old')")
    await asyncio.sleep(0.02)  # file times tick this coarsely
    code = f"{PNG}\ndisplay(Image(raw, format='png'))\nopen('new.csv', 'w').write('a,b')"
    outcome = await sandboxes.python(workspace, code)
    assert [(image.mime_type, image.content) for image in outcome.images] == [
        ("image/png", b"\x89PNG\r\n\x1a\n")
    ]
    assert [(file.path, file.size_bytes) for file in outcome.files] == [("new.csv", 3)]
    assert (workspace / "new.csv").read_text() == "a,b"


async def test_modules_in_the_workspace_can_be_imported_but_not_hijack_the_kernel(
    sandboxes: Sandboxes, workspace: Path
) -> None:
    for name in ("ipykernel_launcher", "zmq", "random"):
        (workspace / f"{name}.py").write_text("raise SystemExit('hijacked')")
    (workspace / "mine.py").write_text("answer = 42")
    outcome = await sandboxes.python(workspace, "import mine; mine.answer")
    assert outcome.text == "42\n"


async def test_a_cell_that_takes_too_long_is_interrupted_and_variables_stay(
    sandboxes: Sandboxes, workspace: Path
) -> None:
    await sandboxes.python(workspace, "kept = 1")
    outcome = await sandboxes.python(workspace, "import time; time.sleep(60)", timeout_s=0.3)
    assert outcome.stopped == "time"
    assert outcome.note is not None
    assert "0.3 s" in outcome.note
    assert outcome.state_lost is None
    assert (await sandboxes.python(workspace, "kept")).text == "1\n"


async def test_a_cell_that_cannot_be_interrupted_is_ended_and_the_loss_is_told(
    sandboxes: Sandboxes, workspace: Path
) -> None:
    code = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass"
    outcome = await sandboxes.python(workspace, code, timeout_s=0.3)
    assert outcome.stopped == "time"
    assert outcome.state_lost
    after = await sandboxes.python(workspace, "'anew'")
    assert after.text == "'anew'\n"
    assert after.state_lost is None


async def test_a_kernel_that_dies_is_replaced_and_the_loss_is_told(
    sandboxes: Sandboxes, workspace: Path
) -> None:
    await sandboxes.python(workspace, "x = 1")
    outcome = await sandboxes.python(workspace, "import os; os._exit(3)")
    assert outcome.stopped == "crash"
    assert outcome.state_lost
    assert (await sandboxes.python(workspace, "'x' in globals()")).text == "False\n"


async def test_cancelling_stops_the_cell_at_once_and_variables_stay(
    sandboxes: Sandboxes, workspace: Path
) -> None:
    begun = asyncio.Event()
    await sandboxes.python(workspace, "kept = 5")
    code = BEATING
    running = asyncio.create_task(
        sandboxes.python(workspace, code, tell=lambda _: begun.set(), timeout_s=60)
    )
    await asyncio.wait_for(begun.wait(), 20)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (await sandboxes.python(workspace, "kept")).text == "5\n"


async def test_cells_asked_for_at_once_run_one_after_the_other(
    sandboxes: Sandboxes, workspace: Path
) -> None:
    await sandboxes.python(workspace, "n = 0")
    code = "import time\nm = n; time.sleep(0.02); n = m + 1"
    await asyncio.gather(*(sandboxes.python(workspace, code) for _ in range(5)))
    assert (await sandboxes.python(workspace, "n")).text == "5\n"


async def test_too_much_memory_ends_the_session(sandboxes: Sandboxes, workspace: Path) -> None:
    code = HOARDING
    outcome = await sandboxes.python(workspace, code, timeout_s=20)
    assert outcome.stopped == "memory"
    assert outcome.state_lost


async def test_endless_output_is_kept_short_and_stopped(
    sandboxes: Sandboxes, workspace: Path
) -> None:
    heard: list[str] = []
    code = "while True: print('x' * 1_000_000)"
    outcome = await sandboxes.python(workspace, code, timeout_s=4, tell=heard.append)
    assert outcome.stopped in {"output", "time"}
    assert outcome.lost_chars > 0
    assert len(outcome.text) < 2_100_000
    assert len("".join(heard)) < 70_000


async def test_one_message_too_large_to_take_in_costs_the_session_not_the_server(
    sandboxes: Sandboxes, workspace: Path
) -> None:
    before = psutil.Process().memory_info().rss
    code = (
        "from IPython.display import display\ndisplay({'text/plain': 'x' * 60_000_000}, raw=True)"
    )
    outcome = await sandboxes.python(workspace, code, timeout_s=20)
    assert outcome.stopped == "output"
    assert outcome.state_lost
    assert psutil.Process().memory_info().rss - before < 40_000_000


async def test_input_fails_with_a_reason(sandboxes: Sandboxes, workspace: Path) -> None:
    outcome = await sandboxes.python(workspace, "input('name? ')", timeout_s=10)
    assert outcome.error is not None
    assert "does not support input" in outcome.error


async def test_a_full_workspace_is_told_and_can_be_emptied(
    sandboxes: Sandboxes, workspace: Path
) -> None:
    code = "for n in range(6):\n    with open(f'big-{n}', 'wb') as f: f.write(bytes(10_000_000))"
    outcome = await sandboxes.python(workspace, code)
    assert outcome.note is not None
    assert "Delete files" in outcome.note
    emptied = await sandboxes.python(
        workspace, "import glob, os\nfor name in glob.glob('big-*'): os.remove(name)"
    )
    assert emptied.ok
    assert emptied.note is None
