"""Every metric that the guide and the Grafana dashboard name is there, with the labels they use."""

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.core import Metric
from prometheus_client.metrics import MetricWrapperBase
from ruamel.yaml import YAML
from starlette.datastructures import Headers

from potluck.engine import Engine
from potluck.quota.calls import CallRecord
from potluck.sandbox.limits import Limits
from potluck.sandbox.pool import Sandboxes
from potluck.server.auth_keys import Keyring
from potluck.server.guard import METRICS_PATH
from potluck.server.logs import log_call
from potluck.server.metrics import Metrics
from potluck.server.metrics_reading import read
from potluck.server.metrics_sandbox import CountedRunner
from potluck.settings import PROJECT_DIR, Settings
from tests.unit.server.log_stage import logs_set_up
from tests.unit.server.metrics_stage import stocked_engine

GUIDE = (PROJECT_DIR / "docs" / "metrics.md").read_text("utf-8")
DASHBOARD = json.loads((PROJECT_DIR / "deploy" / "grafana" / "potluck.json").read_text("utf-8"))
# Which server: Prometheus adds these
OF_THE_SERVER = {"instance", "job"}
FOREIGN = {"aegra_reaper_recovered_runs_total": {"outcome"}}
ENDINGS = {
    "counter": ("_total",),
    "histogram": ("_bucket", "_sum", "_count"),
    "info": ("_info",),
    "gauge": ("",),
}
NAME = re.compile(r"\b(?:potluck|process|aegra|python)_[a-z_]+\b")


def names_of(metric: Metric) -> list[str]:
    return [metric.name + ending for ending in ENDINGS[metric.type]]


def own_labels(metrics: Metrics) -> dict[str, set[str]]:
    """The labels of what is counted, whether it was counted already or not."""
    found: dict[str, set[str]] = {}
    for part in vars(metrics).values():
        if isinstance(part, MetricWrapperBase):
            [metric] = part.collect()
            for name in names_of(metric):
                bucket = {"le"} if name.endswith("_bucket") else set()
                found[name] = set(part._labelnames) | bucket
    return found


def shown_labels(families: Iterable[Metric]) -> dict[str, set[str]]:
    return {sample.name: set(sample.labels) for family in families for sample in family.samples}


@pytest.fixture
async def labels(engine: Engine) -> dict[str, set[str]]:
    """Each sample's name with its labels, as `/metrics` shows them."""
    metrics = Metrics()
    stocked = stocked_engine(engine)
    stocked.runner = CountedRunner(_sandboxes(engine.home), metrics.note_sandbox)
    read_now = shown_labels(await read(stocked))
    return shown_labels(metrics.registry.collect()) | own_labels(metrics) | read_now | FOREIGN


def _sandboxes(home: Path) -> Sandboxes:
    launcher: Any = None
    return Sandboxes(launcher, home, limits=Limits(), clock=lambda: datetime.now(UTC))


def expressions(value: Any) -> list[str]:
    """Every query of the dashboard, those of its variables among them."""
    if isinstance(value, dict):
        own = [value[key] for key in ("expr", "query") if isinstance(value.get(key), str)]
        return own + [one for inner in value.values() for one in expressions(inner)]
    return [one for inner in value for one in expressions(inner)] if isinstance(value, list) else []


QUERIES = [one for one in expressions(DASHBOARD) if "_" in one]


def test_the_dashboard_asks_much() -> None:
    assert len(QUERIES) > 30
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("query", QUERIES)
def test_each_query_names_what_is_there(query: str, labels: dict[str, set[str]]) -> None:
    names = set(NAME.findall(re.sub(r'"[^"]*"', "", query)))
    assert names
    assert names <= set(labels)
    known = set[str]().union(*(labels[name] for name in names)) | OF_THE_SERVER
    for name, chosen in re.findall(r"(\w+)\{([^}]*)\}", query):
        used = set(re.findall(r"(\w+)\s*=~?", re.sub(r'"[^"]*"', "", chosen)))
        assert used <= labels[name] | OF_THE_SERVER, name
    for grouped in re.findall(r"by \(([^)]*)\)", query):
        assert {one.strip() for one in grouped.split(",")} <= known
    assert query.count("(") == query.count(")")


def test_legends_use_labels_that_are_there(labels: dict[str, set[str]]) -> None:
    known = set[str]().union(*labels.values()) | OF_THE_SERVER
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= known
            grouped = re.findall(r"by \(([^)]*)\)", target["expr"])
            told = {one.strip() for one in (grouped[0].split(",") if grouped else [])}
            if grouped:
                assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= told


def test_no_two_panels_lie_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


def base(name: str) -> str:
    """The name as the guide gives it: that of a histogram is told without its endings."""
    return re.sub(r"_seconds_(bucket|sum|count)$", "_seconds", name)


def told_labels() -> dict[str, set[str]]:
    """What the guide's table says."""
    rows = re.findall(r"^\| `(potluck_\w+)` \|([^|]*)\|", GUIDE, re.MULTILINE)
    return {name: {one.strip() for one in cell.split(",") if one.strip()} for name, cell in rows}


def test_the_guide_tells_every_metric_with_its_labels(labels: dict[str, set[str]]) -> None:
    ours = {
        base(name): given - {"le"} for name, given in labels.items() if name.startswith("potluck_")
    }
    told = told_labels()
    assert told == ours


def test_the_guide_names_no_other(labels: dict[str, set[str]]) -> None:
    known = {base(name) for name in labels}
    assert {name for name in NAME.findall(GUIDE) if not name.endswith("_")} <= known


def example(language: str) -> str:
    """The guide's only example in that language."""
    [text] = re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    return str(text)


async def test_prometheus_as_the_guide_sets_it_up_may_read() -> None:
    [keys] = re.findall(r"^```\nPOTLUCK_API_KEYS=(.+)\n```$", GUIDE, re.MULTILINE)
    [job] = YAML(typ="safe").load(example("yaml"))["scrape_configs"]
    keyring = Keyring.of(Settings(potluck_api_keys=keys))  # type: ignore[arg-type] # parsed
    secret = job["authorization"]["credentials"]
    who = keyring.caller_of(Headers({"Authorization": f"Bearer {secret}"}))
    assert who is not None
    assert (who.role, job["metrics_path"]) == ("metrics", METRICS_PATH)


def test_the_line_of_the_log_that_the_guide_shows_is_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = json.loads(example("json"))
    of_a_run = {"request_id", "run_id", "thread_id", "user_id", "trace_id", "span_id"}
    with logs_set_up("json"):
        log_call(
            CallRecord(
                at=datetime.now(UTC), provider=shown["provider"], model=shown["model"], key_id="",
                task_type="general", priority="batch", outcome="answered", duration_s=0.05,
                input_tokens=974, output_tokens=9,
            )
        )  # fmt: skip
    written = json.loads(capsys.readouterr().out)
    written["timestamp"] = shown["timestamp"]
    assert written == {name: value for name, value in shown.items() if name not in of_a_run}
    assert list(written) == list(shown)[: len(written)]
