import pytest
from asgi_correlation_id import CorrelationIdMiddleware
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from potluck.server.request_ids import id_of, take_ids

SANE = ["req_1", "a" * 128, "00-4bf92f3577b34da6-01", "user@host:1/2=3+4"]
MAD = ["", " ", "a b", "a\nb", "a" * 129, "<script>", "é", 'x"']


@pytest.mark.parametrize("given", SANE)
def test_a_sane_id_of_the_client_is_kept(given: str) -> None:
    assert id_of(given) == given


@pytest.mark.parametrize("given", [None, *MAD])
def test_any_other_is_replaced(given: str | None) -> None:
    made = id_of(given)
    assert made != given
    assert id_of(made) == made
    assert id_of(given) != made


def test_the_servers_app_takes_ids_that_are_no_uuids() -> None:
    async def answer(_: object) -> PlainTextResponse:
        return PlainTextResponse("")

    app = Starlette(routes=[Route("/", answer)])
    app.add_middleware(CorrelationIdMiddleware)
    take_ids(app)
    client = TestClient(app)
    assert client.get("/", headers={"X-Request-Id": "req_1"}).headers["x-request-id"] == "req_1"
    assert client.get("/", headers={"X-Request-Id": "a b"}).headers["x-request-id"] != "a b"
