"""A thread's files go when the thread goes."""

import asyncio
from pathlib import Path

import structlog
from aegra_api.core.database import db_manager

from potluck.sandbox.deletion import delete_tree
from potluck.sandbox.runner import Runner
from tools.workspace import folder_of

logger = structlog.get_logger(__name__)


def delete_with_threads(home: Path, runner: Runner) -> None:
    """From now on, whoever deletes a thread's checkpoints deletes its workspace, too.

    Code of the thread's that still runs is ended first.

    Every way in which Aegra deletes a thread (the route, stateless runs, expiry) leads there.
    """
    saver = db_manager.get_checkpointer()
    delete_checkpoints = saver.adelete_thread

    async def delete_thread(thread_id: str) -> None:
        await delete_checkpoints(thread_id)
        folder = folder_of(home, thread_id)
        await runner.forget(folder)
        await asyncio.to_thread(_delete_folder, folder)

    saver.adelete_thread = delete_thread


def _delete_folder(folder: Path) -> None:
    try:
        delete_tree(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        logger.warning("workspace not deleted", folder=str(folder), reason=str(error))
