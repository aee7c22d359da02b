"""The guard where LangGraph's development server carries our doors: with keys, none is open."""

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from potluck import engine
from potluck.server.address import served
from potluck.server.auth_keys import Keyring
from potluck.server.guard import NOBODY, Guard, forbidden
from potluck.server.ownership import caller

# How that server calls itself in-process; no request from outside has it.
_INSIDE = "/noauth"
_ALIVE = "/ok"
_THEIRS = re.compile(
    r"/(threads|runs|assistants|store|crons|info|docs|openapi\.json|mcp|a2a|ui|metrics)(/|$)"
)
_FOR_ADMINS = (
    "Under LangGraph's development server this door keeps no users apart: use a key with the role "
    "admin (name:secret:admin), or `potluck serve`."
)


class GuardElsewhere:
    """ASGI middleware: with keys, lets through who has one; to our own doors only admins.

    What these make has no owner there. The LangGraph API keeps users apart by
    `potluck.server.auth`. Under `potluck serve`, whose guard stands before everything, it does
    nothing.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._guard: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401, 403 or 429, or pass the request on."""
        is_inside = str(scope.get("root_path") or "").startswith(_INSIDE)
        if scope["type"] == "lifespan" or served() is not None or is_inside:
            await self.app(scope, receive, send)
            return
        if self._guard is None:
            self._guard = await self._made()
        await self._guard(scope, receive, send)

    async def _made(self) -> ASGIApp:
        settings = (await engine.current()).settings
        if not settings.potluck_api_keys:
            return self.app
        return Guard(self._of_their_own, keyring=Keyring.of(settings), open_paths=(_ALIVE,))

    async def _of_their_own(self, scope: Scope, receive: Receive, send: Send) -> None:
        who = caller()
        is_ours = _THEIRS.match(scope["path"]) is None
        if is_ours and who is not None and who != NOBODY and who.role != "admin":
            await forbidden(_FOR_ADMINS)(scope, receive, send)
            return
        await self.app(scope, receive, send)
