"""What the simulated model does in the soak: it notes, echoes and runs what it is told."""

import re

from potluck.simulator import default_replies
from potluck.simulator.reply import Delay, Reply
from potluck.simulator.request import ModelRequest

FILE = "notes.txt"
PACE_S = 0.03
_ORDER = re.compile(r"(?P<deed>note|echo|fill|clear) (?P<token>[\w-]+)")
_FILL = "head -c 20000000 /dev/zero > big.bin; ls -l"
_CLEAR = "rm -f big.bin; ls -l"
_UNSURE = "Look at what is there"
_WORDS = " ".join(f"word{number:02d}" for number in range(20))


def order(deed: str, token: str) -> str:
    """The question that makes the model do so."""
    return f"Please {deed} {token} now."


def answer_to(deed: str, token: str) -> str:
    """What the model says in the end."""
    return f"{deed} {token}: {_WORDS}."


def answer(request: ModelRequest) -> Reply:
    """Do what the user has ordered last."""
    # A question whose answer was lost stands in one message with the next
    found = next(reversed([*_ORDER.finditer(request.last_user_text)]), None)
    if found is None or request.response_format is not None:
        return default_replies.answer(request)
    deed, token = found["deed"], found["token"]
    if deed == "note" and (step := _note(request, token)) is not None:
        return step
    if not request.tool_results and deed in ("fill", "clear") and request.tool("shell"):
        return Reply.call("shell", command=_FILL if deed == "fill" else _CLEAR)
    said = answer_to(deed, token)
    if deed == "fill":
        said += " " + " ".join(result.text for result in request.tool_results)
    return Reply(said, delay=Delay(per_chunk_s=PACE_S))


def _note(request: ModelRequest, token: str) -> Reply | None:
    """The next step of a careful model; None when the line is there, once."""
    if request.tool("write_file") is None:
        return None
    write = Reply.call("write_file", path=FILE, text=f"{token}\n", append=True)
    if not request.tool_results:
        return write
    told, made = request.tool_results[-1].text, request.tool_calls[-1].name
    if made == "read_file":
        return None if re.search(rf"{token}(?![\w-])", told) else write
    # A call that a killed server had begun is not made again: whether it was done must be looked up
    return Reply.call("read_file", path=FILE) if _UNSURE in told else None
