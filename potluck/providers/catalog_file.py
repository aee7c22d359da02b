"""Reads config/providers.yaml and config/limits.yaml into the catalog, or says what is wrong."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from potluck.errors import ConfigError
from potluck.providers.catalog import (
    OFFLINE,
    Api,
    Catalog,
    CreditRate,
    Fallback,
    Model,
    Optimization,
    Parking,
    Provider,
    Retention,
    TaskType,
    UsageHistory,
    Waiting,
)
from potluck.providers.catalog_form import (
    ModelForm,
    ProviderForm,
    ProvidersFile,
    RoutesForm,
)
from potluck.providers.catalog_limits import apply_limits, limit_problems, to_limits
from potluck.providers.limits_form import LimitsFile
from potluck.providers.services import (
    find_provider,
    infer_api,
    known_service,
    own_service,
    trim_address,
)
from potluck.quota.calls import Price
from potluck.quota.limits import Resets
from potluck.yaml_document import (
    Document,
    Place,
    Problem,
    config_error,
    read_document,
)
from potluck.yaml_form import check_form, suggestion

PROVIDERS_FILE = "providers.yaml"
LIMITS_FILE = "limits.yaml"

FIRST_BY_TASK: Mapping[TaskType, Api] = {
    "code_generation": "groq",
    "complex_reasoning": "gemini",
    "simple_task": "together",
    "general": "gemini",
}
RESERVED_NAMES = frozenset({"auto", "potluck", OFFLINE})


def load_catalog(config_dir: Path) -> Catalog:
    """The catalog of that folder. Raises ConfigError that lists every mistake found."""
    file = config_dir / PROVIDERS_FILE
    if not file.is_file():
        raise ConfigError(
            "There is no such file.",
            file=file,
            line=None,
            fix=f"Copy {PROVIDERS_FILE} from Potluck's own config folder to there, or point "
            "POTLUCK_CONFIG_DIR at the folder that has it.",
        )
    limits_file = config_dir / LIMITS_FILE
    said = read_document(file)
    limited = read_document(limits_file) if limits_file.is_file() else Document(limits_file, {}, {})
    problems: list[Problem] = []
    providers = check_form(ProvidersFile, said, problems)
    limits = check_form(LimitsFile, limited, problems)
    if providers is not None:
        problems.extend(_provider_problems(said, providers))
        problems.extend(_route_problems(said, providers.routes, providers))
        if limits is not None:
            problems.extend(_route_problems(limited, limits.routes, providers))
            problems.extend(limit_problems(limited, limits, providers))
    if problems or providers is None or limits is None:
        raise config_error(problems)
    return _catalog(providers, limits)


def _provider_problems(document: Document, form: ProvidersFile) -> Iterator[Problem]:
    for name, provider in form.providers.items():
        place: Place = ("providers", name)
        api = _api(name, provider)
        reserved = name in RESERVED_NAMES and not name == api == OFFLINE
        if reserved or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
            message = f"`{name}` cannot be a provider's name."
            fix = f"Use letters, digits, `_`, `-`, `.`; not {', '.join(sorted(RESERVED_NAMES))}."
            yield document.problem(place, message, fix)
        if api != OFFLINE and _base_url(name, provider) is None:
            message = f"`{name}` has no address, and none is known for it."
            fix = "Add `base_url:` with an address such as https://api.example.com/v1."
            yield document.problem(place, message, fix)
        if not provider.model_ids and api not in {"ollama", OFFLINE}:
            message = f"`{name}` has no model."
            yield document.problem(place, message, "Add `model:` with the name of one.")
        yield from _model_problems(document, place, provider)


def _model_problems(document: Document, place: Place, provider: ProviderForm) -> Iterator[Problem]:
    if provider.model is not None and provider.models is not None:
        message = f"`{place[-1]}` has both `model` and `models`."
        yield document.problem((*place, "models"), message, "Keep one of them.")
    seen: set[str] = set()
    for index, model in enumerate(provider.models or []):
        if model.id in seen:
            message = f"`{place[-1]}` lists the model `{model.id}` twice."
            yield document.problem((*place, "models", index), message, "Remove one of them.")
        seen.add(model.id)


def _route_problems(
    document: Document, routes: RoutesForm, form: ProvidersFile
) -> Iterator[Problem]:
    for task, names in routes.named():
        seen: set[str | None] = set()
        for index, name in enumerate(names):
            place: Place = ("routes", task, index)
            found = find_provider(name, form.providers)
            if found is None:
                message = f"`routes.{task}` names `{name}`, which is not among the providers."
                yield document.problem(place, message, suggestion(name, form.providers))
            elif found in seen:
                message = f"`routes.{task}` names `{name}` twice."
                yield document.problem(place, message, "Remove one of them.")
            seen.add(found)


def _catalog(form: ProvidersFile, limits: LimitsFile) -> Catalog:
    providers = apply_limits(
        (_provider(name, entry) for name, entry in form.providers.items()), limits
    )
    emergency = limits.fallback.emergency_provider
    return Catalog(
        providers=providers,
        routes=_routes(form.routes, limits.routes, providers),
        fallback=Fallback(
            max_retries=limits.fallback.max_retries,
            retry_delay_seconds=limits.fallback.retry_delay_seconds,
            emergency_provider=find_provider(emergency, providers) if emergency else None,
            timeout_seconds=limits.fallback.timeout_seconds,
            hedge_after_seconds=limits.fallback.hedge_after_seconds,
        ),
        optimization=Optimization(**limits.optimization.model_dump()),
        privacy=limits.privacy,
        waiting=Waiting(**limits.waiting.model_dump()),
        reserve_for_interactive=limits.reserve_for_interactive,
        parking=Parking(**limits.parking.model_dump()),
        usage=UsageHistory(**limits.usage.model_dump()),
        retention=Retention(**limits.retention.model_dump()),
    )


def _routes(
    shipped: RoutesForm, own: RoutesForm, providers: Mapping[str, Provider]
) -> dict[TaskType, tuple[str, ...]]:
    """The routes as written; a type of task without one starts with the API it suits best.

    All others are alike: a place of its own for each would keep calls from being spread over them.

    What limits.yaml says (`own`) beats providers.yaml (`shipped`).
    """
    routes: dict[TaskType, tuple[str, ...]] = {}
    for (task, said), (_, owned) in zip(shipped.named(), own.named(), strict=True):
        names = owned or said
        written = (find_provider(name, providers) for name in names)
        first = FIRST_BY_TASK[task]
        by_default = tuple(one.id for one in providers.values() if one.api == first)
        routes[task] = tuple(name for name in (written if names else by_default) if name)
    return routes


def _api(name: str, form: ProviderForm) -> Api:
    return form.api or infer_api(name, form.base_url, tuple(form.api_key_env))


def _base_url(name: str, form: ProviderForm) -> str | None:
    api = _api(name, form)
    if form.base_url is not None:
        return trim_address(api, form.base_url)
    service = known_service(name, api, tuple(form.api_key_env))
    return service.base_url if service else None


def _key_names(form: ProviderForm, base_url: str | None) -> tuple[str, ...]:
    """The variables that hold keys: those written, else those of the service at the address."""
    service = own_service(base_url) if base_url else None
    return tuple(form.api_key_env) or (service.key_envs if service else ())


def _provider(name: str, form: ProviderForm) -> Provider:
    base_url = _base_url(name, form)
    models = form.models if form.models is not None else [ModelForm(id=i) for i in form.model_ids]
    return Provider(
        id=name,
        api=_api(name, form),
        base_url=base_url,
        api_key_env=_key_names(form, base_url),
        models=tuple(_model(name, model, form) for model in models),
        trains_on_prompts=form.trains_on_prompts,
        paid=form.paid,
        enabled=form.enabled is not False,
        by_name_only=form.paid and form.enabled is not True,
        get_key_url=form.get_key_url,
        limits=to_limits(form.limits),
        resets=Resets(form.minute_resets, form.day_resets, form.month_resets),
        keys_share_limits=form.keys_share_limits,
        reserves_output=form.reserves_output,
    )


def _model(provider: str, form: ModelForm, shared: ProviderForm) -> Model:
    model = Model(
        provider=provider,
        id=form.id,
        context=form.context,
        max_output=form.max_output or shared.max_tokens,
        temperature=shared.temperature if form.temperature is None else form.temperature,
        limits=to_limits(form.limits),
        credits=CreditRate(**form.credits.model_dump()) if form.credits else None,
        replacement=form.replacement,
        price=Price(**form.price.model_dump()) if form.price else None,
        checked_on=form.checked_on or shared.checked_on,
        source=form.source or shared.source,
    )
    if form.capabilities is None:
        return model
    return replace(model, capabilities=frozenset(form.capabilities))
