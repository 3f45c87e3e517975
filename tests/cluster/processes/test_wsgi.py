"""Publishing from a site under a WSGI server that forks and has threads."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.cluster.processes.room import Room, payloads
from tests.live.server import PROJECT
from tests.live.waiting import PATIENCE, wait_until

REQUESTS = 40


@pytest.fixture(scope="module")
def ports(shared_room: Room) -> Iterator[list[int]]:
    """Run the site, and return the ports of its processes."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.cluster.processes.wsgi_site"],
        cwd=PROJECT,
        env={**os.environ, "CHATROOM_RELAY": shared_room.nats.url},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    with process.stdout as output:
        yield [int(port) for port in output.readline().split()]
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(PATIENCE)


def ask(port: int, path: str) -> Any:
    """Return the answer of a view."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as response:
        return json.load(response)


def test_views_publish(room: Room, ports: list[int]) -> None:
    """Requests of all threads and forked processes publish to the clients of all servers."""
    room.servers[0].create_topic("orders")
    for server in room.servers:
        wait_until(lambda server=server: server.request("GET", "/topics/orders")[0] == 200)
    subscribers = [server.subscriber("orders") for server in room.servers]
    for port in ports:
        wait_until(lambda port=port: ask(port, "/publish/orders/0") == {"subscribers": 3})
    with ThreadPoolExecutor(10) as pool:
        answers = pool.map(
            lambda number: ask(ports[number % 2], f"/publish/orders/{number}"),
            range(1, REQUESTS + 1),
        )
        assert list(answers) == [{"subscribers": 3}] * REQUESTS
    for subscriber in subscribers:
        received: list[int] = []
        while len(received) < REQUESTS:
            received += [number for number in payloads(subscriber, 1) if number]
        assert sorted(received) == list(range(1, REQUESTS + 1))


def test_views_create_topics(room: Room, ports: list[int]) -> None:
    """A topic that one process of the site creates is there for the other and for the clients."""
    server = room.servers[1]
    assert ask(ports[0], "/publish/fresh/1") == {"missing": "fresh"}
    assert ask(ports[0], "/create/fresh") == {"created": "fresh"}
    wait_until(lambda: server.request("GET", "/topics/fresh")[0] == 200)
    subscriber = server.subscriber("fresh")
    wait_until(lambda: ask(ports[1], "/publish/fresh/2") == {"subscribers": 1})
    assert payloads(subscriber, 1) == [2]
