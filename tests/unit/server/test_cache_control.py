"""Cache-Control says how a request wants to be answered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from potluck.server.cache_control import cache_mode


@pytest.mark.parametrize(
    ("written", "mode"),
    [
        ("", "use"),
        ("no-cache", "refresh"),
        ("No-Cache", "refresh"),
        ("max-age=0", "refresh"),
        ("max-age = 0", "refresh"),
        ("max-age=60", "use"),
        ("no-store", "off"),
        ("no-cache, no-store", "off"),
        ("max-stale", "always"),
        ("max-stale=60", "always"),
        ("max-stale, no-cache", "refresh"),
        ("no-transform", "use"),
        ("no-cached", "use"),
    ],
)
def test_reads_cache_control(written: str, mode: str) -> None:
    assert cache_mode(Headers({"Cache-Control": written})) == mode


def test_the_old_header_is_read_where_there_is_no_other() -> None:
    assert cache_mode(Headers({"Pragma": "no-cache"})) == "refresh"
    assert cache_mode(Headers({"Pragma": "no-cache", "Cache-Control": "no-store"})) == "off"
    assert cache_mode(Headers()) == "use"


@given(st.text())
def test_no_header_is_an_error(written: str) -> None:
    assert cache_mode({"cache-control": written}) in {"use", "refresh", "off", "always"}
