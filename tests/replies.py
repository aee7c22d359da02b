"""What models are made to say in the tests of many doors."""

from potluck.simulator.reply import Fault, Reply
from potluck.simulator.request import ModelRequest, ToolCall


def out_of_quota(for_s: float) -> Reply:
    """No figures, from which more would be learned than when to ask again."""
    error = {"message": f"Too many concurrent requests. Please try again in {for_s:g}s."}
    headers = {"retry-after": f"{for_s:g}"}
    return Reply(fault=Fault(status=429, body={"error": error}, headers=headers))


def write(path: str, text: str = "new", **more: object) -> ToolCall:
    return ToolCall("write_file", {"path": path, "text": text, **more})


def answering(request: ModelRequest) -> Reply:
    return Reply(text=f"Re: {request.last_user_text}")
