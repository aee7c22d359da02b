from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
import pytest

from potluck.simulator.app import create_app
from potluck.simulator.clock import Clock
from potluck.simulator.log import RequestLog
from potluck.simulator.meter import Meter
from potluck.simulator.script import Script

KEYS = {"authorization": "Bearer made-up", "x-goog-api-key": "made-up"}
CHAT_PATHS = {
    "groq": "/groq/openai/v1/chat/completions",
    "openrouter": "/openrouter/api/v1/chat/completions",
    "cohere": "/cohere/compatibility/v1/chat/completions",
    "cloudflare": "/cloudflare/client/v4/accounts/abc/ai/v1/chat/completions",
}


@dataclass
class Simulator:
    """The simulator's app behind an in-process client."""

    script: Script = field(default_factory=Script)
    log: RequestLog = field(default_factory=RequestLog)
    clock: Clock = field(default_factory=Clock)
    meter: Meter = field(default_factory=lambda: Meter(enforce=False))

    def __post_init__(self) -> None:
        app = create_app(self.script, log=self.log, clock=self.clock, meter=self.meter)
        transport = httpx.ASGITransport(app)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://sim", headers=KEYS)

    async def chat(self, provider: str = "openai", **body: object) -> httpx.Response:
        """A chat completion; says hello unless the body says otherwise."""
        path = CHAT_PATHS.get(provider, f"/{provider}/v1/chat/completions")
        asked = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], **body}
        return await self.client.post(path, json=asked)

    async def generate(self, model: str = "gemini-3.8-flash", **body: object) -> httpx.Response:
        """A generateContent call; says hello unless the body says otherwise."""
        asked = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}], **body}
        path = f"/google_gemini/v1beta/models/{model}:generateContent"
        return await self.client.post(path, json=asked)


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    made = Simulator()
    yield made
    await made.client.aclose()


@pytest.fixture
async def limited() -> AsyncIterator[Simulator]:
    made = Simulator(meter=Meter(enforce=True))
    yield made
    await made.client.aclose()
