"""Metadata that a run leaves at its checkpoints, by which they are found again."""

from collections.abc import Mapping
from typing import cast

from langgraph_sdk.schema import Config


def marked(marks: Mapping[str, object], **more: object) -> Config | None:
    """The configuration of a run that leaves these marks; None when there is nothing to say."""
    config = {**({"metadata": dict(marks)} if marks else {}), **more}
    # The SDK hands metadata on, though its type does not name it.
    return cast("Config", config) if config else None
