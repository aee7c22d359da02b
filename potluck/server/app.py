"""The FastAPI app with our doors, mounted by the server beside the LangGraph API."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from potluck import engine
from potluck.server import langserve_door, loopback, openai
from potluck.server.address import served


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Build the engine before the first request, recover what was left; close in order."""
    await engine.current()
    if served() is None:
        yield
        return
    from potluck.server.recovery import Recovery  # noqa: PLC0415 - Aegra is not there otherwise

    recovery = Recovery()
    await recovery.start()
    try:
        yield
    finally:
        await recovery.stop()
        await loopback.close()


def create_app() -> FastAPI:
    """Our doors: OpenAI under /v1, LangServe under /agent."""
    made = FastAPI(title="Potluck", lifespan=lifespan)
    openai.mount(made)
    langserve_door.mount(made)
    return made


app = create_app()
