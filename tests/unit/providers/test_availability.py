"""Which providers are on, with which keys and address, and how the others say why not."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx
import pytest

from potluck.providers.availability import statuses
from potluck.providers.catalog import Catalog, Model, Provider, ProviderStatus
from potluck.providers.catalog_file import load_catalog
from potluck.settings import PROJECT_DIR, Settings

OLLAMA = "http://127.0.0.1:11434"
Answer = Callable[[httpx.Request], httpx.Response]
Serve = Callable[[Answer], None]


def provider(
    name: str = "groq",
    *,
    key_names: tuple[str, ...] = (),
    base_url: str | None = "https://llm.example.com/v1",
    enabled: bool = True,
) -> Provider:
    model = Model(provider=name, id="m")
    return Provider(name, "openai", base_url, key_names, models=(model,), enabled=enabled)


def ollama(*models: str) -> Provider:
    listed = tuple(Model(provider="ollama", id=model, context=9) for model in models)
    return Provider("ollama", "ollama", OLLAMA, (), models=listed)


def catalog(*providers: Provider) -> Catalog:
    return Catalog(providers={entry.id: entry for entry in providers}, routes={})


async def status(entry: Provider) -> ProviderStatus:
    (found,) = await statuses(catalog(entry), Settings())
    return found


@pytest.fixture(autouse=True)
def env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An .env of this test's own, and an environment without what the tests set."""
    for name in ("POTLUCK_SIMULATOR", "ONE_KEY", "OTHER_KEY", "ACCOUNT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("POTLUCK_ENV_FILE", str(tmp_path / ".env"))
    return tmp_path / ".env"


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Answers every request with the given function; nothing goes to the network."""

    def install(answer: Answer) -> None:
        transport = httpx.MockTransport(answer)
        client = partial(httpx.AsyncClient, transport=transport)
        monkeypatch.setattr("potluck.providers.availability.httpx.AsyncClient", client)

    return install


def tags(*names: str) -> Answer:
    body = {"models": [{"name": name, "size": 5} for name in names]}
    return lambda _: httpx.Response(200, json=body)


class TestKeys:
    async def test_without_its_key_a_provider_is_off_and_names_it(self) -> None:
        found = await status(provider(key_names=("ONE_KEY",)))
        assert (found.on, found.reason, found.keys) == (False, "ONE_KEY is not set", ())

    async def test_names_every_variable_that_would_do(self) -> None:
        found = await status(provider(key_names=("ONE_KEY", "OTHER_KEY")))
        assert found.reason == "ONE_KEY or OTHER_KEY is not set"

    async def test_one_of_several_keys_is_enough(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OTHER_KEY", " k2 ")
        found = await status(provider(key_names=("ONE_KEY", "OTHER_KEY")))
        assert found.on
        assert [key.get_secret_value() for key in found.keys] == ["k2"]

    async def test_several_keys_are_kept_in_order_and_once(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ONE_KEY", "k1")
        monkeypatch.setenv("OTHER_KEY", "k2")
        monkeypatch.setenv("ACCOUNT", "k1")
        found = await status(provider(key_names=("OTHER_KEY", "ONE_KEY", "ACCOUNT")))
        assert [key.get_secret_value() for key in found.keys] == ["k2", "k1"]
        assert "k1" not in repr(found)

    async def test_a_blank_key_counts_as_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ONE_KEY", "  ")
        assert not (await status(provider(key_names=("ONE_KEY",)))).on

    async def test_keys_are_read_from_the_env_file(self, env_file: Path) -> None:
        env_file.write_text("ONE_KEY=from-file\n", encoding="utf-8")  # noqa: ASYNC240 # nothing else runs in this loop
        found = await status(provider(key_names=("ONE_KEY",)))
        assert [key.get_secret_value() for key in found.keys] == ["from-file"]

    async def test_who_needs_no_key_is_on(self) -> None:
        found = await status(provider())
        assert (found.on, found.reason, found.keys) == (True, "needs no key", ())


class TestSwitches:
    async def test_paid_says_when_it_is_used(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ONE_KEY", "k")
        paid = replace(provider(key_names=("ONE_KEY",)), paid=True, by_name_only=True)
        found = await status(paid)
        assert found.on
        assert found.reason == "paid: asked by name, or while no free provider is on"

    async def test_switched_off_says_so(self) -> None:
        found = await status(provider(enabled=False))
        assert not found.on
        assert found.reason == "switched off (`enabled: true` in providers.yaml)"


class TestAddress:
    ENTRY = provider(base_url="https://api.example.com/${ACCOUNT}/v1/${ACCOUNT}")

    async def test_is_filled_from_the_settings(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ACCOUNT", "acc-7")
        found = await status(self.ENTRY)
        assert (found.on, found.base_url) == (True, "https://api.example.com/acc-7/v1/acc-7")

    async def test_turns_the_provider_off_when_a_part_is_not_set(self) -> None:
        found = await status(self.ENTRY)
        assert (found.on, found.reason) == (False, "ACCOUNT is not set")

    @pytest.mark.parametrize("value", ["a b", "x?y=1", "me@elsewhere"])
    async def test_takes_nothing_that_would_lead_elsewhere(
        self, monkeypatch: pytest.MonkeyPatch, value: str
    ) -> None:
        monkeypatch.setenv("ACCOUNT", value)
        found = await status(self.ENTRY)
        assert (found.on, found.reason) == (False, "ACCOUNT cannot be part of an address")


class TestOllama:
    async def test_is_on_with_the_models_it_has(self, serve: Serve) -> None:
        asked: list[str] = []

        def answer(request: httpx.Request) -> httpx.Response:
            asked.append(f"{request.method} {request.url}")
            return tags("llama3.2:3b", "qwen3:0.6b")(request)

        serve(answer)
        found = await status(ollama("qwen3:0.6b", "mistral:7b"))
        assert asked == [f"GET {OLLAMA}/api/tags"]
        assert (found.on, found.base_url) == (True, OLLAMA)
        assert [(model.id, model.context) for model in found.provider.models] == [("qwen3:0.6b", 9)]

    async def test_knows_that_no_tag_means_latest(self, serve: Serve) -> None:
        serve(tags("qwen3:latest"))
        found = await status(ollama("qwen3"))
        assert [model.id for model in found.provider.models] == ["qwen3"]

    async def test_takes_what_is_installed_when_the_catalogs_is_not(self, serve: Serve) -> None:
        serve(tags("nomic-embed-text:latest", "llama3.2:3b", "gemma3:1b"))
        found = await status(ollama("qwen3:0.6b"))
        assert [model.ref for model in found.provider.models] == [
            "ollama/llama3.2:3b",
            "ollama/gemma3:1b",
        ]

    async def test_without_a_model_says_what_to_pull(self, serve: Serve) -> None:
        serve(tags("nomic-embed-text:latest"))
        found = await status(ollama("qwen3:0.6b"))
        assert not found.on
        assert "ollama pull qwen3:0.6b" in found.reason

    async def test_that_does_not_run_is_off(self, serve: Serve) -> None:
        def refuse(request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("refused", request=request)

        serve(refuse)
        found = await status(ollama("qwen3:0.6b"))
        assert (found.on, found.reason) == (False, f"no Ollama at {OLLAMA}")

    @pytest.mark.parametrize(
        ("response", "reason"),
        [
            (httpx.Response(404, text="nginx"), f"{OLLAMA} answers HTTP 404"),
            (httpx.Response(302, headers={"Location": "/"}), f"{OLLAMA} answers HTTP 302"),
            (httpx.Response(200, text="<html>"), f"what answers at {OLLAMA} is not an Ollama"),
            (httpx.Response(200, json=["x"]), f"what answers at {OLLAMA} is not an Ollama"),
        ],
    )
    async def test_something_else_on_its_port_is_not_taken_for_it(
        self, serve: Serve, response: httpx.Response, reason: str
    ) -> None:
        serve(lambda _: response)
        found = await status(ollama("qwen3:0.6b"))
        assert (found.on, found.reason) == (False, reason)

    async def test_that_hangs_holds_nobody_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Hanging(httpx.AsyncBaseTransport):
            async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
                await asyncio.sleep(30)
                raise AssertionError(request)

        client = partial(httpx.AsyncClient, transport=Hanging())
        monkeypatch.setattr("potluck.providers.availability.httpx.AsyncClient", client)
        async with asyncio.timeout(5):
            (found,) = await statuses(catalog(ollama("m")), Settings(), timeout_s=0.01)
        assert (found.on, found.reason) == (False, f"{OLLAMA} did not answer within 0.01 s")


class TestSimulator:
    async def test_turns_everyone_on_at_their_own_path(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("POTLUCK_SIMULATOR", "http://127.0.0.1:9100")
        shipped = load_catalog(PROJECT_DIR / "config")
        found = {entry.provider.id: entry for entry in await statuses(shipped, Settings())}
        assert list(found) == list(shipped.providers)
        assert all(entry.on for entry in found.values())
        assert all(bool(one.keys) == bool(one.provider.api_key_env) for one in found.values())
        simulator = "http://127.0.0.1:9100"
        assert {name: entry.base_url for name, entry in found.items()} == {
            "google_gemini": f"{simulator}/google_gemini",
            "groq": f"{simulator}/groq/openai/v1",
            "cerebras": f"{simulator}/cerebras/v1",
            "mistral": f"{simulator}/mistral/v1",
            "openrouter": f"{simulator}/openrouter/api/v1",
            "nvidia": f"{simulator}/nvidia/v1",
            "cloudflare": f"{simulator}/cloudflare/client/v4/accounts/simulated/ai/v1",
            "sambanova": f"{simulator}/sambanova/v1",
            "cohere": f"{simulator}/cohere/compatibility/v1",
            "huggingface": f"{simulator}/huggingface/v1",
            "together": f"{simulator}/together/v1",
            "ollama": f"{simulator}/ollama",
            "openai": f"{simulator}/openai/v1",
        }

    async def test_never_sees_a_real_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("POTLUCK_SIMULATOR", "http://127.0.0.1:9100")
        monkeypatch.setenv("ONE_KEY", "real")
        found = await status(provider(key_names=("ONE_KEY",)))
        assert [key.get_secret_value() for key in found.keys] != ["real"]


async def test_statuses_come_in_the_catalogs_order(serve: Serve) -> None:
    serve(tags("m"))
    wanted = catalog(ollama("m"), provider("b"), provider("a"))
    assert [found.provider.id for found in await statuses(wanted, Settings())] == [
        *("ollama", "b", "a"),
    ]
