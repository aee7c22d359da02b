"""The catalog's files: what loads, what it means, and how each mistake is reported."""

import json
import re
from dataclasses import replace
from datetime import date
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from potluck.errors import ConfigError
from potluck.providers.catalog import (
    Catalog,
    Fallback,
    Limits,
    Optimization,
    Parking,
    Retention,
    UsageHistory,
    Waiting,
)
from potluck.providers.catalog_file import load_catalog
from potluck.quota.limits import Resets
from potluck.quota.limits import names as limit_names
from potluck.settings import PROJECT_DIR

GROQ = "providers:\n  groq: {model: a}\n"

USERS_PROVIDERS = """
    providers:
      google_gemini:
        model: gemini-3.5-flash-lite
        api_key_env: GOOGLE_API_KEY
        max_tokens: 8192
        temperature: 0.7
      groq_llama:
        model: openai/gpt-oss-120b
        api_key_env: GROQ_API_KEY
        base_url: https://api.groq.com/openai/v1
        max_tokens: 4096
        temperature: 0.5
      together_ai:
        model: openai/gpt-oss-20b
        api_key_env: TOGETHER_API_KEY
        base_url: https://api.together.xyz/v1
      huggingface:
        model: openai/gpt-oss-120b
        api_key_env: HUGGINGFACE_API_KEY
"""
USERS_LIMITS = """
    rate_limits:
      google_gemini: {requests_per_minute: 60, requests_per_day: 1500}
      groq_llama: {requests_per_minute: 30, requests_per_day: 14400}
      together_ai: {requests_per_minute: 10, requests_per_month: 200}
    daily_limits: {google_gemini: 1500, groq_llama: 14400, together_ai: 6}
    optimization:
      {enable_caching: true, cache_ttl_hours: 24, batch_processing: true, max_batch_size: 3}
    fallback: {max_retries: 3, retry_delay_seconds: 5, emergency_provider: together_ai}
"""


def load(folder: Path, providers: str, limits: str | None = None) -> Catalog:
    (folder / "providers.yaml").write_text(dedent(providers), encoding="utf-8")
    if limits is not None:
        (folder / "limits.yaml").write_text(dedent(limits), encoding="utf-8")
    return load_catalog(folder)


def failure(folder: Path, providers: str, limits: str | None = None) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(folder, providers, limits)
    return caught.value


class TestTheUsersShortForm:
    @pytest.fixture
    def catalog(self, tmp_path: Path) -> Catalog:
        return load(tmp_path, USERS_PROVIDERS, USERS_LIMITS)

    def test_infers_each_api(self, catalog: Catalog) -> None:
        assert {name: provider.api for name, provider in catalog.providers.items()} == {
            "google_gemini": "gemini",
            "groq_llama": "groq",
            "together_ai": "together",
            "huggingface": "huggingface",
        }

    def test_fills_in_addresses_that_are_left_out(self, catalog: Catalog) -> None:
        assert catalog.providers["google_gemini"].base_url == (
            "https://generativelanguage.googleapis.com"
        )
        assert catalog.providers["huggingface"].base_url == "https://router.huggingface.co/v1"

    def test_gives_the_model_what_stands_beside_it(self, catalog: Catalog) -> None:
        (model,) = catalog.providers["groq_llama"].models
        assert model.ref == "groq_llama/openai/gpt-oss-120b"
        assert (model.max_output, model.temperature) == (4096, 0.5)
        assert catalog.providers["groq_llama"].api_key_env == ("GROQ_API_KEY",)

    def test_applies_its_limits(self, catalog: Catalog) -> None:
        limits = {model.provider: model.limits for model in catalog.models()}
        assert limits["google_gemini"] == Limits(requests_per_minute=60, requests_per_day=1500)
        assert limits["groq_llama"] == Limits(requests_per_minute=30, requests_per_day=14400)
        assert limits["together_ai"] == Limits(
            requests_per_minute=10, requests_per_day=6, requests_per_month=200
        )
        assert limits["huggingface"] == Limits()

    def test_keeps_its_policy(self, catalog: Catalog) -> None:
        assert catalog.optimization == Optimization(
            enable_caching=True, cache_ttl_hours=24, batch_processing=True, max_batch_size=3
        )
        assert catalog.fallback == Fallback(
            max_retries=3, retry_delay_seconds=5, emergency_provider="together_ai"
        )

    def test_begins_each_task_with_who_suits_it(self, catalog: Catalog) -> None:
        assert {task: route[0] for task, route in catalog.routes.items()} == {
            "code_generation": "groq_llama",
            "complex_reasoning": "google_gemini",
            "simple_task": "together_ai",
            "general": "google_gemini",
        }

    def test_its_limits_fit_the_shipped_providers_too(self, tmp_path: Path) -> None:
        shipped = (PROJECT_DIR / "config/providers.yaml").read_text(encoding="utf-8")
        catalog = load(tmp_path, shipped, USERS_LIMITS)
        assert catalog.fallback.emergency_provider == "together"
        assert {m.limits.requests_per_day for m in catalog.providers["groq"].models} == {14400}


