"""What stands at an address of the public web. This machine and its network are not reached."""

import asyncio
import ipaddress

import drawbridge
import httpx

from potluck.errors import ToolError
from tools.options import ToolOptions

FETCH_TIMEOUT_S = 25.0
# Many sites turn away a client that does not look like a browser.
USER_AGENT = "Mozilla/5.0 (compatible; Potluck/1; +https://github.com/potluck)"


async def fetch(url: str, options: ToolOptions, *, max_bytes: int) -> httpx.Response:
    """The answer of the site, read whole. Raises ToolError when there is none or it is an error."""
    policy = drawbridge.Policy(
        allow_ports=options.allowed_ports,
        ip_allowlist=frozenset(ipaddress.ip_network(net) for net in options.allowed_networks),
        timeout=FETCH_TIMEOUT_S / 2,
        max_response_bytes=max_bytes,
        user_agent=USER_AGENT,
    )
    try:
        async with asyncio.timeout(FETCH_TIMEOUT_S), drawbridge.Client(policy) as client:
            response = await client.get(checked_url(url))
    except TimeoutError as error:
        raise ToolError(
            f"{url} did not answer in {FETCH_TIMEOUT_S:g} s.", fix="Try another.", may_pass=True
        ) from error
    except drawbridge.ResponseTooLargeError as error:
        raise ToolError(f"{url} is larger than {max_bytes:,} bytes.") from error
    except drawbridge.DrawbridgeDNSError as error:
        raise ToolError(f"There is no host of that name: {error}.") from error
    except drawbridge.DrawbridgeError as error:
        raise ToolError(
            f"{url} may not be fetched: {error}.",
            fix="Only public addresses can be read; do not try another way.",
        ) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        why = str(error) or type(error).__name__
        raise ToolError(f"{url} cannot be read: {why}.", may_pass=True) from error
    _refuse_error(url, response)
    return response


def kind_of(response: httpx.Response, default: str) -> str:
    """The media type that the site states."""
    stated = str(response.headers.get("content-type", default))
    return stated.partition(";")[0].strip().lower()


def checked_url(url: str) -> str:
    """The address with its scheme. Raises ToolError when it is none of the web."""
    given = url.strip()
    if "://" not in given:
        given = f"https://{given}"
    try:
        parsed = httpx.URL(given)
    except httpx.InvalidURL as error:
        raise ToolError(f"{url!r} is no address: {error}.") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ToolError(f"{url!r} is no web address.", fix="It begins with https:// or http://.")
    if parsed.userinfo:
        raise ToolError("An address with a user name or password in it is not fetched.")
    return given


def _refuse_error(url: str, response: httpx.Response) -> None:
    if response.status_code < httpx.codes.BAD_REQUEST:
        return
    raise ToolError(
        f"{url} answers {response.status_code} {response.reason_phrase}.",
        fix="Check the address, or look for another page.",
        may_pass=response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR,
    )
