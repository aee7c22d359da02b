"""Refusals of our own routes, with their headers, which Aegra leaves out of its own."""

from collections.abc import Mapping

from fastapi.responses import JSONResponse


def refusal(
    status: int, detail: str | Mapping[str, object], headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """A response that says in `detail` why, as FastAPI's own do."""
    return JSONResponse({"detail": detail}, status, headers=headers)
