"""Where tasks are played: a fresh workspace each, pages, and what must stay untouched beside it."""

import asyncio
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from potluck.evaluation.checks import files_in, wrong_in
from potluck.evaluation.record import Record
from potluck.evaluation.site import Site
from potluck.evaluation.situation import SITE
from potluck.evaluation.task import HiddenTest, Task
from potluck.sandbox.runner import Runner
from tools.workspace import Workspace, folder_of

TEST_TIMEOUT_S = 30.0
NEIGHBOUR = "eval-neighbour"
UNTOUCHED = "Not a task's business.\n"


@dataclass(frozen=True, slots=True)
class Stage:
    """Sets tasks up under `home`, and checks afterwards what has become of them."""

    home: Path
    site: Site
    runner: Runner

    async def set_up(self, task: Task) -> "Scene":
        """A workspace that holds the task's files, and its pages."""
        self.site.show(task.pages, down_first=task.down_first)
        thread = f"eval-{uuid4().hex[:16]}"
        await asyncio.to_thread(self._write, thread, task.given)
        await asyncio.to_thread(self._write, NEIGHBOUR, {"keep.txt": UNTOUCHED})
        return Scene(self, task, thread)

    def _write(self, thread: str, files: Mapping[str, str]) -> None:
        workspace = Workspace.for_thread(self.home, thread)
        for path, text in files.items():
            workspace.write(path, text.encode())


@dataclass(frozen=True, slots=True)
class Scene:
    """One task, set up."""

    stage: Stage
    task: Task
    thread: str

    @property
    def request(self) -> str:
        """What the agent is asked."""
        return self.task.request.replace(SITE, self.stage.site.url)

    @property
    def folder(self) -> Path:
        """The workspace."""
        return folder_of(self.stage.home, self.thread)

    async def judge(self, record: Record) -> tuple[str, ...]:
        """All that is wrong with what has happened."""
        files = await asyncio.to_thread(files_in, self.folder)
        wrong = list(wrong_in(self.task, record, files))
        beside = await asyncio.to_thread(files_in, folder_of(self.stage.home, NEIGHBOUR))
        if beside != {"keep.txt": UNTOUCHED.encode()}:
            wrong.append("another thread's workspace was touched")
        test = self.task.checks.test
        if test is not None and not await self._passes(test, files):
            wrong.append("the hidden test fails")
        return tuple(wrong)

    async def clear(self) -> None:
        """Take everything away again."""
        await self.stage.runner.forget(self.folder)
        await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)

    async def _passes(self, test: HiddenTest, files: Mapping[str, bytes]) -> bool:
        copy = f"{self.thread}-test"
        folder = folder_of(self.stage.home, copy)
        given = {path: content for path, content in files.items() if not path.endswith(".pyc")}
        given |= {path: text.encode() for path, text in test.files.items()}
        workspace = await asyncio.to_thread(Workspace.for_thread, self.stage.home, copy)
        for path, content in given.items():
            await asyncio.to_thread(workspace.write, path, content)
        try:
            outcome = await self.stage.runner.shell(folder, test.command, timeout_s=TEST_TIMEOUT_S)
        finally:
            await self.stage.runner.forget(folder)
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        return outcome.error is None and not outcome.exit_code and outcome.stopped is None
