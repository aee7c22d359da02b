"""What people need to know of a provider that its entry in providers.yaml does not hold."""

from datetime import date
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter
from ruamel.yaml import YAML

FILE = Path(__file__).parent / "providers.yaml"


class ProviderNotes(BaseModel):
    """One provider: what it needs, the way to a key, what it gives, what becomes of your data."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    needs: str
    steps: tuple[str, ...]
    gives: str
    data: str
    checked_on: date
    sources: tuple[str, ...]


@cache
def provider_notes() -> dict[str, ProviderNotes]:
    """The notes of every provider, by its name in providers.yaml."""
    read = YAML(typ="safe", pure=True).load(FILE.read_text("utf-8"))
    return TypeAdapter(dict[str, ProviderNotes]).validate_python(read)
