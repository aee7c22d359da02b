"""Unit tests: no network, no clock of the machine."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import Runnable, RunnableLambda
from pytest_socket import disable_socket, enable_socket

from potluck.engine import Engine, use_engine
from potluck.providers.catalog import Catalog
from potluck.providers.chain import Call, ChainModel
from potluck.settings import Settings

Script = Sequence[AIMessage | Callable[[Call, list[BaseMessage]], AIMessage]]


@pytest.fixture(autouse=True)
def no_network() -> Iterator[None]:
    disable_socket(allow_unix_socket=True)
    yield
    enable_socket()


@dataclass
class ScriptedChain:
    """Stands in for the chain: answers with the next message of its script, and keeps the calls."""

    script: list[Any] = field(default_factory=list)
    calls: list[tuple[Call, list[BaseMessage]]] = field(default_factory=list)
    room_tokens: int | None = None

    def runnable(self, call: Call) -> Runnable[LanguageModelInput, AIMessage]:
        async def answer(messages: list[BaseMessage]) -> AIMessage:
            self.calls.append((call, messages))
            assert self.script, "the script has no more replies: one call too many was made"
            reply = self.script.pop(0)
            return reply(call, messages) if callable(reply) else reply

        return RunnableLambda(answer)

    def room(self, call: Call) -> int | None:  # noqa: ARG002 # the chain's
        return self.room_tokens

    def models(self) -> list[ChainModel]:
        return [ChainModel("groq/x", "groq", None, on=True, reason="key set")]

    def tool_names(self, number: int) -> set[str]:
        return {
            getattr(tool, "name", getattr(tool, "__name__", ""))
            for tool in self.calls[number][0].tools
        }

    def prompt(self, number: int) -> str:
        return str(self.calls[number][1][0].text)


@pytest.fixture
def chain() -> ScriptedChain:
    return ScriptedChain()


@pytest.fixture
def engine(chain: ScriptedChain, tmp_path: Path) -> Iterator[Engine]:
    settings = Settings(potluck_home=tmp_path)
    made = Engine(settings, Catalog({}, {}), (), chain)  # type: ignore[arg-type] # stands in
    with use_engine(made):
        yield made
