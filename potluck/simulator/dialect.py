"""What every wire has to do: know its paths, read a request, write answers and errors."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from potluck.simulator.profile import DialectName, Profile
from potluck.simulator.reply import Reply
from potluck.simulator.request import ModelRequest

Action = Literal["chat", "models", "model", "version"]

BAD_KEY = "bad-key"
UNKNOWN_MODEL = "no-such-model"


class Refusal(Exception):  # noqa: N818 # it is an answer of the provider, not an error of ours
    """The provider turns a request down; `param` and `code` as OpenAI's errors have them."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        param: str | None = None,
        code: str | None = None,
        kind: str = "invalid_request_error",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.param = param
        self.code = code
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Target:
    """What a path asks for; `model` and `stream` where the path says them."""

    action: Action
    model: str | None = None
    stream: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """One HTTP request to one provider; `path` is the provider's own, headers are lower case."""

    provider: str
    profile: Profile
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One answer to be written: to what, as whom, with which id, when."""

    profile: Profile
    request: ModelRequest
    reply: Reply
    id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class WireError:
    """An error answer, ready to be sent as JSON."""

    status: int
    body: object
    headers: Mapping[str, str] = field(default_factory=dict)


class Dialect(Protocol):
    """One wire format. Implementations keep no state."""

    name: DialectName
    stream_type: str
    stream_end: bytes

    def target(self, method: str, path: str) -> Target | None:
        """What this path asks for, or None when it is not of this wire."""

    def key(self, incoming: Incoming) -> str | None:
        """The API key the request carries."""

    def parse(self, incoming: Incoming, target: Target) -> ModelRequest:
        """Read and check a request as the real provider would. Raises Refusal."""

    def whole(self, answer: Outgoing) -> object:
        """The answer as one JSON body."""

    def chunks(self, answer: Outgoing) -> Iterator[bytes]:
        """The answer as the chunks of a stream, without `stream_end`."""

    def models(self, profile: Profile, at: datetime) -> object:
        """The list of models."""

    def model(self, profile: Profile, model: str, at: datetime) -> object:
        """One entry of the list of models."""

    def error(self, profile: Profile, refusal: Refusal) -> WireError:
        """The refusal in this wire's form."""

    def error_chunk(self, answer: Outgoing, error: WireError) -> bytes:
        """An error in the middle of a stream."""
