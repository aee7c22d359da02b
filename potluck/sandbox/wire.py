"""The line to a kernel: Jupyter's messages over unix sockets, from a side that trusts nothing."""

import asyncio
import contextlib
import json
import secrets
import socket
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zmq
import zmq.asyncio
from jupyter_client.session import Session

CHANNELS = ("shell", "iopub", "control", "stdin", "hb")
_POLL_S = 0.005
_READY_S = 0.25


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the kernel: its type, the request that it belongs to, and what it says."""

    kind: str
    parent: str
    content: Mapping[str, object]


class LineBrokenError(Exception):
    """What came is no message, or the line is gone."""


class Wire:
    """Three sockets of one kernel. They connect once and never again.

    Otherwise code in the sandbox could put a link in the place of its socket, and have us talk to
    any other socket of this machine.
    """

    def __init__(self, folder: Path, *, message_bytes: int) -> None:
        self._folder = folder
        self._session = Session(key=secrets.token_hex(32).encode(), signature_scheme="hmac-sha256")
        self._context = zmq.asyncio.Context()
        self._context.setsockopt(zmq.RECONNECT_IVL, -1)
        self._context.setsockopt(zmq.MAXMSGSIZE, message_bytes)
        self._context.setsockopt(zmq.LINGER, 0)
        self._shell: zmq.asyncio.Socket | None = None
        self._iopub: zmq.asyncio.Socket | None = None
        self._control: zmq.asyncio.Socket | None = None

    def connection_file(self, folder_seen: str) -> str:
        """What the kernel has to know, with the folder as it sees it."""
        ports = {f"{channel}_port": number for number, channel in enumerate(CHANNELS, start=1)}
        return json.dumps({
            "transport": "ipc", "ip": f"{folder_seen}/k", "key": self._session.key.decode(),
            "signature_scheme": "hmac-sha256", "kernel_name": "python3", **ports,
        })  # fmt: skip

    async def open(self) -> None:
        """Connect as soon as the kernel listens, and wait until it answers. Give it a timeout."""
        for channel in ("shell", "iopub", "control"):
            while not await asyncio.to_thread(_listens, self._path(channel)):  # noqa: ASYNC110 - a file system has no event
                await asyncio.sleep(_POLL_S)
        self._iopub = self._connected(zmq.SUB, "iopub")
        self._iopub.setsockopt(zmq.SUBSCRIBE, b"")
        self._shell = self._connected(zmq.DEALER, "shell")
        self._control = self._connected(zmq.DEALER, "control")
        while True:
            asked = self.ask("kernel_info_request", {})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_READY_S):
                    while not is_idle(await self.output(), asked):
                        pass
                    return

    def ask(self, kind: str, content: dict[str, object]) -> str:
        """Send a request to the kernel; gives its id."""
        return self._send(self._shell, kind, content)

    def interrupt(self) -> None:
        """Have the kernel interrupt itself."""
        self._send(self._control, "interrupt_request", {})

    async def output(self) -> Message:
        """The next message that the kernel tells everybody."""
        return await self._next(self._iopub)

    async def reply(self, request: str) -> Message:
        """The answer to a request; older ones are thrown away."""
        while True:
            message = await self._next(self._shell)
            if message.parent == request and message.kind.endswith("_reply"):
                return message

    def close(self) -> None:
        """Close the line; at once and for good."""
        self._context.destroy(linger=0)

    def _connected(self, kind: int, channel: str) -> zmq.asyncio.Socket:
        made: zmq.asyncio.Socket = self._context.socket(kind)
        made.connect(f"ipc://{self._path(channel)}")
        return made

    def _path(self, channel: str) -> Path:
        return self._folder / f"k-{CHANNELS.index(channel) + 1}"

    def _send(self, line: zmq.asyncio.Socket | None, kind: str, content: dict[str, object]) -> str:
        if line is None or line.closed:
            raise LineBrokenError("the line is closed")
        # Its parts are a list of bytes; the copy that Session.send makes for itself costs more
        message = self._session.msg(kind, content)
        parts: list[bytes] = self._session.serialize(message)
        try:
            # An ordinary socket over the same line: sends at once or not at all
            zmq.Socket.shadow(line.underlying).send_multipart(parts, zmq.NOBLOCK)
        except zmq.ZMQError as error:
            raise LineBrokenError(str(error)) from error
        return str(message["header"]["msg_id"])

    async def _next(self, line: zmq.asyncio.Socket | None) -> Message:
        while True:
            if line is None or line.closed:
                raise LineBrokenError("the line is closed")
            try:
                parts = await line.recv_multipart()
            except zmq.ZMQError as error:
                raise LineBrokenError(str(error)) from error
            message = self._read(parts)
            if message is not None:
                return message

    def _read(self, parts: list[bytes]) -> Message | None:
        """The message in these parts; None for one that is not of the kernel's making."""
        try:
            _, signed = self._session.feed_identities(parts)
            # Untyped: a dict as JSON gives it
            read: dict[str, Any] = self._session.deserialize(signed)
            parent = read["parent_header"].get("msg_id")
            content = read["content"]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None
        if not isinstance(content, dict):
            return None
        return Message(str(read.get("msg_type")), str(parent), content)


def is_idle(message: Message, request: str) -> bool:
    """Whether this says that the kernel has done with a request, and told all its output."""
    return (
        message.kind == "status"
        and message.parent == request
        and message.content.get("execution_state") == "idle"
    )


def _listens(path: Path) -> bool:
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return False
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(0)
            probe.connect(str(path))
    except OSError:
        return False
    return True
