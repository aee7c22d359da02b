"""The unit is one that systemd takes, and leaves the sandbox what it needs."""

import re
import subprocess
import sys
from pathlib import Path

from tests.unit.deploy.stack import DEPLOY, FOREIGN, needed, settings_names

TEXT = (DEPLOY / "systemd" / "potluck.service").read_text("utf-8")


def service() -> dict[str, list[str]]:
    """The words of [Service], each with what was given."""
    found: dict[str, list[str]] = {}
    part = TEXT[TEXT.index("[Service]") : TEXT.index("[Install]")]
    for name, value in re.findall(r"^(\w+)=(.*)$", part, re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


def test_systemd_takes_it(tmp_path: Path) -> None:
    program = needed("systemd-analyze", "`apt install systemd`")
    unit = tmp_path / "potluck.service"
    # systemd looks whether the program is there
    text = TEXT.replace("/opt/potluck/.venv/bin/potluck", sys.executable)
    text = re.sub(r"^Documentation=.*\n", "", text, flags=re.MULTILINE)
    unit.write_text(text, "utf-8")
    done = subprocess.run(
        [program, "verify", "--man=no", str(unit)],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    told = [line for line in done.stderr.splitlines() if "potluck.service" in line]
    assert done.returncode == 0, done.stderr
    assert told == []


def test_its_variables_are_settings() -> None:
    named = {value.partition("=")[0] for value in service()["Environment"]}
    assert {"POTLUCK_HOME", "POTLUCK_ENV_FILE"} <= named
    assert named <= settings_names() | FOREIGN


def test_it_may_write_where_its_data_lies_and_nowhere_else() -> None:
    words = service()
    home = next(v for v in words["Environment"] if v.startswith("POTLUCK_HOME="))
    assert home == f"POTLUCK_HOME=/var/lib/{words['StateDirectory'][0]}"
    assert words["ProtectSystem"] == ["strict"]
    assert "ReadWritePaths" not in words


def test_it_is_nobody_special_and_cannot_become_it() -> None:
    words = service()
    assert words["User"] != ["root"]
    assert words["NoNewPrivileges"] == ["yes"]
    assert words["CapabilityBoundingSet"] == [""]


def test_nothing_forbids_the_sandbox_its_walls() -> None:
    # Each was seen to, or is documented to, make bubblewrap fail as an unprivileged user
    forbidding = {
        "RestrictNamespaces", "ProtectKernelTunables", "ProtectKernelLogs", "ProtectProc",
        "ProcSubset", "SystemCallFilter", "MemoryDenyWriteExecute", "PrivateUsers",
    }  # fmt: skip
    assert not forbidding & set(service())
