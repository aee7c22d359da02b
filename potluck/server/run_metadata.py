"""What Aegra writes into the metadata of every run and its checkpoints: the id of the request."""

from typing import Any

from aegra_api.observability.base import ObservabilityProvider, get_observability_manager

from potluck.server.request_ids import current_id

REQUEST_ID = "request_id"


class RequestIds(ObservabilityProvider):  # type: ignore[misc] # Aegra ships no types
    """Names the request that a run came with."""

    def get_callbacks(self) -> list[Any]:  # Any: Aegra's own signature
        """None."""
        return []

    def get_metadata(
        self,
        run_id: str,  # noqa: ARG002 - Aegra's signature
        thread_id: str,  # noqa: ARG002 - Aegra's signature
        user_identity: str | None = None,  # noqa: ARG002 - Aegra's signature
    ) -> dict[str, Any]:  # Any: Aegra's own signature
        """The id of the request, where there is one."""
        request_id = current_id()
        return {REQUEST_ID: request_id} if request_id else {}

    def is_enabled(self) -> bool:
        """Always."""
        return True


_request_ids = RequestIds()


def name_requests() -> None:
    """From now on runs bear the ids of their requests."""
    # The same one twice counts once
    get_observability_manager().register_provider(_request_ids)
