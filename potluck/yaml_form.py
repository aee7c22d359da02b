"""Checks a YAML file against a form, and words each mistake with its place and its fix."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from potluck.yaml_document import Document, Place, Problem

SHOWN_CHARACTERS = 60
REASONS = {
    "model_type": "it is not a mapping of names to values",
    "dict_type": "it is not a mapping of names to values",
    "list_type": "it is not a list",
    "string_type": "it is not a text (numbers, dates and booleans need quotes to be one)",
    "int_type": "it is not a whole number",
    "float_type": "it is not a number",
    "bool_type": "it is neither true nor false",
}


class Form(BaseModel):
    """A mapping of the files: nothing unknown, nothing guessed from a wrong type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def check_form[F: Form](form: type[F], document: Document, problems: list[Problem]) -> F | None:
    """The document as that form; or None, with each mistake added to `problems`."""
    try:
        return form.model_validate({} if document.values is None else document.values)
    except ValidationError as error:
        problems.extend(
            _problem(form, document, details) for details in error.errors(include_url=False)
        )
        return None


def suggestion(name: str, known: Mapping[str, object] | list[str]) -> str:
    """A fix for an unknown name: the one that was meant, or all there are."""
    close = get_close_matches(name.lower(), list(known), n=1, cutoff=0.6)
    if close:
        return f"Did you mean `{close[0]}`?"
    return f"Use one of: {', '.join(known)}." if known else "Remove it."


def _problem(form: type[Form], document: Document, details: ErrorDetails) -> Problem:
    place = details["loc"]
    path = ".".join(str(part) for part in place if part != "[key]") or document.file.name
    owner, field = _describe(form, place)
    if details["type"] == "extra_forbidden":
        fix = suggestion(str(place[-1]), list(owner.model_fields))
        return document.problem(place, f"`{path}` is not known here.", fix)
    if place and place[-1] == "[key]":
        fix = "Put it in quotes to make it a name."
        return document.problem(place, f"`{path}` is not a text.", fix)
    expected = "a mapping of names to values"
    if field and field.description and details["type"] != "model_type":
        expected = field.description
    if details["type"] == "missing":
        fix = f"Add `{place[-1]}:` with {expected}."
        return document.problem(place, f"`{path}` is missing.", fix)
    said = details["msg"].removeprefix("Value error, ")
    reason = REASONS.get(details["type"], said[:1].lower() + said[1:])
    message = f"`{path}`{_shown(place, details['input'])} cannot be used: {reason}."
    return document.problem(place, message, f"Write {expected}.")


def _shown(place: Place, value: object) -> str:
    text = repr(value)
    if "api_key_env" in place or re.search(r"@|[\w-]{30}", text):
        return ""  # it may be a key or password
    return f" ({text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + '...'})"


def _describe(form: type[Form], place: Place) -> tuple[type[Form], FieldInfo | None]:
    """The form and the field that a place leads to, as far as it leads to one."""
    owner, field, annotation = form, None, _form_in(form)
    inside = True
    for part in place:
        if annotation is None:
            break
        if not inside:
            inside = True
            continue
        owner = annotation
        found = owner.model_fields.get(str(part))
        if found is None:
            break
        field, annotation = found, _form_in(found.annotation)
        inside = found.annotation is annotation
    return owner, field


def _form_in(annotation: object) -> type[Form] | None:
    """The form that values of the annotation are, or are made of."""
    if isinstance(annotation, type) and issubclass(annotation, Form):
        return annotation
    return next((found for arg in get_args(annotation) if (found := _form_in(arg))), None)
