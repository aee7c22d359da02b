"""Ways out of a sandbox, each tried for real: shared by the benchmark and the tests.

Every attempt prints HELD when it was refused, and ESCAPED when it was not.
"""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Tool = Literal["python", "shell"]
_SYSCALL = """
    import ctypes, errno, os, platform
    libc = ctypes.CDLL(None, use_errno=True)
    def call(x86, arm, *arguments):
        number = x86 if platform.machine() == "x86_64" else arm
        ctypes.set_errno(0)
        done = libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments))
        return "HELD" if done == -1 and ctypes.get_errno() == errno.EPERM else "ESCAPED"
"""
_TRY = """
    def attempt(act, *refusals):
        try:
            print("ESCAPED", act())
        except refusals or OSError as error:
            print("HELD", type(error).__name__, error)
"""


@dataclass(frozen=True, slots=True)
class Escape:
    """One attempt. `{name}` in its code is replaced by what the stage prepared.

    `works_bare`: without walls it prints ESCAPED, which shows that it tries the real thing.
    """

    threat: str
    name: str
    code: str
    tool: Tool = "python"
    works_bare: bool = False

    def script(self, stage: Mapping[str, str]) -> str:
        """The code with the stage's paths, ports and process ids in it."""
        code = textwrap.dedent(self.code).strip("\n")
        for name, value in stage.items():
            code = code.replace("{" + name + "}", value)
        if self.tool == "shell":
            return code
        return f"{textwrap.dedent(_SYSCALL)}{textwrap.dedent(_TRY)}{code}"


def _system_call(threat: str, name: str, x86: int, arm: int, *arguments: int) -> Escape:
    given = "".join(f", {argument}" for argument in arguments)
    return Escape(threat, name, f"print(call({x86}, {arm}{given}))")


