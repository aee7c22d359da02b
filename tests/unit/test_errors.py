"""What errors say to people."""

from datetime import UTC, datetime

import pytest

from potluck.errors import ChainError, ErrorKind, ErrorScope, ProviderError, ProviderFault

SOON = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
LATER = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


def attempt(
    provider: str, model: str, kind: ErrorKind = ErrorKind.DAY, until: datetime | None = None
) -> ProviderError:
    return ProviderError(
        provider, model, ProviderFault(kind, ErrorScope.MODEL, "It said so", until=until)
    )


def test_models_of_one_provider_that_are_out_are_told_as_one() -> None:
    error = ChainError(
        [
            attempt("groq", "a", until=LATER),
            attempt("google", "g"),
            attempt("groq", "b", until=SOON),
            attempt("groq", "c", ErrorKind.NETWORK),
        ]
    )
    assert str(error.message) == (
        "No model could answer: groq (2 models): out of quota for the day until 2026-11-21 "
        "09:00:00 UTC; google/g: out of quota for the day; groq/c: network: It said so."
    )


def test_without_any_attempt_it_says_that_no_model_fits() -> None:
    assert "no model fits this call" in str(ChainError([]))


@pytest.mark.parametrize("kind", [ErrorKind.MINUTE, ErrorKind.CREDITS, ErrorKind.CONCURRENCY])
def test_waiting_helps_when_any_model_is_only_out_of_quota(kind: ErrorKind) -> None:
    error = ChainError([attempt("a", "x", kind, SOON), attempt("b", "y", ErrorKind.AUTH)])
    assert error.is_quota
    assert error.back_at == SOON
