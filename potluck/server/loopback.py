"""Our doors' way to the LangGraph API of this very server."""

import httpx
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from potluck import telemetry
from potluck.server.address import Address, served
from potluck.server.auth_keys import ACT_FOR_HEADER
from potluck.server.ownership import acting_user
from potluck.server.request_ids import HEADER, current_id

# A run may wait long for a model; the doors end it when their own client leaves.
READ_TIMEOUT_S = 3600.0
CONNECT_TIMEOUT_S = 5.0
CONNECT_RETRIES = 5
# Each turn holds a connection to its end, and may need another to end it: none must wait for one.
LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=100)
MOST_USERS = 1_000
"""Clients kept at hand; one costs little to make again."""

_TIMEOUTS = (CONNECT_TIMEOUT_S, READ_TIMEOUT_S, READ_TIMEOUT_S, CONNECT_TIMEOUT_S)

_transports: dict[Address, httpx.AsyncHTTPTransport] = {}
_clients: dict[tuple[Address | None, str], LangGraphClient] = {}


def client() -> LangGraphClient:
    """The client to this server, which acts for whoever asks now.

    Over loopback, or in process under `langgraph dev`, where it acts for nobody.
    """
    address = served()
    place = (address, acting_user() if address else "")
    if place not in _clients:
        if len(_clients) >= MOST_USERS:
            # Their connections are the transport's, which stays.
            _clients.clear()
        _clients[place] = _connect(*place)
    return _clients[place]


async def close() -> None:
    """Close everything that was opened here."""
    in_process = [made for (address, _), made in _clients.items() if address is None]
    _clients.clear()
    for made in in_process:
        await made.aclose()
    while _transports:
        _, transport = _transports.popitem()
        await transport.aclose()


async def _carry_on(request: httpx.Request) -> None:
    """Let what is asked here bear the id, and stand in the trace, of what was asked of us."""
    request_id = current_id()
    if request_id:
        request.headers[HEADER] = request_id
    request.headers.update(telemetry.carried())


def _connect(address: Address | None, user: str) -> LangGraphClient:
    if address is None:
        return get_client(timeout=_TIMEOUTS)
    if address not in _transports:
        _transports[address] = httpx.AsyncHTTPTransport(limits=LIMITS, retries=CONNECT_RETRIES)
    headers = {"X-Api-Key": address.internal_key, ACT_FOR_HEADER: user}
    return LangGraphClient(
        httpx.AsyncClient(
            base_url=address.url,
            transport=_transports[address],
            timeout=httpx.Timeout(_TIMEOUTS),
            headers=headers,
            event_hooks={"request": [_carry_on]},
        )
    )