class TestShippedConfig:
    @pytest.fixture(scope="class")
    @classmethod
    def catalog(cls) -> Catalog:
        return load_catalog(PROJECT_DIR / "config")

    def test_has_every_provider(self, catalog: Catalog) -> None:
        assert set(catalog.providers) == {
            *("google_gemini", "groq", "cerebras", "mistral", "openrouter", "nvidia"),
            *("cloudflare", "sambanova", "cohere", "huggingface", "together", "ollama", "openai"),
        }

    def test_names_each_model_once(self, catalog: Catalog) -> None:
        refs = [model.ref for model in catalog.models()]
        assert len(refs) == len(set(refs))
        assert all(catalog.find(ref) is not None for ref in refs)

    def test_says_of_every_figure_when_and_where_it_was_found(self, catalog: Catalog) -> None:
        for model in catalog.models():
            assert model.checked_on is not None, model.ref
            assert model.checked_on >= date(2026, 8, 1), model.ref
            assert (model.source or "").startswith("https://"), model.ref
            assert model.context is not None, model.ref

    def test_says_where_to_get_each_key(self, catalog: Catalog) -> None:
        for provider in catalog.providers.values():
            assert (provider.get_key_url or "").startswith("https://"), provider.id
            assert bool(provider.api_key_env) == (provider.api != "ollama"), provider.id

    def test_every_model_can_use_tools(self, catalog: Catalog) -> None:
        assert all("tools" in model.capabilities for model in catalog.models())

    def test_routes_name_no_provider_that_costs_money(self, catalog: Catalog) -> None:
        paid = {provider.id for provider in catalog.providers.values() if provider.paid}
        assert paid == {"openai"}
        assert catalog.providers["openai"].by_name_only
        assert not paid & {name for route in catalog.routes.values() for name in route}

    def test_routes_begin_as_each_type_of_task_wants(self, catalog: Catalog) -> None:
        assert {task: route[0] for task, route in catalog.routes.items()} == {
            "code_generation": "groq",
            "complex_reasoning": "google_gemini",
            "simple_task": "together",
            "general": "google_gemini",
        }

    def test_gemini_has_no_path_since_its_client_adds_one(self, catalog: Catalog) -> None:
        assert catalog.providers["google_gemini"].base_url == (
            "https://generativelanguage.googleapis.com"
        )

    def test_private_leaves_somebody_to_ask(self, catalog: Catalog) -> None:
        private = {p.id for p in catalog.providers.values() if p.trains_on_prompts == "no"}
        assert {"groq", "ollama", "cloudflare"} <= private
        assert "google_gemini" not in private


