"""The OpenAI-compatible door: `mount` adds it to an app under /v1."""

from potluck.server.openai.door import mount

__all__ = ["mount"]
