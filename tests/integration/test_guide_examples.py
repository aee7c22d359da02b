"""Examples of the guides that need a server or a sandbox, as they stand there."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo

from potluck.settings import PROJECT_DIR
from tools.postgres import ask_postgres

pytestmark = pytest.mark.integration


def example(page: str, language: str) -> str:
    """The only example of the page in that language, without its indentation."""
    text = (PROJECT_DIR / "docs" / page).read_text("utf-8")
    [(indent, block)] = re.findall(
        rf"^( *)```{language}\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL
    )
    return re.sub(rf"^{indent}", "", block, flags=re.MULTILINE)


def test_a_test_with_the_simulator_works_as_written() -> None:
    question = {"model": "m", "messages": [{"role": "user", "content": "What is 17*23?"}]}
    marked = "    ...  # point something at simulator.url\n"
    code = example("simulator.md", "python")
    assert marked in code

    def ask(url: str) -> None:
        path = "/together/v1/chat/completions"
        headers = {"Authorization": "Bearer any"}
        httpx.post(url + path, json=question, headers=headers).raise_for_status()

    written = code.replace(marked, "    ask(simulator.url)\n")
    exec(compile(written, "simulator.md", "exec"), {"ask": ask})  # noqa: S102 - our own guide


async def test_the_role_of_the_guide_reads_and_is_taken(postgres_url: str) -> None:
    async with await AsyncConnection.connect(postgres_url) as connection:
        # Other tests on this server may have made a role of that name
        await connection.execute("DROP SCHEMA IF EXISTS shop CASCADE")
        await connection.execute("DROP ROLE IF EXISTS agent")
        await connection.execute("CREATE TABLE public.guide AS SELECT 'sencha' AS tea")
        for statement in example("tools.md", "sql").split(";"):
            if statement.strip():
                await connection.execute(statement.encode())
    try:
        url = make_conninfo(postgres_url, user="agent")
        assert "sencha" in str(await ask_postgres(url, "SELECT tea FROM public.guide"))
    finally:
        async with await AsyncConnection.connect(postgres_url) as connection:
            await connection.execute("DROP TABLE public.guide")
            await connection.execute("DROP ROLE agent")


def test_the_environment_for_code_is_made_by_commands_that_uv_knows(tmp_path: Path) -> None:
    if shutil.which("uv") is None:
        pytest.skip("uv is not installed")
    first, second = (
        line.replace("/opt/analysis", str(tmp_path / "analysis")).split()
        for line in example("tools.md", "sh").splitlines()
    )
    # Whichever Python is here, and nothing from the network
    made = _run([sys.executable if word == "3.12" else word for word in first])
    assert made.returncode == 0, made.stderr
    tried = _run([*second, "--dry-run", "--no-index"])
    assert "No solution found" in tried.stderr or "not found" in tried.stderr, tried.stderr


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, "--offline"], capture_output=True, text=True, timeout=30, check=False
    )
