"""Which providers are on in this process, with which keys, and why the others are off."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, SecretStr, ValidationError

from potluck.providers.catalog import OFFLINE, Catalog, Model, Provider, ProviderStatus
from potluck.providers.catalog_form import PLACEHOLDER
from potluck.settings import Settings

SIMULATED_KEY = "simulated-key"
SIMULATED_VALUE = "simulated"
EMBEDDERS = ("embed", "bge-", "minilm")


class _Installed(BaseModel):
    """One entry of Ollama's list of installed models."""

    name: str


class _Tags(BaseModel):
    """Ollama's answer to GET /api/tags."""

    models: list[_Installed]


async def statuses(
    catalog: Catalog, settings: Settings, *, timeout_s: float = 0.5
) -> list[ProviderStatus]:
    """Each provider of the catalog, in its order: on or off, why, and with which keys.

    Only an Ollama is asked whether it is there (within `timeout_s`); the others are believed.
    """
    if settings.potluck_simulator is not None:
        simulator = str(settings.potluck_simulator).rstrip("/")
        return [_simulated(provider, simulator) for provider in catalog.providers.values()]
    checks = (_status(provider, settings, timeout_s) for provider in catalog.providers.values())
    return list(await asyncio.gather(*checks))


def _simulated(provider: Provider, simulator: str) -> ProviderStatus:
    path = urlsplit(PLACEHOLDER.sub(SIMULATED_VALUE, provider.base_url or "")).path.rstrip("/")
    return ProviderStatus(
        provider=provider,
        on=True,
        reason=f"simulated at {simulator}",
        # As without the simulator, what needs no key gets none: nobody counts its calls
        keys=(SecretStr(SIMULATED_KEY),) if provider.api_key_env else (),
        base_url=f"{simulator}/{provider.id}{path}",
    )


async def _status(provider: Provider, settings: Settings, timeout_s: float) -> ProviderStatus:
    if not provider.enabled:
        return _off(provider, "switched off (`enabled: true` in providers.yaml)")
    keys = _keys(provider, settings)
    if provider.api_key_env and not keys:
        return _off(provider, f"{' or '.join(provider.api_key_env)} is not set")
    base_url, faults = _filled(provider.base_url, settings)
    if faults:
        return _off(provider, "; ".join(faults))
    if provider.api == "ollama" and base_url is not None:
        return await _ollama(provider, base_url, keys=keys, timeout_s=timeout_s)
    return ProviderStatus(
        provider, on=True, reason=_reason(provider, keys), keys=keys, base_url=base_url
    )


def _off(provider: Provider, reason: str) -> ProviderStatus:
    return ProviderStatus(provider, on=False, reason=reason, base_url=provider.base_url)


def _reason(provider: Provider, keys: Sequence[SecretStr]) -> str:
    if provider.api == OFFLINE:
        return "always there"
    if provider.by_name_only:
        return "paid: asked by name, or while no free provider is on"
    if not provider.api_key_env:
        return "needs no key"
    return "key set" if len(keys) == 1 else f"{len(keys)} keys set"


def _keys(provider: Provider, settings: Settings) -> tuple[SecretStr, ...]:
    """The keys that are set, in order; the same key under two names counts once."""
    found = (settings.key(name) for name in provider.api_key_env)
    return tuple(dict.fromkeys(key for key in found if key is not None))


def _filled(base_url: str | None, settings: Settings) -> tuple[str | None, list[str]]:
    """The address with its `${NAME}` filled in, and what is wrong with any of them."""
    if base_url is None:
        return None, []
    faults: list[str] = []
    for name in dict.fromkeys(PLACEHOLDER.findall(base_url)):
        value = settings.key(name)
        if value is None:
            faults.append(f"{name} is not set")
        elif not re.fullmatch(r"[\w.~:/-]+", value.get_secret_value(), re.ASCII):
            faults.append(f"{name} cannot be part of an address")
        else:
            base_url = base_url.replace(f"${{{name}}}", value.get_secret_value())
    return base_url, faults


async def _ollama(
    provider: Provider, base_url: str, *, keys: tuple[SecretStr, ...], timeout_s: float
) -> ProviderStatus:
    try:
        async with asyncio.timeout(timeout_s):
            installed = await _installed(base_url, keys)
    except (TimeoutError, httpx.TimeoutException):
        return _off(provider, f"{base_url} did not answer within {timeout_s:g} s")
    except httpx.TransportError:
        return _off(provider, f"no Ollama at {base_url}")
    except httpx.HTTPStatusError as error:
        return _off(provider, f"{base_url} answers HTTP {error.response.status_code}")
    except ValidationError:
        return _off(provider, f"what answers at {base_url} is not an Ollama")
    models = _usable(provider, installed)
    if not models:
        wanted = provider.models[0].id if provider.models else "qwen3:0.6b"
        return _off(provider, f"Ollama at {base_url} has no model: run `ollama pull {wanted}`")
    return ProviderStatus(
        replace(provider, models=models),
        on=True,
        reason=f"{', '.join(model.id for model in models)} at {base_url}",
        keys=keys,
        base_url=base_url,
    )


async def _installed(base_url: str, keys: tuple[SecretStr, ...]) -> list[str]:
    headers = {"Authorization": f"Bearer {keys[0].get_secret_value()}"} if keys else {}
    # a proxy from the environment would be asked for this machine's own ports
    async with httpx.AsyncClient(trust_env=False) as client:
        response = await client.get(f"{base_url}/api/tags", headers=headers)
    response.raise_for_status()
    return [model.name for model in _Tags.model_validate_json(response.content).models]


def _usable(provider: Provider, installed: Sequence[str]) -> tuple[Model, ...]:
    """The catalog's models that are installed; if none is, every installed one that can chat."""
    names = set(installed)
    wanted = tuple(model for model in provider.models if {model.id, f"{model.id}:latest"} & names)
    chatty = (name for name in installed if not any(part in name for part in EMBEDDERS))
    return wanted or tuple(Model(provider=provider.id, id=name) for name in chatty)
