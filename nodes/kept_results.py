"""Where the whole of a tool's result is kept once the model no longer gets it."""

from collections.abc import Mapping
from pathlib import Path

from langchain_core.messages import ToolMessage

from nodes.tool_results import kept_path
from potluck.errors import ToolError
from tools.workspace import Workspace


class KeptResults:
    """Collects the results that are to be kept, and writes them into the thread's workspace.

    Without a thread that is kept nothing is written, and no place is told.
    """

    def __init__(self, home: Path, thread_id: str | None) -> None:
        self._home = home
        self._thread_id = thread_id
        self._waiting: dict[str, str] = {}

    def place(self, message: ToolMessage) -> str | None:
        """The path under which the whole of the result is, or will be after `write`."""
        if self._thread_id is None:
            return None
        text = str(message.text)
        path = kept_path(message, text)
        self._waiting[path] = text
        return path

    def write(self) -> None:
        """Write what is not there yet; what a tool's result was cut from is, and stays."""
        if not self._waiting or self._thread_id is None:
            return
        write_missing(Workspace.for_thread(self._home, self._thread_id), self._waiting)
        self._waiting = {}


def write_missing(workspace: Workspace, texts: Mapping[str, str]) -> None:
    """Write each text that has no file yet; a workspace that takes no more goes without."""
    for path, text in texts.items():
        try:
            workspace.read(path)
        except ToolError:
            try:
                workspace.write(path, text.encode("utf-8", "replace"))
            except ToolError:
                return
