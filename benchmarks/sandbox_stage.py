"""What an escape would reach if it worked: a secret file, services, processes, a key."""

import asyncio
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

KEY_NAME = "POTLUCK_STAGE_API_KEY"


@dataclass
class Stage:
    """The things outside, with what of them was reached."""

    values: Mapping[str, str]
    contacts: list[str] = field(default_factory=list)


class _Answer(asyncio.DatagramProtocol):
    def __init__(self, contacts: list[str]) -> None:
        self._contacts = contacts

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override] # what a datagram endpoint gives
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._contacts.append("udp")
        self._transport.sendto(data, addr)


@asynccontextmanager
async def open_stage(workspaces: Path, *, in_user_namespace: bool) -> AsyncIterator[Stage]:
    """Set everything up for as long as the block runs."""
    contacts: list[str] = []
    key, mark = secrets.token_hex(16), f"victim-{secrets.token_hex(6)}"
    folder, secret = _made_folder()

    async def met(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        contacts.append("stream")
        writer.close()

    abstract = f"potluck-{mark}"
    loop = asyncio.get_running_loop()
    tcp = await asyncio.start_server(met, "127.0.0.1", 0)
    unix = await asyncio.start_unix_server(met, folder / "socket")
    (folder / "socket").chmod(0o777)
    hidden = await asyncio.start_unix_server(met, f"\0{abstract}")
    udp, _ = await loop.create_datagram_endpoint(
        lambda: _Answer(contacts), local_addr=("127.0.0.1", 0)
    )
    victim = _started_victim(folder, mark)
    os.environ[KEY_NAME] = key
    try:
        yield Stage(
            {
                "secret_file": str(secret), "secret_name": secret.name,
                "workspaces": str(workspaces),
                "victim_mark": mark, "victim_pid": str(victim.pid), "server_pid": str(os.getpid()),
                "key": key,
                "tcp_port": str(tcp.sockets[0].getsockname()[1]),
                "udp_port": str(udp.get_extra_info("sockname")[1]),
                "unix_socket": str(folder / "socket"), "abstract_socket": abstract,
                "in_user_namespace": str(in_user_namespace),
            },
            contacts,
        )  # fmt: skip
    finally:
        del os.environ[KEY_NAME]
        victim.kill()
        victim.wait()
        udp.close()
        for server in (tcp, unix, hidden):
            server.close()
        await asyncio.to_thread(shutil.rmtree, folder)


def _made_folder() -> tuple[Path, Path]:
    folder = Path(tempfile.mkdtemp(prefix="potluck-stage-"))
    folder.chmod(0o755)
    secret = folder / "secret.txt"
    secret.write_text("the secret")
    return folder, secret


def _started_victim(folder: Path, mark: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)", mark], cwd=folder
    )
