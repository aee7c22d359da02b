"""The quota report of this process's engine."""

from datetime import MAXYEAR, UTC, datetime

from potluck.engine import Engine
from potluck.providers.catalog import OFFLINE
from potluck.providers.chain import Chain
from potluck.providers.outages import Outage
from potluck.quota.hours_report import HoursReport, build_hours
from potluck.quota.report import AccountState, ProviderState, build_report, is_full
from potluck.quota.report_form import OutageReport, QuotaReport
from potluck.server.ownership import caller, own_of


async def report_of(used: Engine, *, days: int = 1) -> QuotaReport:
    """The report of this moment, with the sums of the last `days` days: the caller's own.

    An admin, and who reads the database himself, sees everybody's.
    """
    return await build_report(
        provider_states(used),
        limits=used.limiter,
        history=used.history,
        parking=used.parking,
        now=datetime.now(UTC),
        days=days,
        tenant=_shown_tenant(),
    )


async def own_part_of(report: QuotaReport) -> QuotaReport:
    """The report with no parked runs but the caller's own; an admin sees all."""
    own = await own_of(run.thread_id for run in report.parked)
    parked = tuple(run for run in report.parked if run.thread_id in own)
    return report.model_copy(update={"parked": parked})


async def hours_of(used: Engine, *, hours: int) -> HoursReport:
    """The calls of the last `hours` hours: the caller's own, for an admin everybody's."""
    paid = {status.provider.id for status in used.statuses if status.provider.paid}
    return await build_hours(
        used.history, paid=paid, now=datetime.now(UTC), hours=hours, tenant=_shown_tenant()
    )


def _shown_tenant() -> str | None:
    """Whose calls the caller is shown; None: all."""
    who = caller()
    return None if who is None or who.role == "admin" else who.owner


def provider_states(used: Engine) -> list[ProviderState]:
    """Each provider of the catalog, as this process sees it."""
    accounts = _accounts(used.chain)
    return [
        ProviderState(
            id=status.provider.id,
            on=status.on,
            reason=status.reason,
            paid=status.provider.paid,
            accounts=tuple(accounts.get(status.provider.id, ())),
            key_url=status.provider.get_key_url,
        )
        for status in used.statuses
        if status.provider.id != OFFLINE
    ]


async def ready_models(used: Engine) -> frozenset[str]:
    """The models (refs) that nothing is known to keep from answering now."""
    ready = set()
    for backend, outage in used.chain.attendance():
        if outage is not None and outage.certain:
            continue
        uses = await used.limiter.uses(backend.deployment)
        if not any(map(is_full, uses)):
            ready.add(backend.model.ref)
    return frozenset(ready)


def _accounts(chain: Chain) -> dict[str, list[AccountState]]:
    accounts: dict[str, list[AccountState]] = {}
    for backend, outage in chain.attendance():
        state = AccountState(backend.deployment, _outage(outage) if outage else None)
        accounts.setdefault(backend.provider.id, []).append(state)
    return accounts


def _outage(outage: Outage) -> OutageReport:
    fault = outage.error.fault
    # A model that is gone is out until the end of time
    until = outage.until if outage.until.year < MAXYEAR else None
    return OutageReport(
        kind=fault.kind.value, reason=fault.message, until=until, certain=outage.certain
    )
