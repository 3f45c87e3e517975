"""The manifests for several Pods and NATS agree with each other, and NATS accepts its part."""

import json
import re
import shutil
import subprocess
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.deploy.nats import ask, free_ports, running_nats
from tests.live.waiting import PATIENCE, wait_until

DEPLOY = Path(__file__).parents[2] / "deploy"
FOLDER = DEPLOY / "kubernetes-cluster"
NATS = {"app.kubernetes.io/name": "nats"}
CHATROOM = {"app.kubernetes.io/name": "chatroom"}


def load(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    """Return the only document of a manifest."""
    (document,) = YAML(typ="safe").load_all(folder / f"{name}.yaml")
    assert isinstance(document, dict)
    return document


def configuration() -> str:
    """Return the configuration file of NATS."""
    text = load("nats-configmap")["data"]["nats.conf"]
    assert isinstance(text, str)
    return text


def option(name: str) -> str:
    """Return an option that the configuration of NATS has once."""
    (value,) = re.findall(rf"^\s*{name}: (.*)$", configuration(), re.MULTILINE)
    return str(value)


@pytest.fixture
def nats() -> dict[str, Any]:
    """Return the specification of the Pods of NATS."""
    spec: dict[str, Any] = load("nats-statefulset")["spec"]["template"]["spec"]
    return spec


@pytest.fixture
def container(nats: dict[str, Any]) -> dict[str, Any]:
    """Return the only container of NATS."""
    (only,) = nats["containers"]
    assert isinstance(only, dict)
    return only


@pytest.fixture
def variables() -> dict[str, Any]:
    """Return the variables that the chat rooms get in addition."""
    (only,) = load("deployment.patch")["spec"]["template"]["spec"]["containers"]
    return {entry["name"]: entry for entry in only["env"]}


def test_every_manifest_is_applied_but_the_examples() -> None:
    """`kubectl apply -k` applies all manifests, and those of a single Pod."""
    kustomization = load("kustomization")
    applied = {*kustomization["resources"], *(patch["path"] for patch in kustomization["patches"])}
    names = {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
    assert applied - names == {"../kubernetes"}
    assert all(name.endswith(".example.yaml") for name in names - applied)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.patch.yaml")), ids=lambda path: path.name)
def test_patches_have_something_to_change(path: Path) -> None:
    """Each patch names a manifest of the single Pod."""
    patch = load(path.stem)
    base = load(path.name.partition(".")[0], DEPLOY / "kubernetes")
    for key in ("apiVersion", "kind"):
        assert patch[key] == base[key]
    assert patch["metadata"]["name"] == base["metadata"]["name"]


def test_kustomize_accepts_them() -> None:
    """The result has what both folders have."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    command = ["kubectl", "kustomize", FOLDER]
    built = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    documents = list(YAML(typ="safe").load_all(built.stdout))
    names = {(document["kind"], document["metadata"]["name"]) for document in documents}
    assert len(names) == len(documents)
    assert {("Deployment", "chatroom"), ("StatefulSet", "nats"), ("Ingress", "chatroom")} <= names
    (budget,) = (d for d in documents if (d["kind"], d["metadata"]["name"])[0:2] == BUDGET)
    assert "minAvailable" not in budget["spec"]


BUDGET = ("PodDisruptionBudget", "chatroom")


def test_secret_is_empty() -> None:
    """The example has every name and no value."""
    assert set(load("nats-secret.example")["stringData"].values()) == {""}


def test_new_pods_start_before_old_ones_end() -> None:
    """During an update there are never fewer Pods than usual."""
    spec = load("deployment.patch")["spec"]
    assert spec["replicas"] > 1
    assert spec["strategy"]["type"] == "RollingUpdate"
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert load("poddisruptionbudget.patch")["spec"] == {"minAvailable": None, "maxUnavailable": 1}


def test_labels_select_the_pods(nats: dict[str, Any]) -> None:
    """Every selector matches the labels of the Pods that it is for."""
    spec = load("nats-statefulset")["spec"]
    assert spec["template"]["metadata"]["labels"] == NATS
    for selector in (
        spec["selector"]["matchLabels"],
        load("nats-service")["spec"]["selector"],
        load("nats-service-headless")["spec"]["selector"],
        load("nats-poddisruptionbudget")["spec"]["selector"]["matchLabels"],
        load("nats-networkpolicy")["spec"]["podSelector"]["matchLabels"],
        *(
            term["labelSelector"]["matchLabels"]
            for term in nats["affinity"]["podAntiAffinity"][
                "requiredDuringSchedulingIgnoredDuringExecution"
            ]
        ),
    ):
        assert selector == NATS
    pod = load("deployment.patch")["spec"]["template"]["spec"]
    for constraint in pod["topologySpreadConstraints"]:
        assert constraint["labelSelector"]["matchLabels"] == CHATROOM


def test_ports_lead_to_nats(container: dict[str, Any], variables: dict[str, Any]) -> None:
    """From the setting to the container, each port is that of the next one."""
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    service = load("nats-service")
    (port,) = service["spec"]["ports"]
    assert port["targetPort"] == "client"
    address = variables["CHATROOM_RELAY"]["value"]
    assert address.rpartition("@")[2] == f"{service['metadata']['name']}:{port['port']}"
    assert f"\nport: {ports['client']}\n" in configuration()
    assert option("http_port") == str(ports["monitor"])
    headless = load("nats-service-headless")["spec"]["ports"]
    assert [(port["port"], port["targetPort"]) for port in headless] == [
        (ports["cluster"], "cluster")
    ]


def test_network_is_closed() -> None:
    """The chat rooms reach NATS, its servers reach each other, and no one else does."""
    ports = {
        peer["podSelector"]["matchLabels"]["app.kubernetes.io/name"]: rule["ports"]
        for rule in load("nats-networkpolicy")["spec"]["ingress"]
        for peer in rule["from"]
    }
    assert ports == {"chatroom": [{"port": "client"}], "nats": [{"port": "cluster"}]}
    allowed = load("networkpolicy.patch")["spec"]["egress"]
    assert {"to": [{"podSelector": {"matchLabels": NATS}}], "ports": [{"port": 4222}]} in allowed


def test_credentials_come_from_the_secret(
    container: dict[str, Any], variables: dict[str, Any]
) -> None:
    """Both sides have the same user, and the password from the Secret."""
    secret = load("nats-secret.example")
    (key,) = secret["stringData"]
    for entry in (
        variables["NATS_PASSWORD"],
        *(entry for entry in container["env"] if entry["name"] == "NATS_PASSWORD"),
    ):
        assert entry["valueFrom"]["secretKeyRef"] == {
            "name": secret["metadata"]["name"],
            "key": key,
        }
    user = option("user")
    assert variables["CHATROOM_RELAY"]["value"].startswith(f"nats://{user}:$(NATS_PASSWORD)@")
    assert option("password") == "$NATS_PASSWORD"
    # Kubernetes expands only what stands before.
    assert list(variables).index("NATS_PASSWORD") < list(variables).index("CHATROOM_RELAY")


def test_routes_lead_to_every_server() -> None:
    """Each server knows the name of each, which the headless Service gives it."""
    spec = load("nats-statefulset")["spec"]
    headless = load("nats-service-headless")
    assert spec["serviceName"] == headless["metadata"]["name"]
    assert headless["spec"]["publishNotReadyAddresses"] is True
    assert re.findall(r"nats://([\w.-]+):6222$", configuration(), re.MULTILINE) == [
        f"nats-{number}.{spec['serviceName']}" for number in range(spec["replicas"])
    ]
    replicas = load("configmap.patch")["data"]["CHATROOM_RELAY_REPLICAS"]
    assert int(replicas) == spec["replicas"] == 3


def test_stop_has_enough_time(nats: dict[str, Any], container: dict[str, Any]) -> None:
    """Kubernetes waits until the clients of NATS have gone to other servers."""
    seconds = [
        int(option(f"lame_duck_{name}").removesuffix("s")) for name in ("grace_period", "duration")
    ]
    assert nats["terminationGracePeriodSeconds"] > sum(seconds)
    program, _, signal = container["lifecycle"]["preStop"]["exec"]["command"]
    assert (program, signal) == ("nats-server", f"ldm={option('pid_file')}")


def test_files_have_enough_room(nats: dict[str, Any], container: dict[str, Any]) -> None:
    """What NATS writes is on a volume, which is larger than what NATS may use."""
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    (claim,) = load("nats-statefulset")["spec"]["volumeClaimTemplates"]
    assert mounts[option("store_dir")] == claim["metadata"]["name"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "2Gi"
    assert int(option("max_file_store").removesuffix("MB")) * 10**6 < 2 * 2**30
    assert str(Path(option("pid_file")).parent) in mounts
    assert {volume["name"] for volume in nats["volumes"]} | {"data"} == set(mounts.values())


def test_nats_is_locked_down(nats: dict[str, Any], container: dict[str, Any]) -> None:
    """NATS is confined as the chat room is."""
    base = load("deployment", DEPLOY / "kubernetes")["spec"]["template"]["spec"]
    assert container["securityContext"] == base["containers"][0]["securityContext"]
    assert nats["securityContext"] == {**base["securityContext"], "fsGroup": 10001}
    assert nats["automountServiceAccountToken"] is False
    assert container["resources"]["limits"]["memory"]


def test_autoscaler_scales_the_chat_room() -> None:
    """The example refers to the Deployment, and keeps as many Pods as there are without it."""
    spec = load("horizontalpodautoscaler.example")["spec"]
    deployment = load("deployment.patch")
    assert spec["scaleTargetRef"] == {
        "apiVersion": deployment["apiVersion"],
        "kind": deployment["kind"],
        "name": deployment["metadata"]["name"],
    }
    assert spec["minReplicas"] == deployment["spec"]["replicas"]


def test_three_servers_form_a_cluster(tmp_path: Path, container: dict[str, Any]) -> None:
    """With addresses of this machine, they become healthy and replicate a stream three times."""
    clients, routes, monitors = free_ports(3), free_ports(3), free_ports(3)
    password = "n0123"
    with ExitStack() as stack:
        for number in range(3):
            text = configuration()
            for name, value in (
                ("http_port: 8222", f"http: 127.0.0.1:{monitors[number]}"),
                ("port: 6222", f"listen: 127.0.0.1:{routes[number]}"),
                ("/run/nats", f"{tmp_path}/{number}"),
                ("/data", f"{tmp_path}/{number}"),
                *((f"nats-{n}.nats-headless:6222", f"127.0.0.1:{routes[n]}") for n in range(3)),
            ):
                assert name in text
                text = text.replace(name, value)
            path = tmp_path / f"{number}.conf"
            (tmp_path / str(number)).mkdir()
            path.write_text(text)
            variables = {"POD_NAME": f"nats-{number}", "NATS_PASSWORD": password}
            stack.enter_context(running_nats(path, clients[number], **variables))
        probe = container["startupProbe"]["httpGet"]["path"]
        for port in monitors:
            wait_until(lambda port=port: is_healthy(f"http://127.0.0.1:{port}{probe}"))
        stream = json.dumps({"name": "s", "subjects": ["s"], "num_replicas": 3})
        request = f"PUB $JS.API.STREAM.CREATE.s answer {len(stream)}\r\n{stream}"

        def is_created() -> bool:
            credentials = {"user": "chatroom", "pass": password}
            ask(clients[0], request, **credentials)
            with urllib.request.urlopen(f"http://127.0.0.1:{monitors[2]}/jsz") as response:
                return bool(json.load(response)["streams"])

        wait_until(is_created)
        assert b"Authorization Violation" in ask(clients[1])


def is_healthy(url: str) -> bool:
    """Return whether a probe of Kubernetes would succeed."""
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as response:
            return bool(response.status == 200)
    except OSError:
        return False
