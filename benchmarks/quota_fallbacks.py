"""Plain LangChain in the quota benchmark: the vendors' classes joined by `with_fallbacks`."""

import asyncio
import json
import sys
from collections.abc import Mapping
from typing import Any, cast

from langchain_core.language_models import BaseChatModel
from pydantic import SecretStr

from benchmarks.quota_cells import Ask, LaterError, Run, loop_factory, play
from benchmarks.quota_tiers import TIERS, WARM_UP, Cell, Tier
from potluck.providers.catalog import Api, Model, Provider
from potluck.providers.vendors import build_chat_model, close_chat_model

TIMEOUT_S = 60.0


def models_for(url: str, key: str) -> list[BaseChatModel]:
    """The class of each of the tiers' models; their own retries are off."""
    return [
        build_chat_model(
            _provider(tier), Model(provider=tier.provider, id=model),
            api_key=SecretStr(key), base_url=f"{url}/{tier.provider}{tier.path}",
            timeout_s=TIMEOUT_S,
        )
        for tier in TIERS
        for model in tier.models
    ]  # fmt: skip


def asker(models: list[BaseChatModel]) -> Ask:
    """Asks them in order; a refusal by the first, which is all that is told, is a LaterError."""
    joined = models[0].with_fallbacks(models[1:])

    async def ask(text: str, number: int) -> None:
        del number
        try:
            await joined.ainvoke(text)
        except Exception as error:
            response = getattr(error, "response", None)
            if getattr(response, "status_code", None) != 429:
                raise
            raise LaterError(_wait_s(cast("Any", response).headers)) from error

    return ask


def _wait_s(headers: Mapping[str, str]) -> float | None:
    told = headers.get("retry-after")
    return float(told) if told else None


def _provider(tier: Tier) -> Provider:
    return Provider(
        id=tier.provider, api=cast("Api", tier.api), base_url=None, api_key_env=(), models=()
    )


async def _main(given: dict[str, Any]) -> dict[str, object]:  # Any: JSON from our own side
    cells = [Cell(**cell) for cell in given["cells"]]
    models = [models_for(given["url"], cell.key) for cell in cells]
    try:
        for model in (model for some in models for model in some):
            await model.ainvoke(WARM_UP)
        return await play(cells, [asker(one) for one in models], Run(**given["run"]))
    finally:
        for model in (model for some in models for model in some):
            await close_chat_model(model)


def main() -> None:
    """Play what the argument says; print the figures as the last line."""
    given = json.loads(sys.argv[1])
    with asyncio.Runner(loop_factory=loop_factory(given["run"]["speed"])) as runner:
        print(json.dumps(runner.run(_main(given))))


if __name__ == "__main__":
    main()
