"""Who is told of a link's calls: whether to make one, and how it ended."""

from typing import Protocol

from potluck.errors import ProviderError


class Watch(Protocol):
    """Is asked before a link's call, and told how it ended."""

    def check(self) -> None:
        """Raise ProviderError when the call would only fail, or when there is no time for it."""

    def patience_s(self, longest_s: float) -> float:
        """How long the model may be silent now; at most `longest_s`."""

    def spoke(self, after_s: float) -> None:
        """The model said its first word, so long after it was asked."""

    def answered(self) -> None:
        """The call gave an answer."""

    def failed(self, error: ProviderError) -> None:
        """The call failed."""

    def left(self) -> None:
        """Nobody waited for the end of the call."""