class TestWhatEntriesMean:
    def test_an_endpoint_of_ones_own_takes_three_lines(self, tmp_path: Path) -> None:
        catalog = load(
            tmp_path,
            """
            providers:
              my_box:
                base_url: http://127.0.0.1:9000/v1
                model: some-model
            """,
        )
        box = catalog.providers["my_box"]
        assert (box.api, box.base_url) == ("openai", "http://127.0.0.1:9000/v1")
        assert box.api_key_env == ()
        assert [model.ref for model in box.models] == ["my_box/some-model"]
        assert catalog.routes["general"] == ()

    @pytest.mark.parametrize(
        ("entry", "api"),
        [
            ("groq: {model: a}", "groq"),
            ("x: {model: a, base_url: 'https://api.groq.com/openai/v1'}", "groq"),
            ("groq: {model: a, base_url: 'http://box/groq/openai/v1'}", "groq"),
            ("groq: {model: a, base_url: 'http://box:8000/v1'}", "openai"),
            ("groq: {model: a, api: openai, base_url: 'http://box'}", "openai"),
            ("x: {model: a, api_key_env: GEMINI_API_KEY}", "gemini"),
            ("x: {model: a, base_url: 'https://api.together.ai/v1'}", "together"),
            ("x: {model: a, base_url: 'https://router.huggingface.co/v1'}", "huggingface"),
            ("x: {model: a, base_url: 'http://10.0.0.5:11434'}", "ollama"),
            (
                "x: {model: a, base_url: 'https://generativelanguage.googleapis.com/v1beta'}",
                "gemini",
            ),
            (
                "x: {model: a, base_url: 'https://generativelanguage.googleapis.com/v1beta/openai'}",
                "openai",
            ),
            ("x: {model: a, base_url: 'https://llm.example.com/api/v2'}", "openai"),
        ],
    )
    def test_api_is_inferred(self, tmp_path: Path, entry: str, api: str) -> None:
        (provider,) = load(tmp_path, f"providers: {{{entry}}}").providers.values()
        assert provider.api == api

    @pytest.mark.parametrize(
        ("written", "kept"),
        [
            ("https://generativelanguage.googleapis.com/v1beta/",
             "https://generativelanguage.googleapis.com"),
            ("http://127.0.0.1:11434/v1", "http://127.0.0.1:11434"),
            ("https://api.groq.com/openai/v1/", "https://api.groq.com/openai/v1"),
        ],
    )  # fmt: skip
    def test_address_loses_what_the_client_adds(
        self, tmp_path: Path, written: str, kept: str
    ) -> None:
        (provider,) = load(
            tmp_path, f"providers: {{x: {{model: a, base_url: '{written}'}}}}"
        ).providers.values()
        assert provider.base_url == kept

    def test_a_known_service_needs_its_key_even_if_the_entry_forgets_it(
        self, tmp_path: Path
    ) -> None:
        assert load(tmp_path, GROQ).providers["groq"].api_key_env == ("GROQ_API_KEY",)

    @pytest.mark.parametrize(
        ("word", "policy"),
        [("no", "no"), ("false", "no"), ("yes", "yes"), ("True", "yes"), ("unknown", "unknown")],
    )
    def test_yes_and_no_are_understood_as_words_and_as_booleans(
        self, tmp_path: Path, word: str, policy: str
    ) -> None:
        text = f"providers:\n  groq:\n    model: a\n    trains_on_prompts: {word}\n"
        for version in ("", "%YAML 1.1\n---\n"):
            assert load(tmp_path, version + text).providers["groq"].trains_on_prompts == policy

    def test_models_may_be_bare_names(self, tmp_path: Path) -> None:
        catalog = load(tmp_path, "providers: {groq: {models: [a, {id: b, context: 9}]}}")
        assert [(m.id, m.context) for m in catalog.models()] == [("a", None), ("b", 9)]

    def test_several_keys_are_kept_in_order(self, tmp_path: Path) -> None:
        catalog = load(tmp_path, "providers: {groq: {model: a, api_key_env: [ONE, TWO]}}")
        assert catalog.providers["groq"].api_key_env == ("ONE", "TWO")

    def test_paid_is_asked_by_name_until_enabled(self, tmp_path: Path) -> None:
        catalog = load(
            tmp_path,
            """
            providers:
              a: {base_url: 'http://a/v1', model: m, paid: true}
              b: {base_url: 'http://b/v1', model: m, paid: true, enabled: true}
              c: {base_url: 'http://c/v1', model: m, enabled: false}
              d: {base_url: 'http://d/v1', model: m}
            """,
        )
        providers = catalog.providers.values()
        assert [provider.id for provider in providers if provider.enabled] == ["a", "b", "d"]
        assert [provider.id for provider in providers if provider.by_name_only] == ["a"]

    def test_yaml_merges_and_aliases_work(self, tmp_path: Path) -> None:
        catalog = load(
            tmp_path,
            """
            providers:
              a: &a {base_url: 'http://a/v1', model: m, temperature: 0.1}
              b: {<<: *a, model: n}
            """,
        )
        (model,) = catalog.providers["b"].models
        assert (model.id, model.temperature) == ("n", 0.1)

    def test_an_empty_catalog_is_allowed(self, tmp_path: Path) -> None:
        assert load(tmp_path, "providers:\n").models() == []

    def test_limits_yaml_may_be_missing_or_empty(self, tmp_path: Path) -> None:
        assert load(tmp_path, GROQ) == load(tmp_path, GROQ, "# nothing\n")


