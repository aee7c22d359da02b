"""The services whose API is told by a name, an address or a key: what short entries leave out."""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from potluck.providers.catalog import Api

OLLAMA_PORT = 11434


@dataclass(frozen=True, slots=True)
class Service:
    """How one service is recognised, and what an entry for it need not say."""

    api: Api
    names: frozenset[str]
    hosts: frozenset[str]
    base_url: str
    key_envs: tuple[str, ...]
    needless_paths: tuple[str, ...] = ()
    """Endings of an address that the service's own client adds again."""


SERVICES = (
    Service(
        api="gemini",
        names=frozenset({"google_gemini", "gemini", "google"}),
        hosts=frozenset({"generativelanguage.googleapis.com"}),
        base_url="https://generativelanguage.googleapis.com",
        key_envs=("GOOGLE_API_KEY", "GEMINI_API_KEY"),
        needless_paths=("/v1beta", "/v1"),
    ),
    Service(
        api="groq",
        names=frozenset({"groq", "groq_llama"}),
        hosts=frozenset({"api.groq.com"}),
        base_url="https://api.groq.com/openai/v1",
        key_envs=("GROQ_API_KEY",),
    ),
    Service(
        api="together",
        names=frozenset({"together", "together_ai"}),
        hosts=frozenset({"api.together.xyz", "api.together.ai"}),
        base_url="https://api.together.xyz/v1",
        key_envs=("TOGETHER_API_KEY",),
    ),
    Service(
        api="huggingface",
        names=frozenset({"huggingface", "hugging_face", "hf"}),
        hosts=frozenset({"router.huggingface.co"}),
        base_url="https://router.huggingface.co/v1",
        key_envs=("HF_TOKEN", "HUGGINGFACEHUB_API_TOKEN", "HUGGINGFACE_API_KEY"),
    ),
    Service(
        api="ollama",
        names=frozenset({"ollama"}),
        hosts=frozenset(),
        base_url="http://127.0.0.1:11434",
        key_envs=(),
        needless_paths=("/api", "/v1"),
    ),
    Service(
        api="openai",
        names=frozenset({"openai"}),
        hosts=frozenset({"api.openai.com"}),
        base_url="https://api.openai.com/v1",
        key_envs=("OPENAI_API_KEY",),
    ),
)


def infer_api(name: str, base_url: str | None, key_envs: tuple[str, ...]) -> Api:
    """The API spoken there: by the address if it tells, else the name, else the key's name.

    An address that ends in `/v1` and belongs to no service below is an OpenAI-compatible
    endpoint whatever its name. So is everything that nothing is known of.
    """
    if base_url is not None:
        by_address = _api_of_address(base_url)
        if by_address is not None:
            return by_address
    for service in SERVICES:
        if name.lower() in service.names:
            return service.api
    for service in SERVICES:
        if set(key_envs) & set(service.key_envs):
            return service.api
    return "openai"


def _api_of_address(base_url: str) -> Api | None:
    url = urlsplit(base_url)
    path = url.path.rstrip("/")
    for service in SERVICES:
        if url.hostname in service.hosts:
            compatible = service.api == "gemini" and "/openai" in path
            return "openai" if compatible else service.api
    if url.port == OLLAMA_PORT:
        return "ollama"
    # a stand-in for Groq keeps Groq's path, so there the name decides
    return "openai" if path.endswith("/v1") and not path.endswith("/openai/v1") else None


def known_service(name: str, api: Api, key_envs: tuple[str, ...]) -> Service | None:
    """The service that an entry without an address means, or None."""
    for service in SERVICES:
        if service.api == api and (
            api != "openai"
            or name.lower() in service.names
            or set(key_envs) & set(service.key_envs)
        ):
            return service
    return None


def own_service(base_url: str) -> Service | None:
    """The service that the address belongs to, or None for anybody else's."""
    host = urlsplit(base_url).hostname
    return next((service for service in SERVICES if host in service.hosts), None)


def trim_address(api: Api, base_url: str) -> str:
    """The address as the API's client wants it: without what the client adds itself."""
    trimmed = base_url.rstrip("/")
    service = next((service for service in SERVICES if service.api == api), None)
    for ending in service.needless_paths if service else ():
        if trimmed.endswith(ending):
            return trimmed.removesuffix(ending)
    return trimmed


def find_provider(name: str, known: Iterable[str]) -> str | None:
    """The one of `known` that `name` means: itself, or another name of the same service."""
    candidates = list(known)
    if name in candidates:
        return name
    service = next((service for service in SERVICES if name in service.names), None)
    names = service.names if service else frozenset[str]()
    return next((candidate for candidate in candidates if candidate in names), None)
