"""A YAML file read for checking: plain values, and the line that each of them stands on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import ConstructorError, RoundTripConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import Node

from potluck.errors import ConfigError

Place = tuple[str | int, ...]

DEEPEST = 20


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a configuration file, and how to mend it."""

    file: Path
    line: int | None
    message: str
    fix: str

    def error(self) -> ConfigError:
        """The problem as an error to raise."""
        return ConfigError(self.message, file=self.file, line=self.line, fix=self.fix)


def config_error(problems: Sequence[Problem]) -> ConfigError:
    """One error for all problems: placed at the first, with each of the others on its own line."""
    first = problems[0].error()
    others = [str(problem.error()) for problem in problems[1:]]
    fix = "\n".join([problems[0].fix, *others])
    return ConfigError(first.message, file=first.file, line=first.line, fix=fix)


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed YAML file; a place in it is the path of keys and indexes that leads there."""

    file: Path
    tree: object
    values: object

    def line(self, place: Place) -> int:
        """The line (from 1) of the deepest part of `place` that is written in the file."""
        node, line = self.tree, 1
        for part in place:
            step = _step(node, part)
            if step is None:
                break
            node, line = step
        return line

    def problem(self, place: Place, message: str, fix: str) -> Problem:
        """A problem at that place of this file."""
        return Problem(self.file, self.line(place), message, fix)


def read_document(file: Path) -> Document:
    """Read one YAML file. Raises ConfigError with the line when it is not YAML."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(
            "The file is not UTF-8 text.", file=file, line=None, fix="Save it as UTF-8."
        ) from error
    except OSError as error:
        raise ConfigError(
            f"The file cannot be read ({error.strerror}).",
            file=file,
            line=None,
            fix="Give this user the right to read it.",
        ) from error
    yaml = YAML(typ="rt", pure=True)
    yaml.Constructor = _PlacedConstructor
    try:
        tree = yaml.load(text)
        return Document(file, tree, _plain(tree))
    except YAMLError as error:
        raise _syntax_problem(file, error).error() from error
    except RecursionError as error:
        raise Problem(
            file, None, "The file is nested too deeply.", "Flatten it."
        ).error() from error


class _PlacedConstructor(RoundTripConstructor):
    """Says where a value stands that looks like a date or number but is none."""

    def construct_object(self, node: Node, deep: bool = False) -> object:  # noqa: FBT001, FBT002 # the base class's signature
        try:
            return super().construct_object(node, deep=deep)
        except ValueError as error:
            raise ConstructorError(None, None, str(error), node.start_mark) from error


def _step(node: object, part: str | int) -> tuple[object, int] | None:
    try:
        if isinstance(node, CommentedMap):
            return node[part], node.lc.key(part)[0] + 1
        if isinstance(node, CommentedSeq):
            return node[part], node.lc.item(part)[0] + 1
    except (KeyError, IndexError, TypeError):
        # no such part, or (a YAML merge `<<`) one that is written elsewhere
        return None
    return None


def _plain(node: object, depth: int = 0) -> object:
    if depth > DEEPEST:
        raise ConstructorError(problem="nested too deeply, or an alias that contains itself")
    if isinstance(node, Mapping):
        return {key: _plain(value, depth + 1) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(item, depth + 1) for item in node]
    return node


def _syntax_problem(file: Path, error: YAMLError) -> Problem:
    what, line = "it cannot be read", None
    if isinstance(error, MarkedYAMLError):
        # of a name given twice it shows both values, one of which may be a key
        what = (error.problem or error.context or what).partition(" with value")[0]
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
    return Problem(
        file,
        line,
        f"This is not valid YAML: {what.strip()}.",
        "Check the indentation (spaces, no tabs), colons, brackets and quotes on this line "
        "and the one above, and that no name is given twice.",
    )
