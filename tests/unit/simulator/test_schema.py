from typing import Literal

import pytest
from pydantic import BaseModel, Field, TypeAdapter

from potluck.simulator.schema import sample


class Inner(BaseModel):
    kind: Literal["act", "think"]
    needs: list[int]


class Outer(BaseModel):
    name: str
    inner: Inner
    steps: list[Inner] = Field(min_length=2)
    maybe: int | None
    score: float = Field(ge=3)
    done: bool
    left_out: str = "default"


def test_sample_fits_a_nested_schema() -> None:
    made = Outer.model_validate(sample(Outer.model_json_schema(), text="hello"))
    assert made.name == "hello"
    assert len(made.steps) == 2
    assert made.inner.kind == "act"


@pytest.mark.parametrize("kind", [str, int, float, bool, list[str], dict[str, int], None | int])
def test_sample_fits_plain_types(kind: type) -> None:
    adapter = TypeAdapter(kind)
    adapter.validate_python(sample(adapter.json_schema()), strict=True)


def test_sample_of_a_schema_that_contains_itself_ends() -> None:
    schema = {
        "$ref": "#/$defs/Node",
        "$defs": {
            "Node": {
                "type": "object",
                "properties": {"next": {"$ref": "#/$defs/Node"}},
                "required": ["next"],
            }
        },
    }
    assert isinstance(sample(schema), dict)
    assert sample({"$ref": "#/x", "x": {"$ref": "#/x"}}) is not None


def test_gemini_types_are_written_in_capitals() -> None:
    assert sample(
        {"type": "OBJECT", "properties": {"n": {"type": "INTEGER"}}, "required": ["n"]}
    ) == {"n": 1}