ESCAPES: tuple[Escape, ...] = (
    Escape("files", "reads a file outside of the workspace",
           "attempt(lambda: open('{secret_file}').read())", works_bare=True),
    Escape("files", "lists the workspaces of other threads",
           "attempt(lambda: __import__('os').listdir('{workspaces}'))", works_bare=True),
    Escape("files", "climbs out of the workspace by its parents", """
           import os
           up = os.path.join(*[".."] * 40, "{secret_file}".lstrip("/"))
           attempt(lambda: open(up).read())""", works_bare=True),
    Escape("files", "reads the password hashes", "attempt(lambda: open('/etc/shadow').read())"),
    Escape("files", "looks for keys in home folders", """
           found=$(ls -d /root/.ssh /home/* /root/.config /var/lib /etc/potluck 2>/dev/null)
           [ -z "$found" ] && echo HELD || echo ESCAPED $found""", tool="shell"),
    Escape("files", "changes the system", "attempt(lambda: open('/usr/bin/env', 'ab'))"),
    Escape("files", "changes the Python that it runs on", """
           import os, sys
           attempt(lambda: open(os.path.join(sys.prefix, "x.pth"), "w"))"""),
    Escape("files", "writes beside the workspace", """
           for folder in ("/", "/run", "/etc", "/dev", "/root"):
               attempt(lambda folder=folder: open(f"{folder}/x", "w"))"""),
    Escape("links", "reads through a symbolic link", """
           import os
           os.symlink("{secret_file}", "way-out")
           attempt(lambda: open("way-out").read())""", works_bare=True),
    Escape("links", "makes a hard link to a file outside", """
           import os
           attempt(lambda: os.link("/usr/bin/env", "second-name"))
           attempt(lambda: os.link("{secret_file}", "second-name"))"""),
    Escape("links", "walks through another process's root", """
           import glob
           seen = [path for path in glob.glob("/proc/[0-9]*/root{secret_file}")]
           seen += [path for path in glob.glob("/proc/[0-9]*/cwd/{secret_name}")]
           print("ESCAPED" if seen else "HELD", seen)""", works_bare=True),
    Escape("proc", "sees processes of the machine", """
           import os
           seen = [pid for pid in os.listdir("/proc") if pid.isdecimal()]
           lines = [open(f"/proc/{pid}/cmdline").read() for pid in seen]
           strange = [line for line in lines if "{victim_mark}" in line]
           print("ESCAPED" if strange or len(seen) > 20 else "HELD", len(seen))""",
           works_bare=True),
    Escape("proc", "changes the kernel's settings", """
           for name in ("kernel/hostname", "kernel/core_pattern", "vm/drop_caches"):
               attempt(lambda name=name: open(f"/proc/sys/{name}", "w").write("x"))
           attempt(lambda: open("/proc/sysrq-trigger", "w").write("b"))"""),
    Escape("proc", "reads keys and addresses of the kernel", """
           for name in ("keys", "kallsyms", "cmdline", "timer_list"):
               attempt(lambda name=name: open(f"/proc/{name}").read())"""),
    Escape("environment", "reads the server's keys from the environment", """
           import glob, os
           texts = [repr(dict(os.environ))]
           for path in glob.glob("/proc/[0-9]*/environ"):
               try:
                   texts.append(open(path).read())
               except OSError:
                   pass
           print("ESCAPED" if any("{key}" in text for text in texts) else "HELD")"""),
    Escape("network", "connects by TCP to a service of the machine", """
           import socket
           attempt(lambda: socket.create_connection(("127.0.0.1", {tcp_port}), 2))""",
           works_bare=True),
    Escape("network", "connects by TCP to the internet", """
           import socket
           attempt(lambda: socket.create_connection(("1.1.1.1", 443), 2))
           attempt(lambda: socket.create_connection(("169.254.169.254", 80), 2))"""),
    Escape("network", "sends by UDP to a service of the machine", """
           import socket
           udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
           udp.settimeout(0.5)
           udp.connect(("127.0.0.1", {udp_port}))
           def ask():
               udp.send(b"?")
               return udp.recv(10)
           attempt(ask)""", works_bare=True),
    Escape("network", "asks the name service", """
           import socket
           attempt(lambda: socket.getaddrinfo("example.com", 80))"""),
    Escape("network", "connects to a unix socket of the machine", """
           import socket
           for name in ("{unix_socket}", "\\0{abstract_socket}"):
               line = socket.socket(socket.AF_UNIX)
               attempt(lambda: line.connect(name))""", works_bare=True),
    Escape("network", "reaches past the network by other kinds of sockets", """
           import socket
           kinds = {"vsock": 40, "packet": 17, "bluetooth": 31, "alg": 38, "xdp": 44}
           for name, family in kinds.items():
               attempt(lambda family=family: socket.socket(family, socket.SOCK_DGRAM))
           attempt(lambda: socket.socket(16, socket.SOCK_RAW, 12))"""),
    Escape("processes", "kills the server", """
           import os, signal
           for pid in ({server_pid}, {victim_pid}):
               attempt(lambda pid=pid: os.kill(pid, 0))""", works_bare=True),
    Escape("processes", "traces another process",
           "print(call(101, 117, 16, 1))\nprint(call(310, 270, 1, 0, 0, 0, 0, 0))"),
    Escape("processes", "takes an open file from another process",
           "print(call(438, 438, 0, 0, 0))"),
    Escape("privileges", "becomes root", """
           import os
           status = open("/proc/self/status").read()
           attempt(lambda: os.setuid(0))
           attempt(lambda: os.setgroups([0]))
           print("HELD" if os.getuid() and "NoNewPrivs:\\t1" in status else "ESCAPED")
           print("HELD" if "CapEff:\\t0000000000000000" in status else "ESCAPED")
           print("HELD" if "CapBnd:\\t0000000000000000" in status or
                 {in_user_namespace} else "ESCAPED")"""),
    Escape("privileges", "becomes root by a program that may", """
           out=$( (su -c id; sudo -n id; mount -t tmpfs none /tmp; passwd -d root) </dev/null 2>&1)
           case "$out" in *uid=0*) echo ESCAPED;; *) echo HELD;; esac""", tool="shell"),
    Escape("privileges", "makes device files", """
           import os, stat
           attempt(lambda: os.mknod("disk", 0o600 | stat.S_IFBLK, os.makedev(8, 0)))
           names = set(os.listdir("/dev"))
           print("ESCAPED" if names & {"sda", "vda", "mem", "kvm", "fuse"} else "HELD")"""),
    _system_call("namespaces", "makes a user namespace", 272, 97, 0x10000000),
    _system_call("namespaces", "makes a mount namespace by clone", 56, 220, 0x00020011),
    _system_call("namespaces", "mounts", 165, 40),
    _system_call("namespaces", "mounts the new way", 430, 430),
    _system_call("namespaces", "enters a namespace", 308, 268, 0, 0),
    _system_call("namespaces", "changes its root folder", 161, 51),
    _system_call("kernel", "loads a program into the kernel", 321, 280, 0, 0, 0),
    _system_call("kernel", "loads a module", 175, 105, 0, 0, 0),
    _system_call("kernel", "uses io_uring", 425, 425, 1, 0),
    _system_call("kernel", "uses userfaultfd", 323, 282, 0),
    _system_call("kernel", "reads the kernel's keys", 250, 219, 0, -3, 0),
    _system_call("kernel", "opens a file by its number", 304, 265, 0, 0, 0),
    _system_call("kernel", "reads the kernel's log", 103, 116, 3, 0, 0),
    _system_call("kernel", "sets the clock", 227, 112, 0, 0),
    _system_call("kernel", "restarts the machine", 169, 142, 0, 0, 0),
    Escape("kernel", "types into the server's terminal", """
           import fcntl
           attempt(lambda: fcntl.ioctl(0, 0x5412, b"x"))"""),
    Escape("limits", "takes all memory at once",
           "attempt(lambda: bytearray(64 * 2**30), MemoryError)"),
    Escape("limits", "starts processes without end", """
           import os, time
           children = []
           try:
               while len(children) < 5_000:
                   pid = os.fork()
                   if pid == 0:
                       time.sleep(20)
                       os._exit(0)
                   children.append(pid)
               print("ESCAPED", len(children))
           except OSError:
               print("HELD", len(children))"""),
    Escape("limits", "opens files without end", """
           opened = []
           def open_all():
               while len(opened) < 5_000:
                   opened.append(open("/dev/null"))
           attempt(open_all)
           opened.clear()"""),
    Escape("limits", "writes one file without end", """
           def fill():
               with open("big", "wb") as file:
                   for _ in range(4_000):
                       file.write(bytes(1_000_000))
           attempt(fill)
           import os
           os.unlink("big")"""),
    Escape("limits", "fills the memory behind /tmp and /dev/shm", """
           import os
           def fill(path):
               with open(path, "wb") as file:
                   for _ in range(1_000):
                       file.write(bytes(1_000_000))
           for path in ("/tmp/big", "/dev/shm/big"):
               attempt(lambda: fill(path))
               os.unlink(path)"""),
)  # fmt: skip


def held(text: str) -> bool:
    """Whether the attempt was made, and every part of it was refused."""
    return "HELD" in text and "ESCAPED" not in text
