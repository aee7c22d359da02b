"""What to do about a failed call, in words for the person at the terminal."""

from datetime import datetime

from potluck.errors import ErrorKind, ProviderError
from potluck.providers.catalog import Model, Provider, ProviderStatus
from potluck.providers.succession import successors

# Nothing is to be mended: the provider will answer again by itself
PASSING = frozenset(
    {ErrorKind.MINUTE, ErrorKind.DAY, ErrorKind.MONTH, ErrorKind.CONCURRENCY, ErrorKind.OVERLOAD}
)
_WAIT = "Nothing to mend: the others answer meanwhile."
_USED_UP = {
    ErrorKind.MINUTE: "this minute's quota is used up",
    ErrorKind.DAY: "today's quota is used up",
    ErrorKind.MONTH: "this month's quota is used up",
}


def say_failure(error: ProviderError) -> str:
    """What is wrong, and when it is over if that is known."""
    fault = error.fault
    told = {
        ErrorKind.AUTH: "the key is refused",
        ErrorKind.CREDITS: "no credits are left",
        ErrorKind.CONCURRENCY: "too many calls at once",
        ErrorKind.OVERLOAD: "overloaded",
        ErrorKind.MODEL_GONE: f"{error.model} is not served",
        ErrorKind.CALLER: "it refuses the smallest call",
        **_USED_UP,
    }.get(fault.kind)
    back = f", back at {_local(fault.until)}" if fault.until else ""
    return f"{told}{back}: {fault.message}" if told else f"{fault.message}{back}"


def advise(error: ProviderError, status: ProviderStatus) -> str:
    """What to do about it."""
    provider = status.provider
    address = status.base_url or provider.base_url
    if error.kind is ErrorKind.MODEL_GONE:
        return replace_model(error.model, provider)
    page = f": {provider.get_key_url}" if provider.get_key_url else ""
    return {
        ErrorKind.AUTH: f"{_mend_key(provider)}{page}",
        ErrorKind.CREDITS: f"Add credits at the provider, or wait for the next month's{page}",
        ErrorKind.MINUTE: _WAIT,
        ErrorKind.DAY: _WAIT,
        ErrorKind.MONTH: _WAIT,
        ErrorKind.OVERLOAD: _WAIT,
        ErrorKind.CONCURRENCY: _WAIT,
        ErrorKind.NETWORK: f"Is this machine online, and is this right: {address}?",
        ErrorKind.TIMEOUT: "Try again; if it stays so, is the address in providers.yaml right?",
    }.get(error.kind, f"Check `{provider.id}` in providers.yaml: `api`, `base_url`, `models`.")


def replace_model(model_id: str, provider: Provider) -> str:
    """How the catalog is mended when this model is gone."""
    heir = replacement_of(model_id, provider)
    if heir is not None:
        return f"In providers.yaml, replace it by {heir.id}, which is asked in its place."
    return "`potluck models --refresh` shows what is served today."


def replacement_of(model_id: str, provider: Provider) -> Model | None:
    """What the catalog names for the time when this model is gone."""
    model = next((model for model in provider.models if model.id == model_id), None)
    return next(iter(successors(model, provider)), None) if model else None


def _mend_key(provider: Provider) -> str:
    if provider.api_key_env:
        return f"Check {' or '.join(provider.api_key_env)} in .env"
    return f"Add `api_key_env:` to `{provider.id}` in providers.yaml"


def _local(until: datetime) -> str:
    return f"{until.astimezone():%Y-%m-%d %H:%M:%S %Z}"
