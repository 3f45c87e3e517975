"""The Compose file for several containers: it is valid, and its proxy and its NATS work."""

import http.client
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Protocol

import pytest
from ruamel.yaml import YAML

from tests.deploy.nats import ask, free_ports, running_nats
from tests.deploy.proxies import Answer, Proxy
from tests.deploy.upstream import Upstream
from tests.live.client import UUID, Client
from tests.live.server import Server
from tests.live.waiting import PATIENCE, accepts_connections, wait_until

PROJECT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
FOLDER = PROJECT / "deploy/compose"
LETTERS = "0123456789abcdef"


def load(name: str) -> dict[str, Any]:
    """Return a Compose file; what it resets is empty."""
    yaml = YAML(typ="safe")
    yaml.constructor.add_constructor("!reset", lambda constructor, node: [])
    document = yaml.load(PROJECT / name)
    assert isinstance(document, dict)
    return document


@pytest.fixture
def services() -> dict[str, Any]:
    """Return the services of the file for several containers."""
    found: dict[str, Any] = load("docker-compose.cluster.yml")["services"]
    return found


# --- The file ---


def test_file_is_valid(tmp_path: Path) -> None:
    """It matches the schema of the Compose specification."""
    path = tmp_path / "compose.json"
    path.write_text(json.dumps(load("docker-compose.cluster.yml")))
    command = [BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", path]
    subprocess.run(command, check=True, timeout=PATIENCE, capture_output=True)


def test_only_the_proxy_is_published(services: dict[str, Any]) -> None:
    """It has the port of the single container, which several containers could not share."""
    (single,) = load("docker-compose.prod.yml")["services"].values()
    assert services["proxy"]["ports"] == single["ports"]
    assert services["chatroom"]["ports"] == []
    assert "ports" not in services["nats"]


def test_addresses_lead_to_the_services(services: dict[str, Any]) -> None:
    """The proxy finds the chat rooms by their name, and these find NATS by its name."""
    relay = services["chatroom"]["environment"]["CHATROOM_RELAY"]
    assert relay.endswith("@nats:4222")
    assert "{$CHATROOM_HOST:chatroom} {$CHATROOM_PORT:9090}" in (FOLDER / "Caddyfile").read_text()


def test_proxy_is_believed(services: dict[str, Any]) -> None:
    """The chat rooms trust the network that the containers are in, and no other."""
    (configuration,) = load("docker-compose.cluster.yml")["networks"]["default"]["ipam"]["config"]
    trusted = services["chatroom"]["environment"]["CHATROOM_TRUSTED_PROXIES"]
    assert trusted == configuration["subnet"]


def test_chat_rooms_stop_first(services: dict[str, Any]) -> None:
    """Compose stops what a service depends on after it, so clients get 3001 through the proxy."""
    assert set(services["chatroom"]["depends_on"]) == {"nats", "proxy"}
    assert not {"depends_on"} & (set(services["nats"]) | set(services["proxy"]))


def test_proxy_can_write_where_it_has_to(services: dict[str, Any]) -> None:
    """The directories in memory that Caddy keeps files in belong to its user."""
    user = services["proxy"]["user"].partition(":")[0]
    assert {f"/config:uid={user}", f"/data:uid={user}"} <= set(services["proxy"]["tmpfs"])


def test_password_is_required_and_not_in_the_file(services: dict[str, Any]) -> None:
    """Without the variable, nothing starts."""
    relay = services["chatroom"]["environment"]["CHATROOM_RELAY"]
    assert re.fullmatch(r"nats://chatroom:\$\{NATS_PASSWORD:\?.*\}@nats:4222", relay)


@pytest.mark.parametrize("name", ["proxy", "nats"])
def test_containers_are_locked_down(services: dict[str, Any], name: str) -> None:
    """They are confined as the chat room is."""
    assert services[name]["read_only"] is True
    assert services[name]["cap_drop"] == ["ALL"]
    assert services[name]["restart"] == "unless-stopped"


# --- NATS ---


@pytest.mark.parametrize("password", ["1234e5", "1k", LETTERS * 3, "secret"])
def test_nats_takes_the_password_as_it_is(
    services: dict[str, Any], tmp_path: Path, password: str
) -> None:
    """The environment in the file gives NATS the password, even if it looks like a number."""
    template = services["nats"]["environment"]["NATS_PASSWORD"]
    path = tmp_path / "nats.conf"
    text = (FOLDER / "nats.conf").read_text()
    assert "store_dir: /data\n" in text
    path.write_text(text.replace("/data", str(tmp_path / "data")))
    (port,) = free_ports(1)
    variable = template.replace("${NATS_PASSWORD}", password)
    with running_nats(path, port, NATS_PASSWORD=variable):
        answer = ask(port, user="chatroom", **{"pass": password})
        assert b'"jetstream":true' in answer
        assert answer.endswith(b"PONG\r\n")
        assert b"Authorization Violation" in ask(port, user="chatroom", **{"pass": "x"})


# --- The proxy ---


class ComposeProxy:
    """Caddy with the configuration in the file, in front of a port of this machine.

    Args:
        upstream: The port.
        folder: Where it keeps its files.
        seconds: How long it tries to reach a chat room, instead of five seconds.
        environment: Additional variables.
    """

    def __init__(
        self, upstream: int, folder: Path, *, seconds: float = 5, **environment: str
    ) -> None:
        (self.port,) = free_ports(1)
        path = folder / "Caddyfile"
        text = (FOLDER / "Caddyfile").read_text()
        assert "\n:9090 {" in text
        assert "lb_try_duration 5s" in text
        text = text.replace("lb_try_duration 5s", f"lb_try_duration {seconds}s")
        path.write_text(text.replace("\n:9090 {", f"\n:{self.port} {{"))
        self._process = subprocess.Popen(
            ["caddy", "run", "--config", path, "--adapter", "caddyfile"],
            env={
                **os.environ,
                "HOME": str(folder),
                "CHATROOM_HOST": "localhost",
                "CHATROOM_PORT": str(upstream),
                **environment,
            },
            stderr=subprocess.DEVNULL,
        )
        wait_until(lambda: accepts_connections(self.port))

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """Make a request on a connection of its own."""
        with closing(
            http.client.HTTPConnection("localhost", self.port, timeout=PATIENCE)
        ) as connection:
            return Proxy.ask(connection, method, path, body, **headers)

    def close(self) -> None:
        """Stop the process."""
        self._process.terminate()
        self._process.wait(PATIENCE)


class StartProxy(Protocol):
    """A function that starts the proxy."""

    def __call__(self, upstream: int, **options: Any) -> ComposeProxy:
        """Start it in front of a port."""


@pytest.fixture
def kind() -> str:
    """Return the proxy that the file uses."""
    return "caddy"


@pytest.fixture
def start(start_proxy: object, tmp_path: Path) -> Iterator[StartProxy]:
    """Start proxies for one test; skipped where Caddy is not installed, as `start_proxy` says."""
    with ExitStack() as stack:

        def start(upstream: int, **options: Any) -> ComposeProxy:
            return stack.enter_context(closing(ComposeProxy(upstream, tmp_path, **options)))

        yield start


def headers_of(proxy: ComposeProxy, **headers: str) -> dict[str, str]:
    """Return the headers that the chat room gets."""
    return dict(proxy.request("GET", "/ws", **headers).json()["headers"])


def test_messages_pass(server: Server, start: StartProxy) -> None:
    """A WebSocket through the proxy gets what is published over REST through it."""
    proxy = start(server.port)
    assert proxy.request("POST", "/topics", b'{"name":"orders"}').status == 201
    client = Client(proxy.port)
    assert client.ask(type="subscribe", topic="orders")["type"] == "ack"
    body = b'{"id":"%s","payload":99.50}' % UUID.encode()
    assert proxy.request("POST", "/topics/orders/messages", body).json()["subscribers"] == 1
    assert '"payload":99.50' in client.receive_text()
    client.reset()


def test_client_cannot_forge_its_address(upstream: Upstream, start: StartProxy) -> None:
    """The chat room gets the address that the proxy saw."""
    received = headers_of(start(upstream.port, TRUSTED_PROXIES="192.0.2.1/32"), **FORGED)
    assert received["x-forwarded-for"] == "127.0.0.1"
    assert received["x-forwarded-proto"] == "http"


def test_proxy_in_front_is_believed(upstream: Upstream, start: StartProxy) -> None:
    """With `TRUSTED_PROXIES`, the client's address is what the proxy in front says."""
    proxies = "192.0.2.1/32 127.0.0.1/32"
    received = headers_of(start(upstream.port, TRUSTED_PROXIES=proxies), **FORGED)
    assert received["x-forwarded-for"] == "203.0.113.7, 127.0.0.1"
    assert received["x-forwarded-proto"] == "https"


FORGED = {"X_Forwarded_For": "203.0.113.7", "X_Forwarded_Proto": "https"}


def test_container_that_is_starting(start: StartProxy) -> None:
    """A request waits for a chat room that does not listen yet, instead of failing."""
    (port,) = free_ports(1)
    proxy = start(port, seconds=PATIENCE)
    with ThreadPoolExecutor(1) as pool, ExitStack() as stack:
        answer = pool.submit(proxy.request, "GET", "/livez")
        server = Server("-m", "daphne", "-p", str(port), "chatroom_project.asgi:application")
        stack.callback(server.close)
        assert answer.result(PATIENCE).status == 200


def test_without_a_chat_room(start: StartProxy) -> None:
    """In the end, the proxy gives up with the same kind of error as the server."""
    (port,) = free_ports(1)
    answer = start(port, seconds=0.1).request("GET", "/topics")
    assert answer.status == 503
    assert answer.json()["error"]["code"] == "UNAVAILABLE"


def test_large_bodies_are_refused(upstream: Upstream, start: StartProxy) -> None:
    """A body over the proxy's limit gets the same kind of error as one over the server's."""
    answer = start(upstream.port).request("POST", "/topics", b" " * 2_200_000)
    assert answer.status == 413
    assert answer.json()["error"]["code"] == "MESSAGE_TOO_LARGE"
