"""The manifests are ones that Kubernetes takes, alone and put together, and fit the server."""

import re
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from potluck.server.guard import OPEN_PATHS
from potluck.server.serve import DEFAULT_PORT
from tests.unit.deploy.stack import (
    DEPLOY,
    FOREIGN,
    STOP_S,
    documents,
    module,
    settings_names,
)

FOLDER = DEPLOY / "kubernetes"
MANIFESTS = [path for path in sorted(FOLDER.rglob("*.yaml")) if path.name != "kustomization.yaml"]
COMPONENTS = sorted(path.name for path in (FOLDER / "components").iterdir())
OLDEST = "1.33"
NEWEST = "1.37"
LABEL = {"app.kubernetes.io/name": "potluck"}


@cache
def kinds() -> dict[str, Any]:
    return {one["kind"]: one for path in MANIFESTS for one in documents(path)}


def pod(deployment: Any) -> Any:
    return deployment["spec"]["template"]["spec"]


def render(folder: Path) -> dict[str, Any]:
    """What `kubectl apply -k` would send, by kind."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        # No package of Debian's is new enough, so nobody can be asked to have it
        pytest.skip("kubectl is missing: https://kubernetes.io/docs/tasks/tools")
    done = subprocess.run(
        [kubectl, "kustomize", str(folder)], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    found = [one for one in YAML(typ="safe").load_all(done.stdout) if one]
    assert len({one["kind"] for one in found}) == len(found)
    return {one["kind"]: one for one in found}


Made = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The example as a user fills it in, with one of the components, put together."""

    @cache
    def make(component: str) -> dict[str, Any]:
        copied = tmp_path_factory.mktemp("deploy") / "kubernetes"
        shutil.copytree(FOLDER, copied)
        folder = copied / "example"
        shutil.copy(folder / "potluck.env.example", folder / "potluck.env")
        use(folder, component)
        return render(folder)

    return make


def use(folder: Path, component: str) -> None:
    """Take `#` from before a component, as a user does."""
    file = folder / "kustomization.yaml"
    lines = [
        line.removeprefix("# ")
        if line == "# components:" or line.rpartition("/")[2] == component
        else line
        for line in file.read_text("utf-8").splitlines()
    ]
    file.write_text("\n".join(lines), "utf-8")


def validate(manifest: Any, version: str) -> None:
    checker = module("kubernetes_validate", "`uv sync --group deploy`")
    checker.validate(manifest, version, strict=True)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_kubernetes_takes_it(path: Path, version: str) -> None:
    for manifest in documents(path):
        validate(manifest, version)


def test_every_manifest_is_part_of_something() -> None:
    for path in MANIFESTS:
        [kustomization] = documents(path.with_name("kustomization.yaml"))
        assert path.name in kustomization["resources"]


def test_the_example_lists_every_component() -> None:
    text = (FOLDER / "example" / "kustomization.yaml").read_text("utf-8")
    assert re.findall(r"^#   - \.\./components/(\S+)$", text, re.MULTILINE) == COMPONENTS


@pytest.mark.parametrize("component", ["", *COMPONENTS])
def test_the_example_is_put_together(made: Made, component: str) -> None:
    found = made(component)
    for manifest in found.values():
        assert manifest["kind"] == "Namespace" or manifest["metadata"]["namespace"] == "potluck"
        validate(manifest, NEWEST)
    inner = pod(found["Deployment"])
    [container] = inner["containers"]
    assert container["image"].startswith("registry.example.com/potluck:")
    [secret] = [one["secret"] for one in inner["volumes"] if "secret" in one]
    assert secret["secretName"] == found["Secret"]["metadata"]["name"]
    assert list(found["Secret"]["data"]) == ["potluck.env"]
    [settings] = [one["configMapRef"]["name"] for one in container["envFrom"]]
    assert settings == found["ConfigMap"]["metadata"]["name"]
    file = found["ConfigMap"]["data"]["POTLUCK_ENV_FILE"]
    mounted = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
    assert file == f"{mounted['secret']}/potluck.env"
    assert mounted["workspaces"] == f"{found['ConfigMap']['data']['POTLUCK_HOME']}/workspaces"


