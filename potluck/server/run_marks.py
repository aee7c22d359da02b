"""Metadata that a run bears, and leaves at its checkpoints, by which they are found again."""

from collections.abc import Mapping
from typing import cast

from langgraph_sdk.schema import Config

STATELESS = "potluck_stateless"
"""Of a run without a thread of its own: the one that was made for it goes with it."""


def marked(marks: Mapping[str, object], **more: object) -> Config | None:
    """The configuration of a run that leaves these marks; None when there is nothing to say."""
    config = {**({"metadata": dict(marks)} if marks else {}), **more}
    # The SDK hands metadata on, though its type does not name it.
    return cast("Config", config) if config else None
