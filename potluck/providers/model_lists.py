"""What a provider serves today, by its own list of models."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr, ValidationError

from potluck.errors import ErrorKind, ErrorScope, ProviderError, ProviderFault
from potluck.providers.catalog import Api, Capability, ProviderStatus
from potluck.providers.errors import classify
from potluck.providers.model_list_form import ListedModel, Page

_CLOUDFLARE = "api.cloudflare.com"
_COHERE = frozenset({"api.cohere.ai", "api.cohere.com"})
_MOST_PAGES = 20
_FAILURES = (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValidationError)
_SIGN_IN_KINDS = frozenset({ErrorKind.AUTH, ErrorKind.CREDITS})


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One model that a provider serves; None: its list does not say."""

    id: str
    aliases: frozenset[str] = frozenset()
    context: int | None = None
    capabilities: frozenset[Capability] | None = None
    chats: bool | None = None
    free: bool | None = None
    replacement: str | None = None

    def is_called(self, name: str) -> bool:
        """Whether it answers to this name; Ollama's `name` and `name:latest` are one."""
        names = {self.id, self.id.removesuffix(":latest"), *self.aliases}
        return name in names


@dataclass(frozen=True, slots=True)
class ModelList:
    """What one provider serves."""

    provider: str
    models: tuple[ServedModel, ...] = ()

    def find(self, name: str) -> ServedModel | None:
        """The model of that name."""
        return next((model for model in self.models if model.is_called(name)), None)


@dataclass(frozen=True, slots=True)
class _Request:
    """How to ask for the list: where, with which query, which header says who asks."""

    url: str
    key_header: str = "authorization"
    query: Mapping[str, str | int] = field(default_factory=dict)
    page_query: str | None = None

    def headers(self, key: SecretStr | None) -> dict[str, str]:
        """The header that holds the key, if there is one."""
        if key is None:
            return {}
        bearer = "Bearer " if self.key_header == "authorization" else ""
        return {self.key_header: f"{bearer}{key.get_secret_value()}"}


class _EmptyListError(Exception):
    """A list of nothing, which would make every model of the catalog look gone."""


async def fetch_model_list(
    status: ProviderStatus,
    *,
    now: datetime,
    timeout_s: float = 20.0,
    transport: httpx.AsyncBaseTransport | None = None,
) -> ModelList:
    """Ask the provider for its models, with its first key that is let in.

    Raises ProviderError, whose model is empty: the list itself could not be had.
    """
    failure: ProviderError | None = None
    for key in status.keys or (None,):
        try:
            async with asyncio.timeout(timeout_s):
                return await _fetch(status, key, transport)
        except (*_FAILURES, _EmptyListError) as error:
            failure = _understood(error, status, now, timeout_s)
            if failure.kind not in _SIGN_IN_KINDS:
                break
    raise failure or ProviderError(
        status.provider.id, "", ProviderFault(ErrorKind.AUTH, ErrorScope.KEY, "it has no key")
    )


async def _fetch(
    status: ProviderStatus, key: SecretStr | None, transport: httpx.AsyncBaseTransport | None
) -> ModelList:
    address = status.base_url or status.provider.base_url or ""
    request = _request(status.provider.api, address)
    query = dict(request.query)
    listed: list[ListedModel] = []
    # A proxy from the environment would be asked for this machine's own ports
    local = urlsplit(address).hostname in {"127.0.0.1", "localhost", "::1"}
    async with httpx.AsyncClient(transport=transport, trust_env=not local, timeout=None) as client:  # noqa: S113 # the caller's asyncio.timeout is over all pages
        for _ in range(_MOST_PAGES):
            response = await client.get(request.url, params=query, headers=request.headers(key))
            response.raise_for_status()
            page = Page.model_validate_json(response.content)
            listed += page.models
            if request.page_query is None or not page.next_page:
                break
            query[request.page_query] = page.next_page
    if not listed:
        raise _EmptyListError
    return ModelList(status.provider.id, _merged(listed))


def _request(api: Api, address: str) -> _Request:
    if api == "gemini":
        base = address.rstrip("/").removesuffix("/v1beta")
        return _Request(
            f"{base}/v1beta/models",
            key_header="x-goog-api-key",
            query={"pageSize": 1000},
            page_query="pageToken",
        )
    if api == "ollama":
        return _Request(f"{address.rstrip('/')}/api/tags")
    if api == "groq":
        base = address.rstrip("/").removesuffix("/openai/v1")
        return _Request(f"{base}/openai/v1/models")
    host = urlsplit(address).hostname
    if host in _COHERE:
        query = {"page_size": 1000}
        return _Request(f"{address.rstrip('/')}/models", query=query, page_query="page_token")
    if host == _CLOUDFLARE:
        # Its OpenAI-compatible address has no list
        base = address.rstrip("/").removesuffix("/v1")
        return _Request(f"{base}/models/search", query={"per_page": 1000})
    return _Request(f"{address.rstrip('/')}/models")


def _merged(listed: Sequence[ListedModel]) -> tuple[ServedModel, ...]:
    """Each model once, as its first entry describes it."""
    models: dict[str, ServedModel] = {}
    for entry in (entry for entry in listed if entry.is_served):
        models.setdefault(
            entry.name,
            ServedModel(
                id=entry.name,
                aliases=frozenset(entry.aliases),
                context=entry.context,
                capabilities=entry.capabilities,
                chats=entry.chats,
                free=entry.free,
                replacement=entry.replacement,
            ),
        )
    return tuple(models.values())


def _understood(
    error: Exception, status: ProviderStatus, now: datetime, timeout_s: float
) -> ProviderError:
    provider, kind = status.provider.id, ErrorKind.UNKNOWN
    match error:
        case TimeoutError():
            kind = ErrorKind.TIMEOUT
            message = f"it did not send its list of models within {timeout_s:g} s"
        case ValidationError():
            message = "what it answers is not a list of models"
        case _EmptyListError():
            message = "its list of models is empty"
        case httpx.HTTPStatusError() if error.response.status_code in (404, 405):
            message = f"it has no list of models at {error.request.url.copy_with(query=None)}"
        case _:
            return classify(error, provider=provider, model="", now=now)
    return ProviderError(provider, "", ProviderFault(kind, ErrorScope.PROVIDER, message))
