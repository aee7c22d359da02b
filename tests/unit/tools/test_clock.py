import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potluck.errors import ToolError
from tools.clock import current_time, described
from tools.places import find_zone

SATURDAY = datetime(2026, 11, 21, 16, 30, 5, tzinfo=UTC)


def test_tells_weekday_date_time_and_zone() -> None:
    assert described(SATURDAY, "Tokyo") == (
        "Sunday, 2026-11-22 01:30:05 in Tokyo (Asia/Tokyo, JST, UTC+09:00)"
    )
    assert described(SATURDAY, "Kathmandu") == (
        "Saturday, 2026-11-21 22:15:05 in Kathmandu (Asia/Kathmandu, UTC+05:45)"
    )
    assert described(SATURDAY, "utc") == "Saturday, 2026-11-21 16:30:05 in utc (UTC+00:00)"


def test_shifts_by_days() -> None:
    assert described(SATURDAY, "UTC", 1).startswith("Sunday, 2026-11-22")
    assert described(SATURDAY, "UTC", -365).startswith("Friday, 2025-11-21")


@pytest.mark.parametrize("days", [366_001, -366_001, 10**12])
def test_refuses_days_beyond_reason(days: int) -> None:
    with pytest.raises(ToolError, match="too many"):
        described(SATURDAY, "UTC", days)


def test_a_shift_over_a_change_of_clocks_keeps_the_time_of_day() -> None:
    assert described(datetime(2026, 10, 24, 10, tzinfo=UTC), "Berlin", 1).startswith(
        "Sunday, 2026-10-25 12:00:00 in Berlin (Europe/Berlin, CET, UTC+01:00)"
    )


@pytest.mark.parametrize(
    ("place", "zone"),
    [
        ("Asia/Tokyo", "Asia/Tokyo"),
        ("asia/tokyo", "Asia/Tokyo"),
        ("東京", "Asia/Tokyo"),
        ("大阪", "Asia/Tokyo"),
        ("Osaka", "Asia/Tokyo"),
        ("Japan", "Asia/Tokyo"),
        ("New York", "America/New_York"),
        ("NYC?", "America/New_York"),
        ("Boston", "America/New_York"),
        ("Washington, D.C.", "America/New_York"),
        ("San Francisco", "America/Los_Angeles"),
        ("Pacific time", "America/Los_Angeles"),
        ("EST", "America/New_York"),
        ("London", "Europe/London"),
        ("ロンドン", "Europe/London"),
        ("ドイツ", "Europe/Berlin"),
        ("Germany", "Europe/Berlin"),
        ("Paris, France", "Europe/Paris"),
        ("Zürich", "Europe/Zurich"),
        ("são paulo", "America/Sao_Paulo"),
        ("Mumbai", "Asia/Kolkata"),
        ("India", "Asia/Kolkata"),
        ("Beijing", "Asia/Shanghai"),
        ("China", "Asia/Shanghai"),
        ("Norway", "Europe/Oslo"),
        ("Singapore", "Asia/Singapore"),
        ("Honolulu", "Pacific/Honolulu"),
        ("Sydney", "Australia/Sydney"),
        ("Etc/GMT+5", "Etc/GMT+5"),
    ],
)
def test_knows_places(place: str, zone: str) -> None:
    assert str(find_zone(place)) == zone


@pytest.mark.parametrize(
    ("place", "offset"),
    [("UTC+9", "+0900"), ("GMT-5", "-0500"), ("+05:30", "+0530"), ("utc + 0945", "+0945")],
)
def test_knows_offsets(place: str, offset: str) -> None:
    assert SATURDAY.astimezone(find_zone(place)).strftime("%z") == offset


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("Atlantis", "No time zone is known"),
        ("../../etc/passwd", "No time zone is known"),
        ("\0", "No time zone is known"),
        ("United States", "several time zones.*America/New_York"),
        ("UTC+99", "14 hours"),
    ],
)
def test_says_how_to_name_a_place_otherwise(place: str, says: str) -> None:
    with pytest.raises(ToolError, match=says):
        find_zone(place)


@given(st.text(max_size=30))
def test_any_place_is_found_or_refused(place: str) -> None:
    with contextlib.suppress(ToolError):
        assert described(SATURDAY, place).startswith("S")


def test_the_tool_tells_the_time_here_when_no_place_is_given() -> None:
    here = current_time.invoke({})
    assert datetime.now(tz=UTC).astimezone().strftime("%Y-%m-%d") in here
    assert " in " not in here
