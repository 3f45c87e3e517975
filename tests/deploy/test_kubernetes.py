"""The Kubernetes manifests agree with each other, with the image and with the server."""

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

PROJECT = Path(__file__).parents[2]
FOLDER = PROJECT / "deploy/kubernetes"
STOP = 5
"""The seconds that the server needs to stop after it has sent its clients away."""


def load(name: str) -> dict[str, Any]:
    """Return the only document of a manifest."""
    (document,) = YAML(typ="safe").load_all(FOLDER / f"{name}.yaml")
    assert isinstance(document, dict)
    return document


@pytest.fixture
def pod() -> dict[str, Any]:
    """Return the specification of the Pod."""
    spec: dict[str, Any] = load("deployment")["spec"]["template"]["spec"]
    return spec


@pytest.fixture
def container(pod: dict[str, Any]) -> dict[str, Any]:
    """Return the Pod's only container."""
    (only,) = pod["containers"]
    assert isinstance(only, dict)
    return only


def test_every_manifest_is_applied_but_the_secret() -> None:
    """`kubectl apply -k` applies all manifests except the example of the Secret."""
    names = {path.name for path in FOLDER.glob("*.yaml")}
    applied = set(load("kustomization")["resources"])
    assert names - applied == {"kustomization.yaml", "secret.example.yaml"}
    assert applied <= names


def test_secret_is_empty() -> None:
    """The example has every name and no value."""
    assert set(load("secret.example")["stringData"].values()) == {""}


def test_one_process_at_a_time() -> None:
    """There is one Pod, also during an update, because each has rooms of its own."""
    spec = load("deployment")["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}


def test_labels_select_the_pod() -> None:
    """Every selector matches the labels of the Pod."""
    deployment = load("deployment")["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    assert deployment["selector"]["matchLabels"] == labels
    assert load("service")["spec"]["selector"] == labels
    assert load("poddisruptionbudget")["spec"]["selector"]["matchLabels"] == labels
    assert load("networkpolicy")["spec"]["podSelector"]["matchLabels"] == labels


def test_ports_lead_to_the_server(container: dict[str, Any]) -> None:
    """From the Ingress to the container, each port is the name of the next one's."""
    (exposed,) = re.findall(r"^EXPOSE (\d+)$", (PROJECT / "Dockerfile").read_text(), re.MULTILINE)
    assert container["ports"] == [{"name": "http", "containerPort": int(exposed)}]
    service = load("service")
    (port,) = service["spec"]["ports"]
    assert port["targetPort"] == "http"
    (rule,) = load("ingress")["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    assert path["path"] == "/"
    backend = {"name": service["metadata"]["name"], "port": {"name": port["name"]}}
    assert path["backend"]["service"] == backend
    (ingress,) = load("networkpolicy")["spec"]["ingress"]
    assert ingress["ports"] == [{"port": "http"}]


def test_probes(container: dict[str, Any]) -> None:
    """Draining makes the Pod unready and does not get it killed."""
    paths = {
        name: container[f"{name}Probe"]["httpGet"]["path"]
        for name in ("startup", "liveness", "readiness")
    }
    assert paths == {"startup": "/livez", "liveness": "/livez", "readiness": "/readyz"}


def test_stop_has_enough_time(pod: dict[str, Any], container: dict[str, Any]) -> None:
    """Kubernetes waits for the hook, the drain and the stop."""
    program, seconds = container["lifecycle"]["preStop"]["exec"]["command"]
    assert program == "sleep"
    drain = int(load("configmap")["data"]["CHATROOM_DRAIN_SECONDS"])
    assert pod["terminationGracePeriodSeconds"] > int(seconds) + drain + STOP


def test_pod_is_locked_down(pod: dict[str, Any], container: dict[str, Any]) -> None:
    """The container runs as the image's user, without privileges, and cannot change its files."""
    (user,) = re.findall(r"^USER (\d+):\d+$", (PROJECT / "Dockerfile").read_text(), re.MULTILINE)
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": int(user),
        "runAsGroup": int(user),
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert container["resources"]["limits"] == {"memory": "512Mi"}


def test_settings_reach_the_server(pod: dict[str, Any], container: dict[str, Any]) -> None:
    """The settings come from the ConfigMap and the Secret, and from nowhere else."""
    assert container["envFrom"] == [
        {"configMapRef": {"name": load("configmap")["metadata"]["name"]}},
        {"secretRef": {"name": load("secret.example")["metadata"]["name"]}},
    ]
    assert pod["enableServiceLinks"] is False
    assert all(isinstance(value, str) for value in load("configmap")["data"].values())


def test_host_name_is_the_same_everywhere() -> None:
    """The Ingress serves the host that the server allows, with a certificate for it."""
    host = load("configmap")["data"]["DJANGO_ALLOWED_HOSTS"]
    spec = load("ingress")["spec"]
    assert [rule["host"] for rule in spec["rules"]] == [host]
    assert [name for entry in spec["tls"] for name in entry["hosts"]] == [host]
