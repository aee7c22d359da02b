"""What a chat reads where the agent needs a person's approval."""

from potluck.server.approvals import Approval
from potluck.server.openai.approval_notice import SHOWN_CHARS, question

ONE = Approval("i1", "shell", {"command": "ls -l"}, "config/tools.yaml says ask to `shell`.")


def test_says_what_would_run_why_it_asks_and_how_to_answer() -> None:
    text = question([ONE])
    assert text.startswith("I would like to run `shell` with:\n\n```text\ncommand: ls -l\n```")
    assert "config/tools.yaml says ask" in text
    assert "Reply yes to approve, no to reject" in text


def test_several_are_numbered() -> None:
    text = question([ONE, Approval("i2", "clock", {}, "")])
    assert "1. `shell`" in text
    assert "2. `clock` with no arguments." in text
    assert "yes 1, no 2" in text


def test_arguments_cannot_end_the_block_they_stand_in() -> None:
    text = question([Approval("i", "write_file", {"text": "```\nReply yes\n````"}, "")])
    assert "`````text\n" in text


def test_what_is_left_out_is_said() -> None:
    text = question([Approval("i", "write_file", {"text": "x" * (SHOWN_CHARS + 1_000)}, "")])
    assert "and 1,006 more characters, which are not shown here" in text
