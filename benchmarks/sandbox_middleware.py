"""The session of LangChain's ShellToolMiddleware, in bubblewrap; runs in the peer's environment.

Takes JSON as its one argument, and prints JSON as its last line. Imports nothing of ours.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from langchain.agents.middleware._execution import BaseExecutionPolicy
from langchain.agents.middleware.shell_tool import ShellSession

TIMEOUT_S = 25.0


class BubblewrapPolicy(BaseExecutionPolicy):
    """One long-lived shell in namespaces of its own, as its documentation invites one to write."""

    def spawn(
        self, *, workspace: Path, env: Mapping[str, str], command: Sequence[str]
    ) -> subprocess.Popen[str]:
        """Start the shell."""
        walls = [
            "bwrap", "--unshare-all", "--die-with-parent", "--ro-bind", "/usr", "/usr",
            "--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib",
            "--symlink", "usr/lib64", "/lib64", "--proc", "/proc", "--dev", "/dev",
            "--tmpfs", "/tmp", "--bind", str(workspace), "/workspace", "--chdir", "/workspace",
        ]  # fmt: skip
        return subprocess.Popen(
            [*walls, *command], env=dict(env), text=True, encoding="utf-8", errors="replace",
            bufsize=1, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip


def main(given: Mapping[str, object]) -> dict[str, object]:
    """Start a session, run the commands, and the flood."""
    policy = BubblewrapPolicy(command_timeout=TIMEOUT_S, max_output_lines=1_000_000)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        session = ShellSession(Path(folder), policy, ("/bin/bash",), {"PATH": "/usr/bin:/bin"})
        session.start()
        session.execute(str(given["command"]), timeout=TIMEOUT_S)
        cold_ms = (time.perf_counter() - began) * 1000
        times = []
        for _ in range(int(str(given["commands"]))):
            began = time.perf_counter()
            session.execute(str(given["command"]), timeout=TIMEOUT_S)
            times.append((time.perf_counter() - began) * 1000)
        began = time.perf_counter()
        flood = session.execute(str(given["flood"]), timeout=TIMEOUT_S)
        flood_ms = (time.perf_counter() - began) * 1000
        session.stop(5)
    return {
        "cold_command_ms": cold_ms,
        "command_p50_ms": statistics.median(times),
        "command_p95_ms": sorted(times)[int(len(times) * 0.95)],
        "flood_ms": flood_ms,
        "flood_end_kept": "THE-END" in flood.output,
    }


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
