"""Troubles as JSON or YAML."""

from datetime import datetime, time, timedelta
from typing import Annotated, Self

from pydantic import Field, model_validator

from potluck.simulator.forms import Form, Seconds
from potluck.simulator.reply import CutKind, Fault, FaultKind
from potluck.simulator.rule_form import FaultForm, WhenForm, fault_of
from potluck.simulator.trouble import Schedule, Spread, Trouble

_Count = Annotated[int, Field(ge=0)]


class SpreadForm(Form):
    """A duration that varies."""

    median_s: Annotated[float, Field(gt=0)]
    p95_s: Annotated[float, Field(gt=0)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.p95_s < self.median_s:
            raise ValueError("p95_s must not be less than median_s")
        return self


class TroubleForm(Form):
    """One trouble; `until` is an hour of the day in UTC, the next to come."""

    when: WhenForm = WhenForm()
    chance: Annotated[float, Field(gt=0, le=1)] = 1.0
    times: Annotated[int, Field(ge=1)] | None = None
    fault: FaultKind | FaultForm | None = None
    first_byte_s: SpreadForm | Seconds | None = None
    per_chunk_s: SpreadForm | Seconds | None = None
    cut_after: _Count | Annotated[list[_Count], Field(min_length=2, max_length=2)] | None = None
    cut: CutKind = "drop"
    empty: bool = False
    bad_tool_json: bool = False
    after_s: Seconds = 0.0
    until_s: Seconds | None = None
    until: time | None = None
    every_s: Annotated[float, Field(gt=0)] | None = None
    lasting_s: Seconds = 0.0

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.until is not None and self.until_s is not None:
            raise ValueError("takes until or until_s, not both")
        if (self.every_s is None) != (self.lasting_s == 0):
            raise ValueError("every_s and lasting_s go together")
        if isinstance(self.cut_after, list) and self.cut_after[0] > self.cut_after[1]:
            raise ValueError("cut_after must be a number, or the least and the most")
        return self

    def trouble(self, start: datetime) -> Trouble:
        """The trouble, for a simulator whose time begins at `start`."""
        cut = self.cut_after
        return Trouble(
            when=self.when.when(),
            schedule=self._schedule(start),
            chance=self.chance,
            times=self.times,
            fault=self._fault(),
            first_byte=_spread(self.first_byte_s),
            per_chunk=_spread(self.per_chunk_s),
            cut_after=(cut[0], cut[1]) if isinstance(cut, list) else cut,
            cut=self.cut,
            empty=self.empty,
            bad_tool_json=self.bad_tool_json,
        )

    def _fault(self) -> Fault | None:
        return fault_of(self.fault)

    def _schedule(self, start: datetime) -> Schedule:
        until_s = self.until_s
        if self.until is not None:
            end = datetime.combine(start.date(), self.until, start.tzinfo)
            end += timedelta(days=1) if end <= start else timedelta()
            until_s = (end - start).total_seconds()
        return Schedule(self.after_s, until_s, self.every_s, self.lasting_s)


def _spread(form: SpreadForm | float | None) -> Spread | float | None:
    return Spread(form.median_s, form.p95_s) if isinstance(form, SpreadForm) else form
