"""Places and their time zones: what people call them, found without any network."""

import functools
import importlib.resources
import re
import unicodedata
import zoneinfo
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from potluck.errors import ToolError

SHOWN_ZONES = 8

# Cities and regions that the time zone database does not name itself.
_ALSO = {
    "Africa/Johannesburg": "cape town, durban, pretoria",
    "Africa/Lagos": "abuja",
    "America/Chicago": "austin, dallas, houston, texas, minneapolis, new orleans, central time, "
    "cst, cdt",
    "America/Denver": "colorado, salt lake city, mountain time, mst, mdt",
    "America/Los_Angeles": "california, las vegas, portland, san diego, san francisco, "
    "san jose, seattle, silicon valley, la, pacific time, pst, pdt, pt, "
    "ロサンゼルス, サンフランシスコ",
    "America/New_York": "atlanta, boston, miami, new york city, nyc, orlando, philadelphia, "
    "washington, washington dc, eastern time, est, edt, et, ニューヨーク",
    "America/Sao_Paulo": "brasilia, rio, rio de janeiro",
    "America/Toronto": "ottawa, montreal",
    "America/Vancouver": "victoria",
    "Asia/Dubai": "abu dhabi",
    "Asia/Ho_Chi_Minh": "hanoi, saigon",
    "Asia/Hong_Kong": "香港",
    "Asia/Kolkata": "bangalore, bengaluru, bombay, chennai, delhi, hyderabad, mumbai, new delhi",
    "Asia/Riyadh": "mecca, jeddah",
    "Asia/Seoul": "busan, ソウル, 韓国",
    "Asia/Shanghai": "beijing, china, guangzhou, shenzhen, peking, 北京, 上海, 中国",
    "Asia/Singapore": "シンガポール",
    "Asia/Taipei": "台北, 台湾",
    "Asia/Tokyo": "jst, kobe, kyoto, nagoya, osaka, sapporo, yokohama, 東京, 大阪, 京都, 日本, "
    "札幌, 名古屋, 横浜, 福岡, 神戸",
    "Australia/Sydney": "canberra, シドニー",
    "Europe/Berlin": "cologne, frankfurt, hamburg, koln, munchen, munich, cet, cest, "
    "ベルリン, ドイツ",
    "Europe/Istanbul": "ankara",
    "Europe/Kyiv": "kiev",
    "Europe/London": "england, edinburgh, great britain, scotland, uk, wales, bst, "
    "ロンドン, イギリス",
    "Europe/Madrid": "barcelona, spain",
    "Europe/Lisbon": "portugal",
    "Europe/Moscow": "saint petersburg, st petersburg, モスクワ",
    "Europe/Paris": "lyon, marseille, パリ, フランス",
    "Europe/Rome": "milan, naples, venice, ローマ",
    "Europe/Zurich": "basel, bern, geneva",
    "Pacific/Auckland": "new zealand, wellington",
    "Pacific/Honolulu": "hawaii, ハワイ",
    "UTC": "gmt, z, zulu, utc",
}
_COUNTRY_NAMES = {
    "america": "US", "korea": "KR", "south korea": "KR", "russia": "RU", "the netherlands": "NL",
    "holland": "NL", "czechia": "CZ", "uae": "AE", "united states": "US", "usa": "US", "us": "US",
    "united states of america": "US", "vietnam": "VN", "アメリカ": "US",
}  # fmt: skip
_OFFSET = re.compile(r"(?:utc|gmt)?\s*([+-])\s*(\d{1,2})(?::?([0-5]\d))?", re.IGNORECASE)


def find_zone(place: str) -> tzinfo:
    """The time zone of a place: a zone's name, a city, a country with one zone, or UTC+9.

    Raises ToolError that says how to name it otherwise.
    """
    if offset := _OFFSET.fullmatch(place.strip()):
        return _fixed(offset)
    key = _plain(place)
    for candidate in (key, _plain(place.partition(",")[0]), key.removesuffix(" time").strip()):
        if name := _zones_by_place().get(candidate):
            return zoneinfo.ZoneInfo(name)
    country = _COUNTRY_NAMES.get(key) or _countries().get(key)
    zones = _zones_by_country().get(country or "", [])
    if zones and _agree(zones):
        return zoneinfo.ZoneInfo(zones[0])
    if zones:
        some = ", ".join(zones[:SHOWN_ZONES]) + (", ..." if len(zones) > SHOWN_ZONES else "")
        raise ToolError(f"{place} has several time zones. Name a city, or one of: {some}.")
    raise ToolError(
        f"No time zone is known for {place[:80]!r}. "
        "Give the name of a zone such as Europe/Paris, of a large city, or UTC+9."
    )


def _agree(zones: list[str]) -> bool:
    """Whether clocks in these zones show the same time all year."""
    seasons = [datetime(datetime.now(tz=UTC).year, month, 1, tzinfo=UTC) for month in (1, 7)]
    offsets = {
        tuple(day.astimezone(zoneinfo.ZoneInfo(zone)).utcoffset() for day in seasons)
        for zone in zones
    }
    return len(offsets) == 1


def _fixed(offset: re.Match[str]) -> tzinfo:
    hours, minutes = int(offset[2]), int(offset[3] or 0)
    if hours > 14:
        raise ToolError(f"{offset[0]!r} is no offset: the most is 14 hours.")
    size = timedelta(hours=hours, minutes=minutes)
    return timezone(-size if offset[1] == "-" else size)


def _plain(place: str) -> str:
    """Lower case, without accents, dots, and with single spaces."""
    folded = unicodedata.normalize("NFKC", place).casefold()
    if folded.isascii() or not any("\u3040" <= letter <= "\u30ff" for letter in folded):
        decomposed = unicodedata.normalize("NFKD", folded)
        folded = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    return " ".join(folded.replace("_", " ").replace(".", "").strip(" ?!,").split())


@functools.cache
def _zones_by_place() -> dict[str, str]:
    places: dict[str, str] = {}
    for name in sorted(zoneinfo.available_timezones()):
        places[_plain(name)] = name
        if not name.startswith("Etc/"):  # whose GMT+5 lies west
            places.setdefault(_plain(name.rsplit("/", 1)[-1]), name)
    for country in _countries():
        places.pop(country, None)
    for name in _canonical_zones():
        places[_plain(name.rsplit("/", 1)[-1])] = name
    for name, others in _ALSO.items():
        places.update({_plain(other): name for other in others.split(",")})
    return places


def _table(name: str) -> list[list[str]]:
    file = importlib.resources.files("tzdata") / "zoneinfo" / name
    lines = file.read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines if line and not line.startswith("#")]


@functools.cache
def _canonical_zones() -> tuple[str, ...]:
    return tuple(row[2] for row in _table("zone.tab"))


@functools.cache
def _zones_by_country() -> dict[str, list[str]]:
    zones: dict[str, list[str]] = {}
    for code, _, name, *_ in _table("zone.tab"):
        zones.setdefault(code, []).append(name)
    return zones


@functools.cache
def _countries() -> dict[str, str]:
    return {_plain(name): code for code, name, *_ in _table("iso3166.tab")}
