"""Lines of providers.yaml to take out and to put in, for a person to edit it by."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

from potluck.providers.catalog import Capability
from potluck.providers.model_lists import ServedModel
from potluck.yaml_document import Document, Place, read_document

_DEFAULT_CAPABILITIES: frozenset[Capability] = frozenset({"tools", "json"})
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*(?::[A-Za-z0-9_.-]+)?")
_WORDS = frozenset({"yes", "no", "on", "off", "true", "false", "null", "y", "n"})


def lines_to_remove(file: Path, provider: str, models: Sequence[str]) -> tuple[str, ...]:
    """Where each of these models begins in the file: its line, with the number before it."""
    if not models:
        return ()
    document = read_document(file)
    lines = file.read_text(encoding="utf-8-sig").splitlines()
    found = [
        document.line(place)
        for model in models
        if (place := _place(document, provider, model)) is not None
    ]
    return tuple(f"line {number}: {lines[number - 1].strip()}" for number in sorted(set(found)))


def lines_to_add(models: Sequence[ServedModel], today: date) -> tuple[str, ...]:
    """The models as entries of `models:`; figures that nobody states are left out."""
    return tuple(line for model in models for line in _entry(model, today))


def _entry(model: ServedModel, today: date) -> list[str]:
    lines = [f"- id: {_scalar(model.id)}"]
    if model.context is not None:
        lines.append(f"  context: {model.context}")
    if model.capabilities is not None and model.capabilities != _DEFAULT_CAPABILITIES:
        lines.append(f"  capabilities: [{', '.join(sorted(model.capabilities))}]")
    return [*lines, f"  checked_on: {today.isoformat()}"]


def _scalar(text: str) -> str:
    """The name as YAML takes it, quoted where it must be: JSON's strings are YAML's too."""
    plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
    return text if plain else json.dumps(text, ensure_ascii=False)


def _place(document: Document, provider: str, model: str) -> Place | None:
    """Where the model stands: in the list `models`, or alone as `model`."""
    entry = _at(_at(document.values, "providers"), provider)
    listed = _at(entry, "models")
    if not isinstance(listed, list):
        return ("providers", provider, "model")
    names = [_at(item, "id") if isinstance(item, Mapping) else item for item in listed]
    return ("providers", provider, "models", names.index(model)) if model in names else None


def _at(value: object, key: str) -> object:
    return value.get(key) if isinstance(value, Mapping) else None
