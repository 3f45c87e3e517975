"""The benchmark of one room in two processes.

A server stands for both of its processes here: the loads cannot tell.
"""

import dataclasses
import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from bench import servers
from bench.load.dialects import KEPT_TOPIC
from bench.load.processes import cpu_seconds, exact_cpu_seconds
from bench.load.relay import TOPICS, topics_of_partitions
from bench.peers import PEERS, Peer, toolchains
from bench.peers.toolchains import Companion
from bench.scenarios import SCENARIOS
from bench.servers import ServerFailed, running
from pubsub.cluster.names import partition_of
from tests.live.server import Server

PROJECT = Path(__file__).parents[1]


@pytest.fixture
def server() -> Iterator[Server]:
    """A chat room with the settings of the benchmark."""
    server = Server(
        CHATROOM_AUTO_CREATE_TOPICS="true",
        CHATROOM_TOPICS=json.dumps({KEPT_TOPIC: {"history": 1000}}),
    )
    try:
        yield server
    finally:
        server.close()


def run_load(server: Server, *arguments: str) -> Any:
    """Run a load for a moment with this server as both processes; return its figures."""
    load, *options = arguments
    port, pid = str(server.port), str(server._process.pid)
    both = ("--pid", pid, "--other-port", port, "--other-pid", pid, "--broker-pid", pid)
    command = [sys.executable, "-m", "bench.load", load, port, *both, "--seconds", "0.2"]
    done = subprocess.run(
        [*command, *options], cwd=PROJECT, capture_output=True, check=True, timeout=60
    )
    return json.loads(done.stdout)


def totals(server: Server) -> Any:
    """Return what the server counts over all topics."""
    return server.request("GET", "/stats")[1]["totals"]


def test_fan_out_counts_what_the_server_counts(server: Server) -> None:
    """Both halves of the subscribers are counted."""
    figures = run_load(server, "relay-fan-out", "--subscribers", "7", "--window", "8")
    assert figures["deliveries"] > 0
    assert figures["deliveries"] + 7 == totals(server)["delivered"]


def test_bursts_are_counted_message_by_message(server: Server) -> None:
    """A burst is as many deliveries to each subscriber as it has messages."""
    figures = run_load(
        server, "relay-fan-out", "--subscribers", "7", "--window", "1", "--burst", "8"
    )
    assert figures["deliveries"] % (7 * 8) == 0
    assert figures["deliveries"] + 7 * 8 == totals(server)["delivered"]


def test_fan_out_needs_no_second_process(server: Server) -> None:
    """A server of one process is measured in the same way, and has no broker."""
    command = [sys.executable, "-m", "bench.load", "relay-fan-out", str(server.port)]
    done = subprocess.run(
        [*command, "--pid", str(server._process.pid), "--subscribers", "7", "--seconds", "0.2"],
        cwd=PROJECT,
        capture_output=True,
        check=True,
        timeout=60,
    )
    figures = json.loads(done.stdout)
    assert figures["deliveries"] + 7 == totals(server)["delivered"]
    assert figures["deliveries_per_processor_second"] == pytest.approx(1e6 / figures["server_us"])
    assert "broker_us" not in figures


def test_latency_is_that_of_both_subscribers(server: Server) -> None:
    """Each publication is delivered to one subscriber of each process."""
    figures = run_load(server, "relay-latency", "--rate", "100")
    assert totals(server)["delivered"] == 2 * (1 + 20)
    assert figures["added_p50_us"] <= figures["added_p99_us"]


@pytest.mark.parametrize(
    ("load", "topics", "subscribers"),
    [
        ("relay-unwanted", TOPICS + 1, 1),
        ("relay-neighbour", 2 * TOPICS, 1),
        ("relay-wanted", TOPICS, 2),
    ],
)
def test_second_process_has_a_subscriber(
    server: Server, load: str, topics: int, subscribers: int
) -> None:
    """It wants other topics or the same, as the load says."""
    figures = run_load(server, load)
    assert figures["publications_per_second"] > 0
    assert len(server.request("GET", "/topics")[1]["topics"]) == topics + 1
    assert totals(server)["messages"] > 0
    assert totals(server)["delivered"] == subscribers * totals(server)["messages"]


def test_history_waits_for_every_delivery(server: Server) -> None:
    """Events whose offsets differ in length are counted, to both subscribers."""
    figures = run_load(server, "relay-history")
    assert figures["publications_per_second"] > 0
    assert totals(server)["messages"] > 10
    assert totals(server)["delivered"] == 2 * totals(server)["messages"]


def test_topics_are_created(server: Server) -> None:
    """As many topics exist afterwards as the load was told to create."""
    figures = run_load(server, "relay-topics", "--count", "5")
    assert figures["creations_per_second"] > 0
    assert len(server.request("GET", "/topics")[1]["topics"]) == 5 + 1


def test_topics_are_of_the_partitions() -> None:
    """Each partition gets one topic, and all names have one length, so that events do."""
    names = topics_of_partitions("some", [7, 3, 200])
    assert [partition_of(name) for name in names] == [3, 7, 200]
    assert len(set(map(len, names))) == 1


def test_exact_processor_time_is_that_of_the_kernel(server: Server) -> None:
    """The two ways to read a process' time agree, up to the coarser one's steps."""
    run_load(server, "relay-wanted")
    assert exact_cpu_seconds(server._process.pid) == pytest.approx(
        cpu_seconds(server._process.pid), abs=0.1
    )


def test_two_processes_are_compared_with_one() -> None:
    """Each server of several processes names its equal of one process, measured in the same way."""
    names = {peer.name: peer for peer in PEERS}
    for peer in PEERS:
        if peer.processes > 1:
            alone = names[peer.alone]
            assert alone.processes == 1
            measured = [one.name for one in SCENARIOS if one.measures(alone) and one.measures(peer)]
            assert "relay-fan-out-window-1" in measured


# --- Starting several processes ---

CORE = min(os.sched_getaffinity(0))

ENVIRONMENT_AS_PAGE = """
import http.server, os, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/ready" else 404)
        self.end_headers()
        self.wfile.write(os.environ["BENCH_TEST"].encode())

http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@contextmanager
def companion(core: int) -> Iterator[Companion]:
    """Give an environment and a process that are easily recognised."""
    yield Companion({"BENCH_TEST": "found"}, os.getpid())


PEER = Peer(
    "pages",
    "pages",
    (sys.executable, "-c", ENVIRONMENT_AS_PAGE, "{port}"),
    companion=companion,
    processes=2,
    readiness="/ready",
)


def test_every_process_is_started_and_stopped() -> None:
    """Each listens on a port of its own and finds the companion; none is left afterwards."""
    with running(PEER, CORE, CORE) as server:
        (other,) = server.others
        assert server.port != other.port
        assert server.broker_pid == os.getpid()
        for port in (server.port, other.port):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready") as page:
                assert page.read() == b"found"
    assert not server.alive()
    assert not other.alive()


def test_process_that_is_never_ready_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that listens but does not become ready is not measured."""
    monkeypatch.setattr(servers, "START_TIMEOUT", 0.5)
    never = dataclasses.replace(PEER, readiness="/never")
    with pytest.raises(ServerFailed), running(never, CORE, CORE):
        pass


def test_nats_is_started_and_stopped() -> None:
    """The server finds NATS at the address in its environment."""
    assert toolchains.find_nats() is None
    with toolchains.nats_server(CORE) as nats:
        address = urlsplit(nats.environment["CHATROOM_RELAY"])
        with socket.create_connection((address.hostname, address.port), 10) as client:
            assert client.recv(4) == b"INFO"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address.hostname, address.port), 10)