GUIDE = (PROJECT_DIR / "docs/configuration.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("example", re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL))
def test_every_example_of_the_guide_loads(tmp_path: Path, example: str) -> None:
    shipped = (PROJECT_DIR / "config/providers.yaml").read_text(encoding="utf-8")
    match example.partition(":")[0]:
        case "providers":
            assert load(tmp_path, example).models()
        case "routes":
            box = "  my_box: {base_url: 'http://box/v1', model: m}\n"
            with_box = shipped.partition("\nroutes:")[0] + "\n" + box + example
            assert load(tmp_path, with_box).routes["general"] == ("my_box",)
        case "rate_limits":
            assert load(tmp_path, shipped, example).fallback.emergency_provider == "together"
        case other:
            pytest.fail(f"an example that begins with {other}")


class TestLimits:
    PROVIDERS = """
        providers:
          groq:
            limits: {requests_per_day: 50}
            models:
              - {id: a, limits: {requests_per_minute: 30, requests_per_day: 10}}
              - {id: b/c, limits: {requests_per_minute: 30, tokens_per_minute: 8000}}
    """

    def limits(self, folder: Path, text: str | None = None) -> list[Limits]:
        return [model.limits for model in load(folder, self.PROVIDERS, text).models()]

    def test_no_model_has_more_than_its_account(self, tmp_path: Path) -> None:
        first, second = self.limits(tmp_path)
        assert (first.requests_per_day, second.requests_per_day) == (10, 50)

    def test_rate_limits_replace_each_models_own(self, tmp_path: Path) -> None:
        first, second = self.limits(tmp_path, "rate_limits: {groq: {requests_per_minute: 99}}")
        assert (first.requests_per_minute, second.requests_per_minute) == (99, 99)
        assert second.tokens_per_minute == 8000

    def test_rate_limits_replace_the_accounts_where_it_has_one(self, tmp_path: Path) -> None:
        text = "rate_limits: {groq: {requests_per_day: 1000}}"
        catalog = load(tmp_path, self.PROVIDERS, text)
        assert catalog.providers["groq"].limits == Limits(requests_per_day=1000)
        assert [model.limits.requests_per_day for model in catalog.models()] == [10, 1000]

    def test_rate_limits_of_one_model_beat_those_of_its_provider(self, tmp_path: Path) -> None:
        text = """
            rate_limits:
              groq/b/c: {requests_per_minute: 2}
              groq: {requests_per_minute: 5}
        """
        first, second = self.limits(tmp_path, text)
        assert (first.requests_per_minute, second.requests_per_minute) == (5, 2)

    def test_daily_limits_only_lower(self, tmp_path: Path) -> None:
        lowered = self.limits(tmp_path, "daily_limits: {groq: 7}")
        assert [limits.requests_per_day for limits in lowered] == [7, 7]
        assert self.limits(tmp_path, "daily_limits: {groq: 500}") == self.limits(tmp_path, "")

    def test_a_provider_may_be_called_by_its_other_name(self, tmp_path: Path) -> None:
        first, _ = self.limits(tmp_path, "rate_limits: {groq_llama: {requests_per_minute: 3}}")
        assert first.requests_per_minute == 3

    def test_what_the_user_said_himself_is_known(self, tmp_path: Path) -> None:
        text = """
            rate_limits: {groq: {requests_per_day: 40, requests_per_minute: 5}}
            daily_limits: {groq: 7}
        """
        catalog = load(tmp_path, self.PROVIDERS, text)
        assert catalog.providers["groq"].set_by_user == {"requests_per_day"}
        assert [m.set_by_user for m in catalog.models()] == [{"requests_per_minute"}] * 2

    def test_every_window_can_be_stated(self, tmp_path: Path) -> None:
        stated = dict.fromkeys(limit_names(), 5)
        text = f"providers: {{groq: {{models: [{{id: a, limits: {json.dumps(stated)}}}]}}}}"
        [limits] = [model.limits for model in load(tmp_path, text).models()]
        assert dict(limits.stated()) == stated

    def test_how_periods_end_is_the_providers_fact(self, tmp_path: Path) -> None:
        text = """
            providers:
              groq:
                model: a
                minute_resets: refill
                day_resets: America/Los_Angeles
                keys_share_limits: true
              together: {model: b}
        """
        groq, together = load(tmp_path, text).providers.values()
        assert groq.resets == Resets("refill", "America/Los_Angeles", "UTC")
        assert together.resets == Resets("rolling", "rolling", "UTC")
        assert (groq.keys_share_limits, together.keys_share_limits) == (True, False)

    @pytest.mark.parametrize(
        ("text", "free", "paid"),
        [
            ("", 1.0, 0.9),
            ("stop_at: 0.8", 0.8, 0.8),
            ("stop_at: {openai: 0.5}", 1.0, 0.5),
            ("stop_at: {everyone: 0.95, openai: 0.5}", 0.95, 0.5),
        ],
    )
    def test_stops_near_the_limit_where_calls_cost_money_or_the_user_says_so(
        self, tmp_path: Path, text: str, free: float, paid: float
    ) -> None:
        providers = "providers: {groq: {model: a}, openai: {model: b, paid: true}}"
        catalog = load(tmp_path, providers, text)
        assert [p.stop_at for p in catalog.providers.values()] == [free, paid]

    def test_policy_is_kept(self, tmp_path: Path) -> None:
        text = """
            reserve_for_interactive: 0.5
            waiting: {interactive_seconds: 1, background_seconds: 9}
            parking: {wait_limit_seconds: 5}
            usage: {keep_days: 7}
            retention: {thread_days: 9, workspaces_megabytes: 0.5}
            optimization: {cache_max_megabytes: 8}
        """
        catalog = load(tmp_path, GROQ, text)
        assert catalog.reserve_for_interactive == 0.5
        assert catalog.waiting == Waiting(1, 9)
        assert [catalog.waiting.patience_s(p) for p in ("interactive", "batch")] == [1, 9]
        assert catalog.parking == Parking(5)
        assert catalog.usage == UsageHistory(7)
        assert catalog.retention == Retention(thread_days=9, workspaces_megabytes=0.5)
        assert catalog.optimization.cache_max_megabytes == 8

    def test_routes_of_limits_yaml_beat_those_of_providers_yaml(self, tmp_path: Path) -> None:
        providers = """
            providers: {groq: {model: a}, together: {model: b}}
            routes: {general: [groq], simple_task: [groq]}
        """
        catalog = load(tmp_path, providers, "routes: {general: [together_ai]}")
        assert catalog.routes["general"] == ("together",)
        assert catalog.routes["simple_task"] == ("groq",)

    def test_privacy_is_kept(self, tmp_path: Path) -> None:
        assert load(tmp_path, GROQ, "privacy: private").privacy == "private"


PROVIDER_MISTAKES = {
    "broken yaml": ("providers:\n  groq: {model: a\n", 3, "not valid YAML", "brackets"),
    "tab": ("providers:\n\tgroq: {model: a}\n", 2, "not valid YAML", "no tabs"),
    "key twice": (f"{GROQ}  groq: {{model: b}}\n", 3, 'duplicate key "groq"', "given twice"),
    "impossible date": (
        "providers:\n  groq:\n    model: a\n    checked_on: 2026-02-30\n",
        4, "day is out of range", "on this line",
    ),
    "deep nesting": (f"providers: {'[' * 30}{']' * 30}\n", None, "nested too deeply", "Check"),
    "alias of itself": ("providers: &p\n  groq: *p\n", 2, "`groq` has no model", "Add `model:`"),
    "a list": ("- groq\n", 1, "`providers.yaml`", "Write a mapping"),
    "empty file": ("", 1, "`providers` is missing", "Add `providers:`"),
    "providers a list": ("providers:\n  - groq\n", 1, "`providers`", "Write a mapping"),
    "provider a word": ("providers:\n  groq: llama\n", 2, "`providers.groq` ('llama')", "Write"),
    "unknown word": (
        "providers:\n  groq:\n    modle: a\n", 3, "`providers.groq.modle` is not known",
        "Did you mean `model`?",
    ),
    "unknown word deep inside": (
        "providers:\n  groq:\n    models:\n      - id: a\n        limits:\n          rpm: 3\n",
        6, "limits.rpm` is not known", "Use one of: requests_per_minute,",
    ),
    "unknown section": (f"{GROQ}route: {{}}\n", 3, "`route`", "Did you mean `routes`?"),
    "unknown task": (
        f"{GROQ}routes:\n  code_genration: [groq]\n", 4, "`routes.code_genration`",
        "Did you mean `code_generation`?",
    ),
    "number for a name": ("providers:\n  1: {model: a}\n", 2, "`providers.1` is not", "quotes"),
    "name with a slash": (
        "providers:\n  a/b: {model: a, base_url: 'http://a/v1'}\n", 2, "`a/b` cannot", "Use",
    ),
    "reserved name": (
        "providers:\n  auto: {model: a, base_url: 'http://a/v1'}\n", 2, "`auto` cannot", "not auto",
    ),
    "unknown api": (
        "providers:\n  x:\n    model: a\n    api: grok\n", 4, "`providers.x.api` ('grok')",
        "Write one of gemini, groq, together",
    ),
    "word for a number": (
        "providers:\n  groq:\n    models:\n    - id: a\n      limits: {requests_per_day: many}\n",
        5, "requests_per_day` ('many')", "Write a whole number above 0",
    ),
    "text in digits": (
        "providers:\n  groq:\n    model: a\n    max_tokens: '5'\n", 4, "max_tokens` ('5')",
        "Write a whole number",
    ),
    "boolean for a number": (
        "providers:\n  groq:\n    model: a\n    max_tokens: true\n", 4, "max_tokens` (True)",
        "Write a whole number",
    ),
    "zero": (
        "providers:\n  groq:\n    model: a\n    limits:\n      requests_per_minute: 0\n",
        5, "requests_per_minute` (0)", "Write a whole number above 0",
    ),
    "too warm": (
        "providers:\n  groq:\n    model: a\n    temperature: 3\n", 4, "temperature` (3)",
        "Write a number from 0 to 2",
    ),
    "not a number": (
        "providers:\n  groq:\n    model: a\n    temperature: .nan\n", 4, "temperature` (nan)",
        "Write a number from 0 to 2",
    ),
    "unknown capability": (
        "providers:\n  groq:\n    models:\n    - id: a\n      capabilities:\n      - tool\n",
        6, "('tool')", "Write a list out of tools, json, vision",
    ),
    "no date": (
        "providers:\n  groq:\n    model: a\n    checked_on: yesterday\n", 4, "checked_on`",
        "Write a date such as 2026-11-21",
    ),
    "wrong policy": (
        "providers:\n  groq:\n    model: a\n    trains_on_prompts: maybe\n", 4, "('maybe')",
        "Write yes, no or unknown",
    ),
    "address without scheme": (
        "providers:\n  x:\n    model: a\n    base_url: localhost:9000/v1\n", 4,
        "not an http:// or https:// address", "Write an address such as https://",
    ),
    "address with a wrong port": (
        "providers:\n  x:\n    model: a\n    base_url: http://box:99999/v1\n", 4, "ort", "Write an",
    ),
    "address with a query": (
        "providers:\n  x:\n    model: a\n    base_url: http://box/v1?key=1\n", 4, "its path",
        "Write an address",
    ),
    "address with a broken placeholder": (
        "providers:\n  x:\n    model: a\n    base_url: http://box/${/v1\n", 4, "its path",
        "Write an address",
    ),
    "no address": (
        "providers:\n  my_box:\n    model: a\n", 2, "`my_box` has no address", "Add `base_url:`",
    ),
    "no model": ("providers:\n  groq: {api: groq}\n", 2, "`groq` has no model", "Add `model:`"),
    "no models": ("providers:\n  groq: {models: []}\n", 2, "has no model", "Add `model:`"),
    "model without id": (
        "providers:\n  groq:\n    models:\n      - context: 5\n", 4, "models.0.id` is missing",
        "Add `id:`",
    ),
    "model and models": (
        "providers:\n  groq:\n    model: a\n    models: [b]\n", 4, "both `model` and `models`",
        "Keep one",
    ),
    "model twice": (
        "providers:\n  groq:\n    models:\n      - a\n      - id: a\n", 5, "`a` twice", "Remove",
    ),
    "unknown time zone": (
        "providers:\n  groq:\n    model: a\n    day_resets: America/Los_Angles\n", 4,
        "there is no such time zone", "Write rolling, refill, or a time zone such as UTC",
    ),
    "a path for a time zone": (
        "providers:\n  groq:\n    model: a\n    month_resets: ../UTC\n", 4,
        "there is no such time zone", "Write rolling",
    ),
    "unknown reset of the minute": (
        "providers:\n  groq:\n    model: a\n    minute_resets: UTC\n", 4, "('UTC')",
        "Write rolling or refill",
    ),
    "negative limit": (
        "providers:\n  groq:\n    model: a\n    limits: {concurrent_requests: -1}\n", 4, "(-1)",
        "Write a whole number above 0",
    ),
    "half a rate of credits": (
        "providers:\n  groq:\n    models:\n    - {id: a, credits: {input: 1}}\n", 4,
        "credits.output` is missing", "Add `output:`",
    ),
    "route to nobody": (
        f"{GROQ}routes:\n  general:\n    - groq\n    - gorq\n", 6, "names `gorq`",
        "Did you mean `groq`?",
    ),
    "route twice to one": (
        f"{GROQ}routes:\n  general: [groq, groq_llama]\n", 4, "`groq_llama` twice", "Remove one",
    ),
}  # fmt: skip

LIMIT_MISTAKES = {
    "broken yaml": ("rate_limits: {\n", 2, "not valid YAML", "brackets"),
    "unknown section": ("daily_limit: {}\n", 1, "`daily_limit`", "Did you mean `daily_limits`?"),
    "unknown window": (
        "rate_limits:\n  groq:\n    request_per_day: 5\n", 3, "request_per_day` is not known",
        "Did you mean `requests_per_day`?",
    ),
    "negative": (
        "rate_limits:\n  groq: {requests_per_day: -5}\n", 2, "requests_per_day` (-5)",
        "Write a whole number above 0",
    ),
    "none a day": ("daily_limits:\n  groq: 0\n", 2, "daily_limits.groq` (0)", "`enabled: false`"),
    "unknown provider": (
        "rate_limits:\n  grok: {requests_per_day: 5}\n", 2, "names `grok`", "Did you mean `groq`?",
    ),
    "unknown model": (
        "rate_limits:\n  groq/b: {requests_per_day: 5}\n", 2, "names `groq/b`", "`groq/a`",
    ),
    "daily limit of a model": ("daily_limits: {groq/a: 5}\n", 1, "names `groq/a`", "groq"),
    "unknown emergency": (
        "fallback:\n  max_retries: 1\n  emergency_provider: together\n", 3, "names `together`",
        "Use one of: groq.",
    ),
    "fewer than no retries": ("fallback: {max_retries: -1}\n", 1, "(-1)", "Write a whole number"),
    "no time": ("fallback: {timeout_seconds: 0}\n", 1, "(0)", "Write seconds above 0"),
    "no patience": ("fallback: {hedge_after_seconds: -1}\n", 1, "(-1)", "Write seconds above 0"),
    "no lifetime": ("optimization: {cache_ttl_hours: 0}\n", 1, "(0)", "Write hours above 0"),
    "word for a switch": ("optimization: {enable_caching: 1}\n", 1, "(1)", "Write true or false"),
    "privacy": ("privacy: secret\n", 1, "('secret')", "Write private or any"),
    "share of more than all": ("stop_at: 1.5\n", 1, "(1.5)", "Write a share above 0"),
    "share of nothing": (
        "stop_at:\n  groq: 0\n", 2, "`stop_at.groq` (0)", "Write a share above 0",
    ),
    "share of nobody": ("stop_at: {grok: 0.5}\n", 1, "names `grok`", "Did you mean `groq`?"),
    "everything reserved": (
        "reserve_for_interactive: 1\n", 1, "(1)", "Write a share from 0 up to less than 1",
    ),
    "negative share": ("reserve_for_interactive: -0.1\n", 1, "(-0.1)", "Write a share from 0"),
    "negative wait": ("waiting: {interactive_seconds: -2}\n", 1, "(-2)", "Write seconds from 0"),
    "unknown priority": (
        "waiting: {batch_second: 2}\n", 1, "batch_second` is not known", "background_seconds",
    ),
    "no days": ("usage: {keep_days: 0}\n", 1, "(0)", "Write a whole number above 0"),
    "no threads": ("retention: {thread_days: 0}\n", 1, "(0)", "Write days, a whole number"),
    "no room": ("retention: {runs_megabytes: 0}\n", 1, "(0)", "Write megabytes above 0"),
    "no megabytes": ("optimization: {cache_max_megabytes: 0}\n", 1, "(0)", "megabytes above 0"),
    "negative parking": ("parking: {wait_limit_seconds: -1}\n", 1, "(-1)", "Write seconds"),
    "route to nobody": ("routes: {general: [gorq]}\n", 1, "names `gorq`", "Did you mean `groq`?"),
    "negative credits": (
        "rate_limits:\n  groq: {credits_per_day: -5}\n", 2, "(-5)", "Write a number above 0",
    ),
    "unknown period": (
        "rate_limits:\n  groq: {requests_per_week: 5}\n", 2, "requests_per_week` is not known",
        "Did you mean",
    ),
}  # fmt: skip


class TestMistakes:
    @pytest.mark.parametrize(
        ("text", "line", "message", "fix"), PROVIDER_MISTAKES.values(), ids=PROVIDER_MISTAKES
    )
    def test_in_providers_yaml_are_placed_and_have_a_fix(
        self, tmp_path: Path, text: str, line: int | None, message: str, fix: str
    ) -> None:
        error = failure(tmp_path, text)
        assert (error.file, error.line) == (tmp_path / "providers.yaml", line)
        assert message in error.message
        assert fix in (error.fix or "")
        assert "\n" not in str(error)

    @pytest.mark.parametrize(
        ("text", "line", "message", "fix"), LIMIT_MISTAKES.values(), ids=LIMIT_MISTAKES
    )
    def test_in_limits_yaml_are_placed_and_have_a_fix(
        self, tmp_path: Path, text: str, line: int, message: str, fix: str
    ) -> None:
        error = failure(tmp_path, GROQ, text)
        assert (error.file, error.line) == (tmp_path / "limits.yaml", line)
        assert message in error.message
        assert fix in (error.fix or "")
        assert "\n" not in str(error)

    def test_are_all_reported_at_once_one_a_line(self, tmp_path: Path) -> None:
        error = failure(
            tmp_path,
            """\
            providers:
              groq: {modle: a}
              x: {model: a, base_url: nowhere}
            """,
            "privacy: secret\n",
        )
        places = [line.split(": ")[0] for line in str(error).splitlines()]
        assert places == [
            f"{tmp_path}/providers.yaml:2",
            f"{tmp_path}/providers.yaml:3",
            f"{tmp_path}/limits.yaml:1",
        ]

    def test_a_missing_providers_yaml_names_the_file_and_the_fix(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="no such file") as caught:
            load_catalog(tmp_path / "nowhere")
        assert caught.value.file == tmp_path / "nowhere/providers.yaml"
        assert "POTLUCK_CONFIG_DIR" in str(caught.value)

    def test_a_file_that_is_no_text_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "providers.yaml").write_bytes(b"\xff\xfe\x00p")
        with pytest.raises(ConfigError, match="UTF-8"):
            load_catalog(tmp_path)

    @pytest.mark.parametrize(
        "entry",
        [
            "api_key_env: gsk_Zq3xV9sLw2Kd8RbT5yUiOp1aS4dF7gH0jK6lZ",
            "api_key_env: sk-proj-Zq3xV9sLw2Kd8RbT5yUiOp",
            "api_key: gsk_Zq3xV9sLw2Kd8RbT5yUiOp1aS4dF7gH0jK6lZ",
            "base_url: https://me:Zq3xV9sLw2Kd@box/v1",
            "models: gsk_Zq3xV9sLw2Kd8RbT5yUiOp1aS4dF7gH0jK6lZ",
            "temperature: gsk_Zq3xV9sLw2Kd8RbT5yUiOp1aS4dF7gH0jK6lZ",
        ],
    )
    def test_a_secret_in_the_file_is_refused_without_being_repeated(
        self, tmp_path: Path, entry: str
    ) -> None:
        error = failure(tmp_path, f"providers:\n  groq:\n    model: a\n    {entry}\n")
        assert error.line == 4
        assert "Zq3xV9sLw2Kd" not in str(error)


