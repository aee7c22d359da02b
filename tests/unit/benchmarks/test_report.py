"""What benchmarks print."""

import json

import pytest

from benchmarks.report import Figure, compare, report


def test_the_last_line_is_json_with_every_aim(capsys: pytest.CaptureFixture[str]) -> None:
    figures = [Figure("start", 7.126, "s", "< 8"), Figure("share", 0.6, "times", "< 0.5")]
    report("demo", figures, {"peer": {"start": 9}})
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["benchmark"] == "demo"
    assert [(aim["value"], aim["met"]) for aim in last["aims"]] == [(7.13, True), (0.6, False)]
    assert last["peers"] == {"peer": {"start": 9}}


def test_contenders_stand_beside_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    compare("demo", ["us", "them"], {"failed": [0, 1234], "p50 (ms)": [0.274, None]})
    shown = capsys.readouterr().out
    assert all(part in shown for part in ("us", "them", "1,234", "0.27"))
    assert "None" not in shown
