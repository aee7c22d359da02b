"""The provider of the soak, in a process of its own: what the clients do must not slow it down.

Prints its address, and serves until its input ends. Each line of it is a number of seconds for
which quota is out from then on.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.soak_script import answer
from potluck.simulator.reply import Fault, Reply
from potluck.simulator.script import Script
from potluck.simulator.server import SimulatorServer

PROJECT_DIR = Path(__file__).parents[1]
STOP_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Provider:
    """The running provider."""

    url: str
    process: subprocess.Popen[str]

    def run_out(self, for_s: float) -> None:
        """Have quota be out for so long, as the next caller is told."""
        assert self.process.stdin is not None
        print(for_s, file=self.process.stdin, flush=True)


@contextmanager
def provider() -> Iterator[Provider]:
    """The provider, until the block ends."""
    command = [sys.executable, "-m", "benchmarks.soak_simulator"]
    process = subprocess.Popen(
        command, cwd=PROJECT_DIR, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield Provider(process.stdout.readline().strip(), process)
    finally:
        process.terminate()
        process.wait(STOP_TIMEOUT_S)


def main() -> None:
    """Serve until the input ends."""
    with SimulatorServer(Script(default=answer)) as server:
        print(server.url, flush=True)
        for line in sys.stdin:
            # No figures, from which more would be learned than when to ask again
            said = f"Too many concurrent requests. Please try again in {line.strip()}s."
            fault = Fault(
                status=429, body={"error": {"message": said}}, headers={"retry-after": line.strip()}
            )
            server.script.on(Reply(fault=fault), times=1)


if __name__ == "__main__":
    main()
