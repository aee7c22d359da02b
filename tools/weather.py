"""The weather anywhere, now and in the next days, from Open-Meteo, which needs no key."""

import asyncio
from collections.abc import Sequence

import httpx
from langchain_core.tools import tool
from pydantic import BaseModel, Field, ValidationError

from potluck.errors import ToolError
from tools.options import current_options

TIMEOUT_S = 15.0
MAX_DAYS = 7

# WMO weather interpretation codes, as Open-Meteo documents them.
_SKY = {
    0: "clear sky", 1: "mainly clear", 2: "partly cloudy", 3: "overcast",
    45: "fog", 48: "rime fog",
    51: "light drizzle", 53: "drizzle", 55: "dense drizzle",
    56: "light freezing drizzle", 57: "freezing drizzle",
    61: "light rain", 63: "rain", 65: "heavy rain", 66: "light freezing rain", 67: "freezing rain",
    71: "light snow", 73: "snow", 75: "heavy snow", 77: "snow grains",
    80: "light showers", 81: "showers", 82: "violent showers",
    85: "light snow showers", 86: "snow showers",
    95: "thunderstorm", 96: "thunderstorm with light hail", 99: "thunderstorm with hail",
}  # fmt: skip


class _Place(BaseModel):
    name: str
    latitude: float
    longitude: float
    country: str = ""
    admin1: str = ""


class _Places(BaseModel):
    results: list[_Place] = Field(default_factory=list)


class _Now(BaseModel):
    time: str
    temperature_2m: float
    apparent_temperature: float
    relative_humidity_2m: float
    precipitation: float
    weather_code: int
    wind_speed_10m: float


class _Days(BaseModel):
    time: list[str]
    weather_code: list[int | None]
    temperature_2m_max: list[float | None]
    temperature_2m_min: list[float | None]
    precipitation_sum: list[float | None]


class _Forecast(BaseModel):
    timezone: str
    current: _Now
    daily: _Days


@tool(parse_docstring=True)
async def get_weather(place: str, days: int = 3) -> str:
    """Tell the weather now and the forecast.

    Args:
        place: Town or city, such as Paris, France.
        days: 1 (today) to 7.
    """
    if not 1 <= days <= MAX_DAYS:
        raise ToolError(f"days is {days}; it can be 1 to {MAX_DAYS}.")
    async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
        found = await _find(client, place)
        forecast = await _forecast(client, found, days)
    return "\n".join(_described(found, forecast))


async def _find(client: httpx.AsyncClient, place: str) -> _Place:
    name, _, rest = (part.strip() for part in place.partition(","))
    if not name:
        raise ToolError("The place is empty.", fix="Give a town or city.")
    url = f"{current_options().geocoding_url}/v1/search"
    places = await _ask(client, url, {"name": name, "count": "10"}, _Places)
    wanted = rest.lower()
    fitting = [p for p in places.results if wanted in f"{p.admin1} {p.country}".lower()]
    if not fitting:
        known = "; ".join(f"{p.name}, {p.admin1}, {p.country}" for p in places.results[:5])
        raise ToolError(
            f"No place is known as {place!r}.",
            fix=f"Did you mean one of: {known}?" if known else "Try a larger town nearby.",
        )
    return fitting[0]


async def _forecast(client: httpx.AsyncClient, place: _Place, days: int) -> _Forecast:
    fields = {
        "latitude": str(place.latitude),
        "longitude": str(place.longitude),
        "timezone": "auto",
        "forecast_days": str(days),
        "current": ",".join(name for name in _Now.model_fields if name != "time"),
        "daily": ",".join(name for name in _Days.model_fields if name != "time"),
    }
    return await _ask(client, f"{current_options().weather_url}/v1/forecast", fields, _Forecast)


async def _ask[Form: BaseModel](
    client: httpx.AsyncClient, url: str, params: dict[str, str], form: type[Form]
) -> Form:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            response = await client.get(url, params=params)
        response.raise_for_status()
        return form.model_validate_json(response.content)
    except (TimeoutError, httpx.HTTPError) as error:
        why = str(error) or type(error).__name__
        raise ToolError(f"The weather service does not answer: {why}.", may_pass=True) from error
    except ValidationError as error:
        raise ToolError("The weather service answered in a form that is not known.") from error


def _described(place: _Place, forecast: _Forecast) -> list[str]:
    where = ", ".join(part for part in (place.name, place.admin1, place.country) if part)
    now, daily = forecast.current, forecast.daily
    rows = zip(
        daily.time,
        daily.weather_code,
        daily.temperature_2m_min,
        daily.temperature_2m_max,
        daily.precipitation_sum,
        strict=True,
    )
    at_once = (
        f"{where} ({forecast.timezone}), {now.time.replace('T', ' ')}: {_sky(now.weather_code)}, "
        f"{now.temperature_2m:g} °C (feels like {now.apparent_temperature:g} °C), humidity "
        f"{now.relative_humidity_2m:g} %, wind {now.wind_speed_10m:g} km/h, "
        f"precipitation {now.precipitation:g} mm"
    )
    return [at_once, *(_day(row) for row in rows)]


def _day(row: Sequence[object]) -> str:
    day, code, low, high, rain = row
    sky = _sky(code) if isinstance(code, int) else "no forecast"
    known = [f"{low:g} to {high:g} °C"] if None not in (low, high) else []
    wet = [f"{rain:g} mm"] if rain is not None else []
    return f"{day}: {', '.join([sky, *known, *wet])}"


def _sky(code: int) -> str:
    return _SKY.get(code, f"weather code {code}")
