"""What README and examples say to run, run as it stands there."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

PROJECT_DIR = Path(__file__).parents[2]
README = (PROJECT_DIR / "README.md").read_text()
SHELL_BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
EXPECTED = {
    "openai_sdk.py": ["392.41", "Tokyo", "no LLM is connected"],
    "langgraph_client.py": ["write_file", "read_file", "checkpoints to travel back to"],
    "remote_runnable.py": ["392.41", "Tokyo"],
}


def run(command: list[str], server: Any) -> tuple[str, str]:
    """Its output and what it told beside it."""
    done = subprocess.run(
        command,
        cwd=PROJECT_DIR,
        env={**server.environment(), "POTLUCK_URL": server.url, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.mark.parametrize("example", sorted(EXPECTED))
def test_example_runs(offline_server: Any, example: str) -> None:
    output, _ = run([sys.executable, f"examples/{example}"], offline_server)
    for words in EXPECTED[example]:
        assert words.lower() in output.lower(), output


def test_every_example_is_run() -> None:
    assert {path.name for path in (PROJECT_DIR / "examples").glob("*.py")} == set(EXPECTED)


def test_curl_of_the_readme_answers(offline_server: Any) -> None:
    command = next(block for block in SHELL_BLOCKS if block.startswith("curl"))
    command = command.replace("http://127.0.0.1:8123", offline_server.url)
    assert "chat.completion" in run(["bash", "-c", command], offline_server)[0]


def test_chat_of_the_readme_answers(offline_server: Any) -> None:
    line = next(block for block in SHELL_BLOCKS if "potluck chat" in block).strip()
    assert line == 'uv run potluck chat "What is 17*23 + sqrt(2)?"'
    command = [sys.executable, "-m", "potluck", "chat", "What is 17*23 + sqrt(2)?"]
    answer, steps = run(command, offline_server)
    assert "392.41" in answer
    assert "calculator" in steps


def test_the_start_command_is_the_one_that_ci_and_readme_share() -> None:
    assert "python -m pip install uv && uv run potluck serve" in README
    assert "uv run pytest" in (PROJECT_DIR / ".ci" / "run").read_text()
