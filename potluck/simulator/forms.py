"""What all forms share that come in as JSON or YAML."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Seconds = Annotated[float, Field(ge=0, le=86_400 * 31)]


class Form(BaseModel):
    """A strict form: names that are not known are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def explain(error: ValidationError) -> str:
    """All that is wrong, in one line: where, and what."""
    return "; ".join(
        f"{'.'.join(map(str, item['loc'])) or 'body'}: {item['msg']}" for item in error.errors()
    )
