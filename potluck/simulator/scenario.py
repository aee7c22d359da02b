"""Scenarios: what befalls the providers, written down in a YAML file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

from potluck.errors import ConfigError
from potluck.simulator.clock import Clock
from potluck.simulator.forms import Form
from potluck.simulator.rule_form import RuleForm
from potluck.simulator.script import Script
from potluck.simulator.trouble_form import TroubleForm

_FOLDER = Path(__file__).parent / "scenarios"


class _ScenarioForm(Form):
    name: str
    about: str = ""
    start: datetime | None = None
    speed: Annotated[float, Field(gt=0)] = 1.0
    limits: bool = True
    seed: int = 0
    rules: tuple[RuleForm, ...] = ()
    troubles: tuple[TroubleForm, ...] = ()


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario, ready to run: its script, its clock, and whether free-tier limits hold."""

    name: str
    about: str
    limits: bool
    clock: Clock
    script: Script


def scenario_names() -> tuple[str, ...]:
    """The ready scenarios, by name."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml")))


def load_scenario(source: str | Path, *, speed: float | None = None) -> Scenario:
    """Read a scenario: a file, or the name of a ready one; its time begins now.

    `speed` overrides that of the file. Raises ConfigError with file, line and fix.
    """
    path = _path_of(source)
    form = _read(path)
    start = form.start or datetime.now(UTC)
    start = start.replace(tzinfo=start.tzinfo or UTC).astimezone(UTC)
    script = Script(
        [rule.rule() for rule in form.rules],
        troubles=[trouble.trouble(start) for trouble in form.troubles],
        seed=form.seed,
    )
    clock = Clock(speed=speed or form.speed, start=start)
    return Scenario(form.name, form.about, form.limits, clock, script)


def _path_of(source: str | Path) -> Path:
    if str(source) in scenario_names():
        return _FOLDER / f"{source}.yaml"
    path = Path(source)
    if path.is_file():
        return path
    names = ", ".join(scenario_names())
    raise ConfigError(
        "There is no such scenario.",
        file=path,
        line=None,
        fix=f"Give a YAML file, or one of: {names}.",
    )


def _read(path: Path) -> _ScenarioForm:
    try:
        data: object = YAML(typ="rt", pure=True).load(path)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        raise ConfigError(
            f"This is no YAML: {error.problem}.",
            file=path,
            line=mark.line + 1 if mark is not None else None,
            fix="Mend the line; check indents, quotes and colons.",
        ) from error
    try:
        return _ScenarioForm.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        raise ConfigError(
            f"{place or 'The file'}: {first['msg']}.",
            file=path,
            line=_line_of(data, first["loc"]),
            fix="See docs/simulator.md for what a scenario may say.",
        ) from error


def _line_of(data: object, place: Sequence[int | str]) -> int | None:
    """The line of the deepest part of `place` that the file has."""
    line: int | None = None
    for step in place:
        marks = getattr(data, "lc", None)
        if isinstance(data, Mapping) and step in data and marks is not None:
            line = marks.key(step)[0] + 1
            data = data[step]
        elif isinstance(data, list) and isinstance(step, int) and step < len(data):
            line = marks.item(step)[0] + 1 if marks is not None else line
            data = data[step]
    return line
