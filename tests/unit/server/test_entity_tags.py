"""Answers with an ETag."""

import pytest
from fastapi import Request
from pydantic import BaseModel

from potluck.server.entity_tags import tagged


class Body(BaseModel):
    at: int
    told: str


def request(tag: str | None = None) -> Request:
    headers = [(b"if-none-match", tag.encode())] if tag else []
    return Request({"type": "http", "headers": headers})


def tag_of(body: Body) -> str:
    return tagged(request(), body, apart_from={"at"}).headers["etag"]


def test_only_what_counts_makes_another_tag() -> None:
    assert tag_of(Body(at=1, told="x")) == tag_of(Body(at=2, told="x"))
    assert tag_of(Body(at=1, told="x")) != tag_of(Body(at=1, told="y"))


def test_the_whole_body_is_sent() -> None:
    answer = tagged(request(), Body(at=1, told="x"), apart_from={"at"})
    assert (answer.status_code, answer.body) == (200, b'{"at":1,"told":"x"}')
    assert answer.headers["cache-control"] == "private, no-cache"


@pytest.mark.parametrize("written", ["{tag}", '"other", {tag}', "{strong}", "*"])
def test_whoever_has_it_gets_it_no_more(written: str) -> None:
    body = Body(at=1, told="x")
    tag = tag_of(body)
    given = written.format(tag=tag, strong=tag.removeprefix("W/"))
    answer = tagged(request(given), body, apart_from={"at"})
    assert (answer.status_code, answer.body) == (304, b"")
    assert answer.headers["etag"] == tag


def test_whoever_has_another_gets_it() -> None:
    answer = tagged(request('W/"other"'), Body(at=1, told="x"), apart_from={"at"})
    assert answer.status_code == 200
