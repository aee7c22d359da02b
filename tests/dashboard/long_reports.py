"""Reports with many keys, and with names and reasons longer than a screen is wide."""

from potluck.quota.hours_report import FaultReport, HoursReport
from potluck.quota.report_form import ModelDay, OutageReport, ProviderReport, QuotaReport
from tests.dashboard.reports import (
    hours_report,
    model,
    now,
    off,
    parked_run,
    provider,
    quota_report,
    totals,
    window,
)

MANY = 12
NAME = "a-name-without-an-end" * 6
REASON = f"Request to https://example.com/{'x' * 150} failed: {'no_space_' * 20}"


def _providers() -> tuple[ProviderReport, ...]:
    outage = OutageReport(kind="unknown", reason=REASON, until=None, certain=True)
    models = [
        model(
            name,
            window("requests", "day", 14_400_000, 9_999_999, id=f"{name} {key} day"),
            window("tokens", "minute", 8e12, 7.9e12, id=f"{name} {key} minute"),
            key_id=f"k{key:02}",
            available=key > 0,
            outage=None if key else outage,
        )
        for key in range(MANY)
        for name in (NAME, f"{NAME}/二つ目のとても長い名前のモデル")
    ]
    return provider(NAME, *models, paid=True), off(f"off-{NAME}", f"https://example.com/{NAME}")


def long_report() -> QuotaReport:
    """One provider with many keys, and no short word."""
    run = parked_run(NAME).model_copy(
        update={"reason": REASON, "waiting_for": (f"{NAME}/{NAME}", NAME, NAME, NAME)}
    )
    return quota_report(providers=_providers(), parked=(run,), missing=(REASON,))


def long_hours() -> HoursReport:
    """Calls of models with long names."""
    models = tuple(
        ModelDay(provider=NAME, model=f"{NAME}{number}", totals=totals(900_000 + number))
        for number in range(MANY)
    )
    fault = FaultReport(
        provider=NAME,
        model=NAME,
        kind="unknown",
        calls=1_000_000,
        last_at=now(),
        answered_after=True,
    )
    return hours_report(models=models, faults=(fault,), missing=(REASON,))