names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
counts = st.integers(1, 10**12)
windows = ("requests_per_minute", "requests_per_day", "requests_per_month", "tokens_per_day")
text = st.text(st.characters(exclude_categories=("C", "Zl", "Zp")), min_size=1, max_size=12)
model_entries = st.fixed_dictionaries(
    {"id": text},
    optional={
        "context": counts,
        "max_output": counts,
        "temperature": st.floats(0, 2),
        "capabilities": st.lists(st.sampled_from(["tools", "json", "vision"]), unique=True),
        "limits": st.dictionaries(st.sampled_from(windows), counts),
        "checked_on": st.dates(),
        "source": text,
    },
)
provider_entries = st.fixed_dictionaries(
    {
        "base_url": names.map(lambda name: f"https://{name}.example.com/v1"),
        "models": st.lists(model_entries, min_size=1, max_size=3, unique_by=lambda m: m["id"]),
    },
    optional={
        "api": st.sampled_from(["openai", "groq", "together", "huggingface"]),
        "api_key_env": st.lists(st.sampled_from(["ONE_KEY", "Another"]), unique=True),
        "trains_on_prompts": st.sampled_from(["yes", "no", "unknown"]),
        "paid": st.booleans(),
    },
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(entries=st.dictionaries(names.map("p_{}".format), provider_entries, max_size=3))
def test_whatever_is_written_as_yaml_is_read_back_the_same(
    tmp_path: Path, entries: dict[str, dict[str, object]]
) -> None:
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    with (tmp_path / "providers.yaml").open("w", encoding="utf-8") as file:
        yaml.dump({"providers": entries}, file)
    catalog = load_catalog(tmp_path)
    assert list(catalog.providers) == sorted(entries)
    for name, entry in entries.items():
        provider = catalog.providers[name]
        assert provider.base_url == entry["base_url"]
        assert provider.api == entry.get("api", "openai")
        assert list(provider.api_key_env) == entry.get("api_key_env", [])
        assert provider.trains_on_prompts == entry.get("trains_on_prompts", "unknown")
        assert provider.by_name_only is entry.get("paid", False)
        for model, written in zip(provider.models, entry["models"], strict=True):
            expected = {
                **written,
                "limits": Limits(**written.get("limits", {})),
                "capabilities": frozenset(written.get("capabilities", ["tools", "json"])),
            }
            assert model == replace(model, **expected)
