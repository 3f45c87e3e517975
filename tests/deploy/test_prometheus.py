"""The files of `deploy/prometheus` and `deploy/grafana`, with a real Prometheus."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from ruamel.yaml import YAML

from tests.live.server import PROJECT, Server
from tests.live.waiting import PATIENCE, wait_until
from tests.test_metrics import RELAY_METRICS

RULES = PROJECT / "deploy/prometheus/chatroom.rules.yml"
CONFIG = PROJECT / "deploy/prometheus/prometheus.yml"
DASHBOARD = json.loads((PROJECT / "deploy/grafana/chatroom.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]
METRIC = re.compile(r"\b((?:chatroom|process)_\w+)")


@pytest.fixture(autouse=True)
def _prometheus_is_installed() -> None:
    if shutil.which("prometheus") is None or shutil.which("promtool") is None:
        if os.environ.get("CHATROOM_TEST_PROMETHEUS") == "required":
            pytest.fail("Prometheus is not installed, and CHATROOM_TEST_PROMETHEUS is required")
        pytest.skip("Prometheus is not installed")


class Prometheus:
    """A Prometheus that scrapes a server with the project's configuration, only much more often."""

    def __init__(self, folder: Path, server: Server) -> None:
        yaml = YAML()
        config = yaml.load(CONFIG)
        config["global"] = {"scrape_interval": "100ms", "evaluation_interval": "100ms"}
        config["scrape_configs"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{server.port}"]
        yaml.dump(config, folder / "prometheus.yml")
        shutil.copy(RULES, folder)
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self._address = f"127.0.0.1:{sock.getsockname()[1]}"
        self.process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={self._address}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def query(self, expression: str) -> list[Any]:
        """Return the result of an expression; raise an error if Prometheus finds one in it."""
        result: list[Any] = self.get("query", query=expression)["result"]
        return result

    def get(self, path: str, **parameters: str) -> Any:
        """Return what the API answers."""
        url = f"http://{self._address}/api/v1/{path}?{urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=PATIENCE) as response:
            answer = json.load(response)
        assert answer["status"] == "success"
        return answer["data"]

    def wait_for(self, expression: str) -> None:
        """Wait until an expression has a result."""

        def has_a_result() -> bool:
            assert self.process.poll() is None, "Prometheus has stopped"
            try:
                return bool(self.query(expression))
            except OSError:  # it does not listen yet, or is not ready
                return False

        wait_until(has_a_result)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server with a client, a message and an error of each kind that the dashboard shows."""
    server = Server()
    try:
        topic = server.create_topic("t", history=10)
        reader, client = server.subscriber(topic), server.connect()
        client.publish(topic, "hello")
        reader.receive()
        client.publish("missing")
        server.connect().close()
        yield server
        assert server.complaints() == []
    finally:
        server.close()


@pytest.fixture
def prometheus(tmp_path: Path, server: Server) -> Iterator[Prometheus]:
    """A running Prometheus."""
    prometheus = Prometheus(tmp_path, server)
    try:
        yield prometheus
    finally:
        prometheus.process.send_signal(signal.SIGTERM)
        prometheus.process.wait(PATIENCE)


def promtool(*arguments: str | Path, text: str | None = None) -> None:
    """Run promtool in the folder of the rules; it must find nothing to complain about."""
    result = subprocess.run(
        ["promtool", *map(str, arguments)],
        input=text,
        cwd=RULES.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def concrete(expression: str) -> str:
    """Return an expression of the dashboard as Grafana sends it."""
    return expression.replace("$instance", ".*").replace("$__rate_interval", "1m")


def test_files_are_valid() -> None:
    """The configuration and the rules pass promtool's checks, the strict one as well."""
    promtool("check", "config", CONFIG)
    promtool("check", "rules", "--lint=all", "--lint-fatal", RULES)


def test_alerts() -> None:
    """Each alert fires when it should, and a busy server raises none."""
    promtool("test", "rules", "chatroom.rules.test.yml")
    tested = (RULES.parent / "chatroom.rules.test.yml").read_text()
    rules = YAML(typ="safe").load(RULES)["groups"][0]["rules"]
    assert all(rule["alert"] in tested for rule in rules)


def test_a_real_prometheus_understands_everything(prometheus: Prometheus, server: Server) -> None:
    """A real Prometheus scrapes a real server, and every panel and rule works with the result."""
    prometheus.wait_for("count_over_time(chatroom_build_info[1m]) > 2")
    assert prometheus.query("up")[0]["value"][1] == "1"
    known = set(prometheus.get("label/__name__/values")) | RELAY_METRICS.keys()
    for expression in EXPRESSIONS:
        prometheus.query(concrete(expression))
        assert set(METRIC.findall(expression)) <= known, expression
    for rule in (rules := prometheus.get("rules")["groups"][0]["rules"]):
        assert set(METRIC.findall(rule["query"])) <= known, rule["name"]
        assert rule["health"] in ("ok", "unknown"), rule["lastError"]
        assert rule["state"] == "inactive", rule["name"]
    assert len(rules) > 5
    assert server.stop() == 0
    prometheus.wait_for("ALERTS{alertname='ChatroomDown'}")


def test_metrics_are_well_formed(server: Server) -> None:
    """Promtool finds no fault in names, types and help texts of what the server exports."""
    promtool("check", "metrics", text=server.get_text("/metrics"))


def test_dashboard() -> None:
    """Each panel has a title, a place of its own and a query for the chosen data source."""
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    places: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        grid = panel["gridPos"]
        taken = {
            (x, y)
            for x in range(grid["x"], grid["x"] + grid["w"])
            for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert panel["title"]
        assert grid["x"] + grid["w"] <= 24
        assert not taken & places, panel["title"]
        places |= taken
    source = {"type": "prometheus", "uid": "${datasource}"}
    for panel in PANELS:
        assert panel["datasource"] == source
        assert [target["refId"] for target in panel["targets"]] == list(
            "ABC"[: len(panel["targets"])]
        )
        assert all(target["datasource"] == source for target in panel["targets"])
    names = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    assert names == {"datasource", "instance"}
    assert all('instance=~"$instance"' in expression for expression in EXPRESSIONS)
