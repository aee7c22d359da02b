"""Our doors' way to the LangGraph API of this very server."""

from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from potluck.server.address import Address, served

# A run may wait long for a model; the doors end it when their own client leaves.
READ_TIMEOUT_S = 3600.0
CONNECT_TIMEOUT_S = 5.0

_clients: dict[Address | None, LangGraphClient] = {}


def client() -> LangGraphClient:
    """The client to this server: over loopback, or in process under `langgraph dev`."""
    address = served()
    if address not in _clients:
        _clients[address] = _connect(address)
    return _clients[address]


async def close() -> None:
    """Close every client made here."""
    while _clients:
        _, opened = _clients.popitem()
        await opened.aclose()


def _connect(address: Address | None) -> LangGraphClient:
    timeouts = (CONNECT_TIMEOUT_S, READ_TIMEOUT_S, READ_TIMEOUT_S, CONNECT_TIMEOUT_S)
    if address is None:
        return get_client(timeout=timeouts)
    return get_client(url=address.url, api_key=address.internal_key, timeout=timeouts)
