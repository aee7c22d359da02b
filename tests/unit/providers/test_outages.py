"""An outage keeps out what it speaks about, for as long as it stands, and nothing else."""

from datetime import timedelta
from typing import Any

import pytest

from potluck.errors import ErrorKind, ErrorScope, ProviderError, ProviderFault
from potluck.providers.outages import Outages


@pytest.fixture
def outages(clock: Any) -> Outages:
    return Outages(clock)


def error(kind: ErrorKind, scope: ErrorScope = ErrorScope.MODEL, **fault: Any) -> ProviderError:
    return ProviderError("p", "m", ProviderFault(kind, scope, "x", **fault))


def out(outages: Outages, provider: str = "p", model: str = "m", account: int = 0) -> bool:
    return outages.find(provider, model, account=account) is not None


@pytest.mark.parametrize(
    ("scope", "sibling", "other_key"),
    [
        (ErrorScope.MODEL, False, False),
        (ErrorScope.KEY, True, False),
        (ErrorScope.PROVIDER, True, True),
    ],
)
def test_reaches_as_far_as_its_scope(
    outages: Outages, scope: ErrorScope, sibling: bool, other_key: bool
) -> None:
    outages.note(error(ErrorKind.OVERLOAD, scope), account=0)
    assert out(outages)
    assert out(outages, model="sibling") is sibling
    assert out(outages, account=1) is other_key
    assert not out(outages, provider="q")


def test_ends_when_the_provider_said(outages: Outages, clock: Any) -> None:
    until = clock.now + timedelta(seconds=38)
    outages.note(error(ErrorKind.MINUTE, until=until), account=0)
    clock.now = until - timedelta(microseconds=1)
    assert out(outages)
    clock.now = until
    assert not out(outages)


@pytest.mark.parametrize("kind", [ErrorKind.NETWORK, ErrorKind.OVERLOAD, ErrorKind.UNKNOWN])
def test_a_guess_is_not_certain_but_a_stated_time_is(
    outages: Outages, clock: Any, kind: ErrorKind
) -> None:
    outages.note(error(kind), account=0)
    guessed = outages.find("p", "m", account=0)
    assert guessed is not None
    assert not guessed.certain
    outages.note(error(kind, until=clock.now + timedelta(seconds=5)), account=0)
    stated = outages.find("p", "m", account=0)
    assert stated is not None
    assert stated.certain


@pytest.mark.parametrize("kind", [ErrorKind.AUTH, ErrorKind.MODEL_GONE, ErrorKind.CREDITS])
def test_what_does_not_mend_itself_is_certain(outages: Outages, kind: ErrorKind) -> None:
    outages.note(error(kind), account=0)
    found = outages.find("p", "m", account=0)
    assert found is not None
    assert found.certain


@pytest.mark.parametrize("kind", [ErrorKind.TOO_LARGE, ErrorKind.EMPTY, ErrorKind.CALLER])
def test_what_speaks_of_one_request_is_forgotten_at_once(outages: Outages, kind: ErrorKind) -> None:
    outages.note(error(kind, ErrorScope.REQUEST), account=0)
    assert not out(outages)


def test_the_longest_certain_outage_counts(outages: Outages, clock: Any) -> None:
    outages.note(error(ErrorKind.NETWORK, ErrorScope.PROVIDER), account=0)
    outages.note(error(ErrorKind.MINUTE, until=clock.now + timedelta(seconds=2)), account=0)
    found = outages.find("p", "m", account=0)
    assert found is not None
    assert found.error.kind is ErrorKind.MINUTE


def test_an_answer_ends_it(outages: Outages) -> None:
    outages.note(error(ErrorKind.NETWORK, ErrorScope.PROVIDER), account=0)
    outages.forget("p", "m", account=0)
    assert not out(outages)
