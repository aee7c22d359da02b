"""One model on one account: the vendor's LangChain class, built when it is first needed."""

import asyncio
from dataclasses import dataclass, field
from hashlib import sha256

from langchain_core.language_models import BaseChatModel
from pydantic import SecretStr

from potluck.providers.catalog import Model, Provider
from potluck.providers.vendors import build_chat_model, close_chat_model
from potluck.quota.windows import Deployment


@dataclass(slots=True, eq=False)
class Backend:
    """Where a link sends its calls; shared by all calls to that model with that key.

    `timeout_s` is for a whole plain answer, `silence_s` for each chunk of a streamed one;
    `deployment` is whose limits its calls count against.
    """

    provider: Provider
    model: Model
    api_key: SecretStr | None
    base_url: str | None
    account: int = 0
    timeout_s: float = 60.0
    silence_s: float = 30.0
    deployment: Deployment = field(init=False)
    _built: BaseChatModel | None = field(default=None, init=False, repr=False)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock, init=False, repr=False)

    def __post_init__(self) -> None:
        self.deployment = Deployment(self.provider.id, self.model.id, key_id_of(self.api_key))

    async def chat_model(self) -> BaseChatModel:
        """The vendor's chat model. Its first use imports the vendor's package in a thread."""
        if self._built is not None:
            return self._built
        async with self._lock:
            if self._built is None:
                # An import never hangs on the network, so it needs no timeout of its own
                self._built = await asyncio.to_thread(self._build)
        return self._built

    def _build(self) -> BaseChatModel:
        return build_chat_model(
            self.provider,
            self.model,
            api_key=self.api_key,
            base_url=self.base_url,
            timeout_s=self.timeout_s,
        )

    async def aclose(self) -> None:
        """Close the connections, if any were opened."""
        built, self._built = self._built, None
        if built is not None:
            async with asyncio.timeout(5):
                await close_chat_model(built)


def key_id_of(key: SecretStr | None) -> str:
    """The fingerprint that tells the accounts of a provider apart; nothing without a key."""
    if key is None or not key.get_secret_value():
        return ""
    return sha256(key.get_secret_value().encode()).hexdigest()[:8]
