"""What limits.yaml does to the catalog's limits, and what it may not name."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from potluck.providers.catalog import Provider
from potluck.providers.catalog_form import LimitsForm, ProvidersFile
from potluck.providers.limits_form import EVERYONE, LimitsFile
from potluck.providers.services import find_provider
from potluck.quota.limits import Limits
from potluck.yaml_document import Document, Place, Problem
from potluck.yaml_form import suggestion

# Where an overrun costs money, a little is left unused
STOP_PAID_AT = 0.9


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
        *((("stop_at", name), name) for name in limits.stop_at if name != EVERYONE),
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
            limited[known] = _lower_day(limited[known], requests_per_day)
    stops = {find_provider(name, limited): share for name, share in limits.stop_at.items()}
    return {
        name: replace(_settle(provider, by_ref), stop_at=_stop_at(provider, limits, stops))
        for name, provider in limited.items()
    }


def _stop_at(provider: Provider, limits: LimitsFile, stops: Mapping[str | None, float]) -> float:
    default = STOP_PAID_AT if provider.paid else 1.0
    return stops.get(provider.id, limits.stop_at.get(EVERYONE, default))


def _lower_day(provider: Provider, requests_per_day: int) -> Provider:
    account = _lower(provider.limits, Limits(requests_per_day=requests_per_day))
    if account == provider.limits:
        return provider
    by_user = provider.set_by_user | {"requests_per_day"}
    return replace(provider, limits=account, set_by_user=by_user)


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
        replace(
            model,
            limits=replace(model.limits, **each),
            set_by_user=model.set_by_user | each.keys(),
        )
        for model in provider.models
    )
    return replace(
        provider,
        models=models,
        limits=replace(provider.limits, **account),
        set_by_user=provider.set_by_user | account.keys(),
    )


def _settle(provider: Provider, by_ref: Mapping[str, LimitsForm]) -> Provider:
    """Give each model its own override, and none of them more than the account has."""
    models = []
    for model in provider.models:
        own = by_ref.get(model.ref)
        said = _stated(to_limits(own)) if own else {}
        limits = _lower(replace(model.limits, **said), provider.limits)
        models.append(replace(model, limits=limits, set_by_user=model.set_by_user | said.keys()))
    return replace(provider, models=tuple(models))


def _stated(limits: Limits) -> dict[str, Any]:  # Any: the fields are of two types
    return dict(limits.stated())


def _lower(limits: Limits, bound: Limits) -> Limits:
    own = _stated(limits)
    lowered = {window: min(own.get(window, most), most) for window, most in _stated(bound).items()}
    return replace(limits, **lowered)