class TestComponents:
    def test_restricted_is_what_the_pod_security_standard_asks(self, made: Made) -> None:
        inner = pod(made("restricted")["Deployment"])
        [container] = inner["containers"]
        own = container["securityContext"]
        assert inner["securityContext"]["runAsNonRoot"] is True
        assert own["allowPrivilegeEscalation"] is False
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert own["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"procMount", "appArmorProfile", "privileged"} & set(own)
        kinds_of_volume = {kind for volume in inner["volumes"] for kind in volume if kind != "name"}
        assert kinds_of_volume <= {"emptyDir", "persistentVolumeClaim", "secret", "configMap"}

    def test_the_sandbox_as_root_has_no_user_namespace(self, made: Made) -> None:
        inner = pod(made("root-sandbox")["Deployment"])
        own = inner["containers"][0]["securityContext"]
        assert "hostUsers" not in inner
        assert "procMount" not in own
        assert inner["securityContext"]["runAsUser"] == 0
        # For mounts, and for the loopback interface of an empty network
        assert {"SYS_ADMIN", "NET_ADMIN"} <= set(own["capabilities"]["add"])
        assert own["capabilities"]["drop"] == ["ALL"]

    def test_a_single_server_never_shares_its_volume(self, made: Made) -> None:
        found = made("single-server")
        assert found["Deployment"]["spec"]["replicas"] == 1
        assert found["Deployment"]["spec"]["strategy"] == {"type": "Recreate"}
        assert found["PersistentVolumeClaim"]["spec"]["accessModes"] == ["ReadWriteOnce"]

    def test_only_the_autoscaler_says_how_many_servers_there_are(self, made: Made) -> None:
        found = made("autoscaling")
        assert "replicas" not in found["Deployment"]["spec"]
        target = found["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
        assert target["name"] == found["Deployment"]["metadata"]["name"]


class TestServer:
    def test_the_sandbox_may_make_its_walls_in_the_pods_own_user_namespace(self) -> None:
        inner = pod(kinds()["Deployment"])
        own = inner["containers"][0]["securityContext"]
        # Kubernetes refuses an unmasked /proc without a user namespace
        assert (inner["hostUsers"], own["procMount"]) == (False, "Unmasked")
        assert own["readOnlyRootFilesystem"] is True
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert own["allowPrivilegeEscalation"] is False

    def test_it_is_the_user_of_the_image(self) -> None:
        user = pod(kinds()["Deployment"])["securityContext"]
        text = (DEPLOY / "Dockerfile").read_text("utf-8")
        assert re.findall(r"^USER (.*)$", text, re.MULTILINE) == [
            f"{user['runAsUser']}:{user['runAsGroup']}"
        ]

    def test_probes_ask_doors_that_are_open_without_a_key(self) -> None:
        [container] = pod(kinds()["Deployment"])["containers"]
        probes = {name: container[f"{name}Probe"] for name in ("startup", "liveness", "readiness")}
        assert {probe["httpGet"]["path"] for probe in probes.values()} <= OPEN_PATHS
        # An outage of the database must not have every server started again
        assert probes["liveness"]["httpGet"]["path"] == "/live"
        assert probes["readiness"]["httpGet"]["path"] == "/ready"

    def test_ports_lead_from_the_service_to_the_server(self) -> None:
        [port] = kinds()["Service"]["spec"]["ports"]
        [inner] = pod(kinds()["Deployment"])["containers"][0]["ports"]
        assert (port["port"], port["targetPort"]) == (DEFAULT_PORT, inner["name"])
        assert inner["containerPort"] == DEFAULT_PORT
        [rule] = kinds()["NetworkPolicy"]["spec"]["ingress"]
        assert [one["port"] for one in rule["ports"]] == [DEFAULT_PORT]

    def test_selectors_find_the_pods(self) -> None:
        assert kinds()["Deployment"]["spec"]["template"]["metadata"]["labels"] == LABEL
        assert kinds()["Deployment"]["spec"]["selector"]["matchLabels"] == LABEL
        assert kinds()["Service"]["spec"]["selector"] == LABEL
        assert kinds()["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == LABEL
        assert kinds()["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == LABEL

    def test_it_has_the_time_that_it_takes_to_stop(self) -> None:
        inner = pod(kinds()["Deployment"])
        before_s = inner["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert inner["terminationGracePeriodSeconds"] > before_s + STOP_S

    def test_the_cloud_tells_nothing(self) -> None:
        rules = kinds()["NetworkPolicy"]["spec"]["egress"]
        blocks = [to["ipBlock"] for rule in rules for to in rule.get("to", []) if "ipBlock" in to]
        [v4] = [block for block in blocks if block["cidr"] == "0.0.0.0/0"]
        assert "169.254.0.0/16" in v4["except"]


def test_variables_are_settings() -> None:
    named = set()
    for path in FOLDER.rglob("kustomization.yaml"):
        [kustomization] = documents(path)
        for one in kustomization.get("configMapGenerator", []):
            named |= {literal.partition("=")[0] for literal in one["literals"]}
    file = (FOLDER / "example" / "potluck.env.example").read_text("utf-8")
    named |= set(re.findall(r"^([A-Z_]+)=", file, re.MULTILINE))
    assert {"DATABASE_URL", "POTLUCK_API_KEYS", "POTLUCK_HOME"} <= named
    assert named <= settings_names() | FOREIGN
