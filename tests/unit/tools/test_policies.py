"""config/tools.yaml: which calls run, which ask, which never run."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potluck.errors import ConfigError
from tools.policies import Policies
from tools.tools_file import Policy, Rules, read_tools_file

KNOWN = ["shell", "write_file", "read_file"]


def load(tmp_path: Path, text: str) -> Policies:
    (tmp_path / "tools.yaml").write_text(text)
    return read(tmp_path)


def read(tmp_path: Path) -> Policies:
    form = read_tools_file(tmp_path, KNOWN)
    return Policies.of(form)


def rule(policies: Policies, command: str, own: Policy = "ask") -> str:
    return policies.rule("shell", {"command": command}, own).policy


def test_without_a_file_each_tool_keeps_its_own_policy(tmp_path: Path) -> None:
    policies = read(tmp_path)
    assert rule(policies, "ls") == "ask"
    assert policies.rule("read_file", {}, "allow").policy == "allow"


def test_a_tool_is_named_with_one_word(tmp_path: Path) -> None:
    policies = load(tmp_path, "tools: {shell: deny, write_file: ask}")
    assert rule(policies, "ls") == "deny"
    assert policies.is_denied("shell", "ask")
    assert policies.rule("write_file", {}, "allow").policy == "ask"


LISTED = """
tools:
  shell:
    policy: ask
    allow: [{command: ls}, {command: ls *}, {command: git log *}, {command: "re:wc -[lwc] [a-z]+"}]
    deny: [{command: "*rm -rf*"}]
"""


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("ls", "allow"),
        ("ls -la src", "allow"),
        ("lsof", "ask"),
        ("wc -l notes", "allow"),
        ("wc -l notes; id", "ask"),
        ("ls; id", "ask"),
        ("ls && id", "ask"),
        ("ls $(id)", "ask"),
        ("ls `id`", "ask"),
        ("ls > /etc/passwd", "ask"),
        ("ls \nid", "ask"),
        ("git log | sh", "ask"),
        ("sudo rm -rf /", "deny"),
        ("ls; rm -rf /", "deny"),
        ("ls\nrm -rf /", "deny"),
        ("anything else", "ask"),
    ],
)
def test_a_command_list_lets_through_what_it_names_and_nothing_behind_it(
    tmp_path: Path, command: str, expected: str
) -> None:
    assert rule(load(tmp_path, LISTED), command) == expected


@given(tail=st.text(max_size=20), operator=st.sampled_from(list(";&|<>$`()\n")))
def test_no_shell_operator_slips_through_an_allowed_star(tail: str, operator: str) -> None:
    listed = Rules(policy="ask", allow=[{"command": "ls *"}])
    assert rule(Policies(tools={"shell": listed}), f"ls {operator}{tail}") == "ask"


def test_a_pattern_of_several_arguments_needs_all_of_them(tmp_path: Path) -> None:
    policies = load(tmp_path, "tools: {write_file: {deny: [{path: '*.py', text: '*os*'}]}}")
    assert policies.rule("write_file", {"path": "a.py", "text": "import os"}, "allow").policy == (
        "deny"
    )
    assert policies.rule("write_file", {"path": "a.py"}, "allow").policy == "allow"


def test_a_default_only_makes_stricter(tmp_path: Path) -> None:
    policies = load(tmp_path, "default: ask\ntools: {read_file: allow}")
    assert policies.rule("write_file", {}, "allow").policy == "ask"
    assert policies.rule("write_file", {}, "deny").policy == "deny"
    assert policies.rule("read_file", {}, "allow").policy == "allow"


def test_names_may_be_patterns(tmp_path: Path) -> None:
    policies = load(tmp_path, "tools: {'mcp_*': deny}")
    assert policies.rule("mcp_github_push", {}, "allow").policy == "deny"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tools: {shel: deny}", "There is no tool `shel`"),
        ("tools: {shell: maybe}", "tools.yaml:1"),
        ("tools:\n  shell:\n    alow: []", "Did you mean `allow`"),
        ("tools:\n  shell:\n    allow: [{command: 're:('}]", "no regular expression"),
        ("tools:\n  shell:\n    allow: [{}]", "empty pattern"),
        ("tools: [", "not valid YAML"),
        ("default: sometimes", "tools.yaml:1"),
    ],
)
def test_a_slip_stops_the_start_with_its_place(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=r"tools\.yaml") as caught:
        load(tmp_path, text)
    assert says in str(caught.value)
