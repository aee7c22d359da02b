"""Every error that Potluck raises on purpose; each message says what to do next.

PotluckError
|- ConfigError       a YAML file of config/ is wrong: file, line, fix
|- SettingError      an environment variable or .env entry is wrong
|- StartError        the server cannot start here: port, data folder, second server
|- DatabaseError     PostgreSQL is not to be had
|- BackupError       a backup cannot be made, or cannot be restored
|- ToolError         a tool could not do it; the text goes to the model
|  `- SandboxError   model-written code cannot be run here, or not as asked
|- ProviderError     one call to one model of one provider failed
|- ChainError        every link of a chain failed; names each of them
`- BudgetError       a run used up its calls or tokens
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path


class PotluckError(Exception):
    """An error with a sentence for the user and, where there is one, the fix."""

    def __init__(self, message: str, *, fix: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message} {self.fix}" if self.fix else self.message


class ConfigError(PotluckError):
    """A configuration file says something that makes no sense."""

    def __init__(self, message: str, *, file: Path, line: int | None, fix: str) -> None:
        super().__init__(message, fix=fix)
        self.file = file
        self.line = line

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line is not None else str(self.file)
        return f"{place}: {self.message} Fix: {self.fix}"


class SettingError(PotluckError):
    """A setting (environment variable or .env entry) has a value that cannot be used."""


class StartError(PotluckError):
    """The server cannot start on this machine as asked."""


class DatabaseError(PotluckError):
    """PostgreSQL could not be started or reached."""


class BackupError(PotluckError):
    """A backup could not be made or restored; what was there before is as it was."""


class ToolError(PotluckError):
    """A tool could not do what it was asked; the message is written for the model to act on.

    `may_pass` when the same call may succeed a moment later.
    """

    def __init__(self, message: str, *, fix: str | None = None, may_pass: bool = False) -> None:
        super().__init__(message, fix=fix)
        self.may_pass = may_pass


class SandboxError(ToolError):
    """Model-written code could not be run: no sandbox, or not within what it allows."""


class BudgetError(PotluckError):
    """A run has used up its budget of model calls or tokens."""


class ErrorKind(StrEnum):
    """What went wrong in a call to a provider; decides what the chain does next."""

    MINUTE = "minute"
    DAY = "day"
    MONTH = "month"
    CREDITS = "credits"
    CONCURRENCY = "concurrency"
    AUTH = "auth"
    MODEL_GONE = "model_gone"
    TOO_LARGE = "too_large"
    BAD_TOOL_CALL = "bad_tool_call"
    CONTENT_FILTER = "content_filter"
    EMPTY = "empty"
    OVERLOAD = "overload"
    NETWORK = "network"
    TIMEOUT = "timeout"
    CALLER = "caller"
    UNKNOWN = "unknown"


class ErrorScope(StrEnum):
    """What an error speaks about: one request, a model, a key, or the whole provider."""

    REQUEST = "request"
    MODEL = "model"
    KEY = "key"
    PROVIDER = "provider"


@dataclass(frozen=True, slots=True)
class ProviderFault:
    """What is known of a failed call: kind, scope, and until when it lasts (None: unknown)."""

    kind: ErrorKind
    scope: ErrorScope
    message: str
    until: datetime | None = None
    status: int | None = None


class ProviderError(PotluckError):
    """One call to one model failed; carries the fault, free of secrets."""

    def __init__(self, provider: str, model: str, fault: ProviderFault) -> None:
        back = f", back at {fault.until:%Y-%m-%d %H:%M:%S %Z}" if fault.until else ""
        super().__init__(f"{provider}/{model}: {fault.kind.value}: {fault.message}{back}")
        self.provider = provider
        self.model = model
        self.fault = fault

    @property
    def kind(self) -> ErrorKind:
        """The fault's kind."""
        return self.fault.kind

    def copy(self) -> "ProviderError":
        """The same error without its traceback, which holds every frame it came through."""
        return ProviderError(self.provider, self.model, self.fault)


QUOTA_KINDS = frozenset(
    {
        ErrorKind.MINUTE,
        ErrorKind.DAY,
        ErrorKind.MONTH,
        ErrorKind.CREDITS,
        ErrorKind.CONCURRENCY,
    }
)


_QUOTAS = {
    ErrorKind.MINUTE: "quota for the minute",
    ErrorKind.DAY: "quota for the day",
    ErrorKind.MONTH: "quota for the month",
    ErrorKind.CREDITS: "credits",
    ErrorKind.CONCURRENCY: "calls at once",
}


class ChainError(PotluckError):
    """Every model that could have answered this call failed."""

    def __init__(self, attempts: Sequence[ProviderError]) -> None:
        tried = "; ".join(_told(attempts)) or "no model fits this call"
        super().__init__(f"No model could answer: {tried}.")
        self.attempts = tuple(attempts)
        self.fix = (
            "Mend the request: no model would take it as it is."
            if self.is_callers
            else "Wait until one is back, or add a key: see `potluck check`."
        )

    @property
    def is_callers(self) -> bool:
        """Whether the request itself is wrong: two providers say so, or one, and none has quota.

        One alone may be wrong about it, and another that has no quota now may take it later.
        """
        refusing = {a.provider for a in self.attempts if a.kind is ErrorKind.CALLER}
        is_out = any(a.kind in QUOTA_KINDS for a in self.attempts)
        return len(refusing) > 1 or (bool(refusing) and not is_out)

    @property
    def is_quota(self) -> bool:
        """Whether a model could answer once it has quota again: waiting helps."""
        return not self.is_callers and any(a.kind in QUOTA_KINDS for a in self.attempts)

    @property
    def back_at(self) -> datetime | None:
        """When the first of the failed models is back, if any of them told."""
        return min((a.fault.until for a in self.attempts if a.fault.until), default=None)


def _told(attempts: Sequence[ProviderError]) -> Iterator[str]:
    """The attempts in words; of quota it is enough to know whose, and from when there is some."""
    out: dict[tuple[str, ErrorKind], list[ProviderError]] = {}
    for attempt in attempts:
        if attempt.kind in QUOTA_KINDS:
            out.setdefault((attempt.provider, attempt.kind), []).append(attempt)
    for attempt in attempts:
        if attempt.kind not in QUOTA_KINDS:
            yield str(attempt)
        elif alike := out.pop((attempt.provider, attempt.kind), None):
            yield _out_of_quota(alike)


def _out_of_quota(alike: Sequence[ProviderError]) -> str:
    first = alike[0]
    back_at = min((each.fault.until for each in alike if each.fault.until), default=None)
    models = f"/{first.model}" if len(alike) == 1 else f" ({len(alike)} models)"
    back = f" until {back_at:%Y-%m-%d %H:%M:%S %Z}" if back_at else ""
    return f"{first.provider}{models}: out of {_QUOTAS[first.kind]}{back}"
