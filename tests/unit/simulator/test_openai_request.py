"""What OpenAI would refuse, the simulator refuses in the same words and shape."""

import httpx
import pytest

from .conftest import Simulator  # type: ignore[import-not-found]

USER = {"role": "user", "content": "Hello"}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
ASKED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "1"}
