"""Reports as a busy server gives them, a fresh one, and one in trouble."""

from datetime import UTC, datetime, timedelta
from typing import Any

from potluck.quota.call_hours import hour_of
from potluck.quota.hours_report import FaultReport, HourReport, HoursReport
from potluck.quota.report_form import (
    AdviceReport,
    DayReport,
    ModelDay,
    ModelReport,
    OutageReport,
    ParkedReport,
    ProviderReport,
    QuotaReport,
    Totals,
    WindowReport,
)

BUSY = (0, 0, 0, 0, 0, 0, 3, 14, 32, 41, 38, 22, 18, 44, 61, 57, 30, 12, 8, 21, 26, 11, 4, 6)
MODELS = (
    ("groq", "openai/gpt-oss-120b", 0.5, 0.9),
    ("google_gemini", "gemini-3.5-flash-lite", 0.3, 1.4),
    ("mistral", "mistral-small-latest", 0.15, 2.2),
    ("cerebras", "qwen-3-coder-480b", 0.05, 0.4),
)


def now() -> datetime:
    return datetime.now(UTC)


def totals(calls: int = 0, **facts: Any) -> Totals:
    """So many calls, of which some failed, were held back, or came from the cache."""
    failed, refused, cancelled = calls // 12, calls // 16, calls // 30
    answered = calls - failed - cancelled
    given = {
        "sent": answered + failed + cancelled,
        "answered": answered,
        "failed": failed,
        "cancelled": cancelled,
        "refused": refused,
        "cached": calls // 5,
        "input_tokens": 1840 * answered,
        "output_tokens": 310 * answered,
        "cached_tokens": 2150 * (calls // 5),
        "batches": calls // 40,
        "batched_steps": 3 * (calls // 40),
        "saved_usd": 0.00074 * calls,
        "spent_usd": 0.0,
        "unpriced": calls // 60,
        "mean_duration_s": 1.2 if answered else None,
    }
    return Totals(**(given | facts))


def window(unit: str, period: str, limit: float | None, used: float, **facts: Any) -> WindowReport:
    at = now()
    left = None if limit is None else limit - used
    given = {
        "id": f"{unit}/{period}",
        "unit": unit,
        "period": period,
        "account_wide": False,
        "limit": limit,
        "stated": limit,
        "used": used,
        "left": left,
        "share": None if not limit else used / limit,
        "reset": "UTC" if period in {"day", "month"} else "rolling",
        "free_at": at + timedelta(minutes=20) if period == "day" else at + timedelta(seconds=12),
        "resets_at": {
            "minute": at + timedelta(seconds=48),
            "day": at + timedelta(hours=5, minutes=12, seconds=20),
            "month": at + timedelta(days=9, hours=5, seconds=20),
        }.get(period),
        "source": "config/providers.yaml",
    }
    return WindowReport(**(given | facts))


def model(name: str, *windows: WindowReport, **facts: Any) -> ModelReport:
    advice = AdviceReport(
        status="OPTIMAL", window=None, used_share=None, exhausted_at=None, resets_at=None
    )
    given = {
        "id": name,
        "key_id": "k1",
        "available": True,
        "back_at": None,
        "windows": windows,
        "advice": advice,
        "outage": None,
    }
    return ModelReport(**(given | facts))


def provider(name: str, *models: ModelReport, **facts: Any) -> ProviderReport:
    given = {"id": name, "on": True, "reason": "key set", "paid": False, "models": models}
    return ProviderReport(**(given | facts))


def off(name: str, url: str | None, **facts: Any) -> ProviderReport:
    reason = f"{name.upper()}_API_KEY is not set"
    return provider(name, on=False, reason=reason, key_url=url, **facts)


OFF = (
    off("openrouter", "https://openrouter.ai/settings/keys"),
    off("cloudflare", "https://dash.cloudflare.com/profile/api-tokens"),
    off("openai", "https://platform.openai.com/api-keys", paid=True),
)


def parked_run(thread_id: str = "5f0c7a52-4a9e-4c9b-9d1c-0b7f3a5e2d11") -> ParkedReport:
    at = now()
    return ParkedReport(
        thread_id=thread_id,
        run_id="run-1",
        resume_at=at + timedelta(minutes=42, seconds=20),
        since=at - timedelta(minutes=18),
        reason="Quota is used up at every provider that could do this.",
        waiting_for=(
            "groq/openai/gpt-oss-120b",
            "mistral/mistral-small-latest",
            "google_gemini/gemini-3.5-flash-lite",
            "cerebras/qwen-3-coder-480b",
        ),
        priority="background",
        times=2,
    )


def providers() -> tuple[ProviderReport, ...]:
    at = now()
    groq = provider(
        "groq",
        model(
            "openai/gpt-oss-120b",
            window("requests", "day", 1000, 871),
            window("tokens", "day", 200_000, 143_210),
            window("requests", "minute", 30, 4, reset="refill"),
            window("tokens", "minute", 8000, 6100, reset="refill"),
            advice=AdviceReport(
                status="REDUCE_USAGE",
                window="requests/day",
                used_share=0.87,
                exhausted_at=at + timedelta(hours=1, minutes=50, seconds=20),
                resets_at=at + timedelta(hours=5),
            ),
        ),
        model(
            "moonshotai/kimi-k2-instruct",
            window("requests", "day", 1000, 1000, left=0.0),
            window("tokens", "minute", 10_000, 0, resets_at=None),
            available=False,
            back_at=at + timedelta(minutes=20, seconds=20),
        ),
    )
    gemini = provider(
        "google_gemini",
        model(
            "gemini-3.5-flash-lite",
            window("requests", "day", 500, 88, reset="America/Los_Angeles"),
            window("requests", "minute", 15, 2),
            window("input_tokens", "minute", 250_000, 41_000),
        ),
        model(
            "gemini-3.5-flash",
            window("requests", "day", 20, 3, reset="America/Los_Angeles"),
            window("requests", "minute", 5, 0, resets_at=None),
        ),
    )
    mistral = provider(
        "mistral",
        model(
            "mistral-small-latest",
            window("tokens", "month", 1e9, 12_400_000, account_wide=True),
            window("requests", "minute", None, 3),
            outage=OutageReport(
                kind="overload",
                reason="Service tier capacity exceeded for this model.",
                until=at + timedelta(seconds=40),
                certain=False,
            ),
        ),
    )
    cerebras = provider(
        "cerebras",
        model(
            "qwen-3-coder-480b",
            window("requests", "day", 14_400, 0, resets_at=None),
            window("concurrent", "call", 2, 1, resets_at=None),
            available=False,
            outage=OutageReport(
                kind="auth", reason="Wrong API Key (401).", until=None, certain=True
            ),
        ),
    )
    return groq, gemini, mistral, cerebras


def days() -> tuple[DayReport, ...]:
    today = now().date()
    counts = [0, 0, 0, *(90 + 13 * (day * 7 % 11) for day in range(26)), 448]
    return tuple(
        DayReport(
            day=today - timedelta(days=29 - place),
            totals=totals(calls),
            models=model_parts(calls),
        )
        for place, calls in enumerate(counts)
    )


def model_parts(calls: int) -> tuple[ModelDay, ...]:
    return tuple(
        ModelDay(
            provider=name,
            model=named,
            totals=totals(int(calls * share), mean_duration_s=mean_s),
        )
        for name, named, share, mean_s in MODELS
        if int(calls * share)
    )


def quota_report(**facts: Any) -> QuotaReport:
    """A server in use, with some of what can go wrong."""
    told = days()
    given = {
        "at": now(),
        "providers": (*providers(), *OFF),
        "today": told[-1].totals,
        "days": told,
        "parked": (parked_run(),),
        "missing": (),
    }
    return QuotaReport(**(given | facts))


def hours_report(**facts: Any) -> HoursReport:
    at = now()
    given = {
        "at": at,
        "hours": tuple(
            HourReport(hour=hour_of(at) - timedelta(hours=23 - place), totals=totals(calls))
            for place, calls in enumerate(BUSY)
        ),
        "models": model_parts(sum(BUSY)),
        "faults": (
            FaultReport(
                provider="groq",
                model="openai/gpt-oss-120b",
                kind="minute",
                calls=21,
                last_at=at - timedelta(minutes=7),
                answered_after=True,
            ),
            FaultReport(
                provider="cerebras",
                model="qwen-3-coder-480b",
                kind="auth",
                calls=16,
                last_at=at - timedelta(hours=2, minutes=5),
                answered_after=False,
            ),
        ),
        "missing": (),
    }
    return HoursReport(**(given | facts))


def fresh_report() -> QuotaReport:
    """A server without any key."""
    nothing = totals()
    unkeyed = (
        off("google_gemini", "https://aistudio.google.com/apikey"),
        off("groq", "https://console.groq.com/keys"),
        off("mistral", "https://console.mistral.ai/api-keys"),
        *OFF,
    )
    today = DayReport(day=now().date(), totals=nothing, models=())
    return quota_report(providers=unkeyed, today=nothing, days=(today,), parked=())


def fresh_hours() -> HoursReport:
    at = now()
    hours = [hour_of(at) - timedelta(hours=back) for back in reversed(range(24))]
    empty = tuple(HourReport(hour=hour, totals=totals()) for hour in hours)
    return hours_report(hours=empty, models=(), faults=())
