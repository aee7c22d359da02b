"""Open WebUI in a process of its own, with the settings that we tell users to use."""

import os
import shlex
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.conftest import FOREIGN, PROJECT_DIR

ENV_FILE = PROJECT_DIR / "integrations" / "openwebui" / "openwebui.env"
START_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 20.0
# Nothing is fetched, nobody is told, and nobody has to log in.
QUIET = {
    "ANONYMIZED_TELEMETRY": "False",
    "DO_NOT_TRACK": "true",
    "ENABLE_VERSION_UPDATE_CHECK": "False",
    "HF_HUB_OFFLINE": "1",
    "OFFLINE_MODE": "True",
    "RAG_EMBEDDING_ENGINE": "openai",
    "SCARF_NO_ANALYTICS": "true",
    "WEBUI_AUTH": "False",
    "WEBUI_SECRET_KEY": "of-the-tests",
}


def shipped_settings() -> dict[str, str]:
    """What stands in the file that users are told to use, as their shell reads it."""
    words = shlex.split(ENV_FILE.read_text(), comments=True)
    return dict(word.split("=", 1) for word in words)


@dataclass
class OpenWebUI:
    """A running Open WebUI whose one connection is `potluck_url`."""

    program: Path
    data: Path
    potluck_url: str
    key: str
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        return (self.data / "output.log").read_text()

    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not any(mark in k for mark in FOREIGN)}
        connection = {
            "OPENAI_API_BASE_URL": f"{self.potluck_url}/v1",
            "OPENAI_API_KEY": self.key,
            "DATA_DIR": str(self.data),
        }
        return kept | shipped_settings() | QUIET | connection

    def start(self) -> None:
        """Returns when it answers."""
        self.port = _free_port()
        with (self.data / "output.log").open("wb") as output:
            self.process = subprocess.Popen(
                [self.program, "serve", "--host", "127.0.0.1", "--port", str(self.port)],
                cwd=self.data,
                env=self.environment(),
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, f"not ready in time:\n{self.output}"
            time.sleep(0.2)

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(STOP_TIMEOUT_S)

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", timeout=2).is_success
        except httpx.TransportError:
            return False


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
