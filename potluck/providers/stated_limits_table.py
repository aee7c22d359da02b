"""The table of how providers tell their limits, read from `stated_limits.yaml` and checked."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict
from ruamel.yaml import YAML

from potluck.quota.windows import Period, Unit

_FILE = Path(__file__).with_name("stated_limits.yaml")


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _HeaderForm(_Form):
    header: str
    unit: Unit
    period: Period | Literal["by_reset"] | None = None
    periods: tuple[Period, ...] = ()
    per_second: bool = False
    account_wide: bool = False


class _DialectForm(_Form):
    names: tuple[str, ...] = ()
    apis: tuple[str, ...] = ()
    when: str | None = None
    windows: tuple[_HeaderForm, ...]
    checked_on: date
    source: str


class TextForm(_Form):
    """What one sentence in the texts of refusals tells; see the head of the table."""

    pattern: re.Pattern[str]
    unit: Unit | None = None
    period: Period | None = None
    account_wide: bool = False
    spent: bool = False
    ends: Literal["utc_day", "utc_month"] | None = None
    checked_on: date
    source: str


class _TableForm(_Form):
    headers: tuple[_DialectForm, ...]
    texts: tuple[TextForm, ...]


@dataclass(frozen=True, slots=True)
class HeaderSet:
    """The headers of one window; `period` None: the time until the reset must tell."""

    unit: Unit
    period: Period | None
    limit: str
    remaining: str
    reset: str
    renewal: str
    per_second: bool
    account_wide: bool

    @property
    def names(self) -> frozenset[str]:
        """The names of all of them."""
        return frozenset((self.limit, self.remaining, self.reset, self.renewal))


@dataclass(frozen=True, slots=True)
class Dialect:
    """The headers that some providers send, or all."""

    providers: tuple[str, ...]
    apis: frozenset[str]
    when: str | None
    sets: tuple[HeaderSet, ...]

    def fits(self, provider: str, api: str, names: frozenset[str]) -> bool:
        """Whether headers of these names, from that provider, are to be read this way."""
        if not (self.providers or self.apis or self.when):
            return True
        lowered = provider.lower()
        named = any(name in lowered for name in self.providers)
        return named or api in self.apis or self.when in names


@dataclass(frozen=True, slots=True)
class Table:
    """All that is known of how providers tell their limits."""

    dialects: tuple[Dialect, ...]
    texts: tuple[TextForm, ...]
    header_names: frozenset[str]


def _read() -> Table:
    form = _TableForm.model_validate(YAML(typ="safe").load(_FILE.read_text("utf-8")))
    dialects = tuple(
        Dialect(
            providers=one.names,
            apis=frozenset(one.apis),
            when=one.when,
            sets=tuple(part for window in one.windows for part in _header_sets(window)),
        )
        for one in form.headers
    )
    names = {name for one in dialects for part in one.sets for name in part.names}
    return Table(dialects, form.texts, frozenset(names))


def _header_sets(form: _HeaderForm) -> Iterator[HeaderSet]:
    periods = form.periods or (None if form.period == "by_reset" else form.period,)
    for period in periods:
        named = form.header.replace("{period}", period or "")
        yield HeaderSet(
            unit=form.unit,
            period=period,
            limit=named.format(what="limit"),
            remaining=named.format(what="remaining"),
            reset=named.format(what="reset"),
            renewal=named.format(what="renewalperiod"),
            per_second=form.per_second,
            account_wide=form.account_wide,
        )


TABLE = _read()
