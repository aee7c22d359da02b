"""The clock: date, weekday and time, anywhere."""

from datetime import UTC, datetime, timedelta, tzinfo

from langchain_core.tools import tool

from potluck.errors import ToolError
from tools.places import find_zone

MAX_DAYS = 366_000
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@tool(parse_docstring=True)
def current_time(timezone: str = "", days: int = 0) -> str:
    """Tell date, weekday and time, in any time zone.

    Args:
        timezone: Asia/Tokyo, a large city, a country, or UTC+9; empty for here.
        days: So many days from now: 1 is tomorrow.
    """
    return described(datetime.now(tz=UTC), timezone, days)


def described(now: datetime, place: str, days: int = 0) -> str:
    """`now` as told in `place` (empty: here), `days` later: weekday, ISO date, time, zone."""
    if abs(days) > MAX_DAYS:
        raise ToolError(f"{days:,} days are too many; the most is {MAX_DAYS:,}.")
    zone = find_zone(place) if place.strip() else None
    try:
        local = now.astimezone(zone) + timedelta(days=days)
    except OverflowError as error:
        raise ToolError("That date is outside the years 1 to 9999.") from error
    place_shown = f" in {place.strip()}" if zone is not None else ""
    return (
        f"{WEEKDAYS[local.weekday()]}, {local:%Y-%m-%d} {local:%H:%M:%S}{place_shown} "
        f"({_zone_shown(local, zone)})"
    )


def _zone_shown(local: datetime, zone: tzinfo | None) -> str:
    offset = local.strftime("%z")
    utc = f"UTC{offset[:3]}:{offset[3:5]}"
    key = getattr(zone, "key", None)
    if key is None or key == "UTC":
        return utc
    short = local.tzname() or ""
    return ", ".join([key, *([short] if short.isalpha() else []), utc])
