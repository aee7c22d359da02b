"""The upstream of the bridge benchmark, in a process of its own: it answers at once.

Prints its address, and serves until its input ends. A question that begins with `pace` is answered
word by word, one each `PACE_S`.
"""

import sys

from potluck.simulator import default_replies
from potluck.simulator.reply import Delay, Reply
from potluck.simulator.request import ModelRequest
from potluck.simulator.script import Script
from potluck.simulator.server import SimulatorServer

WORDS = 40
PACED = "Slowly: "
PACE_S = 0.05
_TEXT = " ".join(f"harbour{number:02d}" for number in range(WORDS))


def answer(request: ModelRequest) -> Reply:
    """The same words for everybody; what fits the form, for those who want one."""
    if request.response_format is not None:
        return default_replies.answer(request)
    if request.last_user_text.startswith(PACED):
        return Reply(_TEXT, delay=Delay(per_chunk_s=PACE_S))
    return Reply(_TEXT)


def main() -> None:
    """Serve until the input ends."""
    with SimulatorServer(Script(default=answer)) as server:
        print(server.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
