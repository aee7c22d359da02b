"""A thread's status where the LangGraph API has no way to set it."""

from potluck.server.address import served


async def set_idle(thread_id: str) -> None:
    """Say that nothing is pending on a thread. LangGraph's own server finds that out itself."""
    if served() is None:
        return
    # Only now: Aegra reads its settings at import.
    from aegra_api.core.orm import _get_session_maker  # noqa: PLC0415 - see above
    from aegra_api.services.run_status import set_thread_status  # noqa: PLC0415 - see above

    async with _get_session_maker()() as session:
        await set_thread_status(session, thread_id, "idle")
        await session.commit()
