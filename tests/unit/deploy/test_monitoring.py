"""Prometheus asks every server, and Grafana finds what it is to show."""

import json
from typing import Any

from tests.unit.deploy.stack import DEPLOY, compose, documents, server_names, services


def mounts(name: str) -> dict[str, str]:
    """Where in the container each file of deploy/ is."""
    pairs = [one.split(":")[:2] for one in services()[name]["volumes"] if one.startswith("./")]
    return {inside: outside.removeprefix("./") for outside, inside in pairs}


def prometheus() -> Any:
    [found] = documents(DEPLOY / "prometheus" / "prometheus.yml")
    return found


def test_prometheus_asks_every_server_with_the_key_that_it_is_given() -> None:
    [job] = prometheus()["scrape_configs"]
    [static] = job["static_configs"]
    assert static["targets"] == [f"{name}:8123" for name in server_names()]
    [secret] = services()["prometheus"]["secrets"]
    assert job["authorization"]["credentials_file"] == f"/run/secrets/{secret}"
    assert compose()["secrets"][secret] == {"environment": "METRICS_KEY"}


def test_prometheus_reads_the_file_that_is_mounted() -> None:
    [option] = [o for o in services()["prometheus"]["command"] if o.startswith("--config.file=")]
    assert (DEPLOY / mounts("prometheus")[option.partition("=")[2]]).is_file()


def test_grafana_finds_prometheus_and_its_dashboard() -> None:
    inside = mounts("grafana")
    folder = DEPLOY / inside["/etc/grafana/provisioning"]
    [sources] = documents(folder / "datasources" / "prometheus.yaml")
    [source] = sources["datasources"]
    assert source["url"] == "http://prometheus:9090"
    [providers] = documents(folder / "dashboards" / "potluck.yaml")
    [provider] = providers["providers"]
    [dashboard] = [path for path in inside if path.startswith(provider["options"]["path"] + "/")]
    assert (
        services()["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
        == dashboard
    )
    shown = json.loads((DEPLOY / inside[dashboard]).read_text("utf-8"))
    named = {one["type"] for one in _sources(shown) if "uid" in one}
    assert named <= {"prometheus", "grafana", "-- Grafana --", "datasource"}


def _sources(value: Any) -> list[Any]:
    if isinstance(value, dict):
        own = [value["datasource"]] if isinstance(value.get("datasource"), dict) else []
        return own + [one for inner in value.values() for one in _sources(inner)]
    return [one for inner in value for one in _sources(inner)] if isinstance(value, list) else []
