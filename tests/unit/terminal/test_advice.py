"""What a person is told about a failed call."""

from datetime import UTC, datetime

import pytest

from potluck.errors import ErrorKind, ErrorScope, ProviderError, ProviderFault
from potluck.providers.catalog import Model, Provider, ProviderStatus
from potluck.terminal.advice import advise, say_failure

UNTIL = datetime(2026, 11, 22, 8, tzinfo=UTC)
PROVIDER = Provider(
    id="mine",
    api="openai",
    base_url="https://${NAME}.example/v1",
    api_key_env=("MINE_KEY", "MINE_KEY_2"),
    models=(Model("mine", "old", replacement="new"), Model("mine", "lonely")),
    get_key_url="https://keys.example",
)
STATUS = ProviderStatus(PROVIDER, on=True, reason="", base_url="https://me.example/v1")


def failed(kind: ErrorKind, model: str = "old", until: datetime | None = None) -> ProviderError:
    fault = ProviderFault(kind, ErrorScope.MODEL, "they said so", until=until)
    return ProviderError("mine", model, fault)


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_every_kind_says_what_happened_and_what_to_do(kind: ErrorKind) -> None:
    assert "they said so" in say_failure(failed(kind))
    assert advise(failed(kind), STATUS)


@pytest.mark.parametrize(
    ("kind", "said", "advice"),
    [
        (ErrorKind.AUTH, "key is refused", "MINE_KEY or MINE_KEY_2 in .env: https://keys.example"),
        (ErrorKind.DAY, "today's quota is used up", "Nothing to mend"),
        (ErrorKind.CREDITS, "no credits are left", "Add credits"),
        (ErrorKind.MODEL_GONE, "old is not served", "replace it by new"),
        (ErrorKind.NETWORK, "", "https://me.example/v1"),
        (ErrorKind.CALLER, "refuses the smallest call", "providers.yaml"),
    ],
)
def test_the_words_fit_the_kind(kind: ErrorKind, said: str, advice: str) -> None:
    assert said in say_failure(failed(kind))
    assert advice in advise(failed(kind), STATUS)


def test_when_it_is_back_is_told() -> None:
    assert "back at 2026-11-2" in say_failure(failed(ErrorKind.DAY, until=UNTIL))


def test_a_model_without_replacement_leads_to_the_list() -> None:
    assert "models --refresh" in advise(failed(ErrorKind.MODEL_GONE, "lonely"), STATUS)


def test_a_provider_without_a_key_is_told_where_to_name_one() -> None:
    keyless = ProviderStatus(Provider("box", "openai", None, (), ()), on=True, reason="")
    assert "`api_key_env:`" in advise(failed(ErrorKind.AUTH), keyless)
