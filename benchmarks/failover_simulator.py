"""The benchmark's side of the simulator process."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.failover_turns import Place

PROJECT_DIR = Path(__file__).parents[1]
SEED = 20261121
STOP_TIMEOUT_S = 10.0
# In the order in which they are asked: those that fail first
_PLACES = (
    ("groq", "groq", "/openai/v1", "openai/gpt-oss-120b"),
    ("google_gemini", "gemini", "", "gemini-3.8-flash"),
    ("huggingface", "huggingface", "/v1", "openai/gpt-oss-120b"),
    ("openrouter", "openai", "/api/v1", "openai/gpt-oss-120b:free"),
    ("together", "together", "/v1", "openai/gpt-oss-20b"),
)


class SimulatorProcess:
    """A running simulator: where it is, and what it has seen."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.url = self._read()
        if not self.url:
            raise SystemExit("The simulator did not start: see its error above.")

    def counts(self) -> dict[str, dict[str, int]]:
        """Calls by provider, faults by kind, continuations by their way."""
        assert self._process.stdin is not None
        print(file=self._process.stdin, flush=True)
        counted: dict[str, dict[str, int]] = json.loads(self._read())
        return counted

    def places(self) -> list[Place]:
        """The five providers of the chaos, in the order in which they are asked."""
        return [Place(p, api, f"{self.url}/{p}{path}", model) for p, api, path, model in _PLACES]

    def calm_place(self, name: str) -> Place:
        """An OpenAI-compatible endpoint; it hangs if its name is `dead`."""
        return Place(name, "openai", f"{self.url}/{name}/v1", "simulated-model")

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextlib.contextmanager
def simulator() -> Iterator[SimulatorProcess]:
    """A simulator with nothing on its log."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.failover_scenario", str(SEED)],
        cwd=PROJECT_DIR, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield SimulatorProcess(process)
    finally:
        process.terminate()
        process.wait(STOP_TIMEOUT_S)
