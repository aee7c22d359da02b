"""What a client reads where the agent needs a person's approval."""

from collections.abc import Mapping, Sequence

from potluck.server.approvals import Approval, shown

# Long enough to judge a call by; what is left out is said, so that nobody approves it unseen.
SHOWN_CHARS = 20_000


def question(approvals: Sequence[Approval]) -> str:
    """Ask for a decision about each call; the next message in the chat is the answer."""
    if len(approvals) == 1:
        return (
            f"{wish(approvals)}\n\nReply yes to approve, no to reject; whatever "
            "else you say is a no that tells me what to do instead."
        )
    return (
        f"{wish(approvals)}\n\nReply yes to approve all, no to reject all, or say "
        "which, as in: yes 1, no 2. Whatever else you say is a no that tells me what to do instead."
    )


def wish(approvals: Sequence[Approval]) -> str:
    """What is to be run, whole, where the question itself is asked in another way."""
    if len(approvals) == 1:
        return f"I would like to run {_call(approvals[0])}"
    listed = "\n\n".join(f"{number}. {_call(one)}" for number, one in enumerate(approvals, 1))
    return f"I would like to run:\n\n{listed}"


def _call(approval: Approval) -> str:
    why = f"\n\n{approval.description}" if approval.description else ""
    return f"`{approval.name}` with{_arguments(approval.args)}{why}"


def _arguments(args: Mapping[str, object]) -> str:
    if not args:
        return " no arguments."
    text = shown(args)
    hidden = len(text) - SHOWN_CHARS
    if hidden > 0:
        text = f"{text[:SHOWN_CHARS]}\n… and {hidden:,} more characters, which are not shown here"
    fence = "`" * max(3, 1 + _longest_run(text))
    return f":\n\n{fence}text\n{text}\n{fence}"


def _longest_run(text: str) -> int:
    """How many backticks follow each other at most: the fence must be longer."""
    longest = length = 0
    for character in text:
        length = length + 1 if character == "`" else 0
        longest = max(longest, length)
    return longest
