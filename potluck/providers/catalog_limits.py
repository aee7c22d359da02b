"""What limits.yaml does to the catalog's limits, and what it may not name."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace

from potluck.providers.catalog import Limits, Provider
from potluck.providers.catalog_form import LimitsFile, LimitsForm, ProvidersFile
from potluck.providers.form import suggestion
from potluck.providers.services import find_provider
from potluck.providers.yaml_document import Document, Place, Problem


def to_limits(form: LimitsForm) -> Limits:
    """The form's limits."""
    return Limits(**form.model_dump())


def limit_problems(
    document: Document, limits: LimitsFile, providers: ProvidersFile
) -> list[Problem]:
    """Each name in limits.yaml that no provider or model has."""
    named: list[tuple[Place, str]] = [
        *((("rate_limits", name), name) for name in limits.rate_limits),
        *((("daily_limits", name), name) for name in limits.daily_limits),
    ]
    if limits.fallback.emergency_provider is not None:
        place: Place = ("fallback", "emergency_provider")
        named.append((place, limits.fallback.emergency_provider))
    problems = []
    for place, name in named:
        of_model = place[0] == "rate_limits" and "/" in name
        known = _refs(providers) if of_model else list(providers.providers)
        found = name in known if of_model else find_provider(name, known) is not None
        if not found:
            message = f"`{place[0]}` names `{name}`, which providers.yaml does not list."
            problems.append(document.problem(place, message, suggestion(name, known)))
    return problems


def apply_limits(providers: Iterable[Provider], limits: LimitsFile) -> dict[str, Provider]:
    """The providers by id, with the limits that limits.yaml sets, checked names presumed.

    `rate_limits` replace what the catalog says: the account's figure where it states one, else
    each model's; those of `provider/model` that model's alone. `daily_limits` only ever lower,
    for all models of the provider together.
    """
    limited = {provider.id: provider for provider in providers}
    by_ref = {name: form for name, form in limits.rate_limits.items() if "/" in name}
    for name, form in limits.rate_limits.items():
        known = find_provider(name, limited)
        if known is not None:
            limited[known] = _override(limited[known], to_limits(form))
    for name, requests_per_day in limits.daily_limits.items():
        known = find_provider(name, limited)
        if known is not None:
            account = _lower(limited[known].limits, Limits(requests_per_day=requests_per_day))
            limited[known] = replace(limited[known], limits=account)
    return {name: _settle(provider, by_ref) for name, provider in limited.items()}


def _refs(providers: ProvidersFile) -> list[str]:
    return [
        f"{name}/{model_id}"
        for name, provider in providers.providers.items()
        for model_id in provider.model_ids
    ]


def _override(provider: Provider, limits: Limits) -> Provider:
    stated = _stated(provider.limits)
    account = {window: value for window, value in _stated(limits).items() if window in stated}
    each = {window: value for window, value in _stated(limits).items() if window not in stated}
    models = tuple(
        replace(model, limits=replace(model.limits, **each)) for model in provider.models
    )
    return replace(provider, models=models, limits=replace(provider.limits, **account))


def _settle(provider: Provider, by_ref: Mapping[str, LimitsForm]) -> Provider:
    """Give each model its own override, and none of them more than the account has."""
    models = []
    for model in provider.models:
        own = by_ref.get(model.ref)
        limits = replace(model.limits, **_stated(to_limits(own))) if own else model.limits
        models.append(replace(model, limits=_lower(limits, provider.limits)))
    return replace(provider, models=tuple(models))


def _stated(limits: Limits) -> dict[str, int]:
    return {window: value for window, value in asdict(limits).items() if value is not None}


def _lower(limits: Limits, bound: Limits) -> Limits:
    own = _stated(limits)
    lowered = {window: min(own.get(window, most), most) for window, most in _stated(bound).items()}
    return replace(limits, **lowered)
