"""Publishing from a site under a WSGI server that forks and has threads."""

import json
import os
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


@pytest.fixture
def ports(room: Room) -> Iterator[list[int]]:
    """Run the site, and return the ports of its processes, once the topic of its view exists."""
    room.servers[0].create_topic("orders")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.cluster.processes.wsgi_site"],
        cwd=PROJECT,
        env={**os.environ, "CHATROOM_RELAY": room.nats.url},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    with process.stdout as output:
        ports = [int(port) for port in output.readline().split()]
        yield ports
        os.killpg(process.pid, 15)
        process.wait(PATIENCE)


def ask(port: int, path: str) -> tuple[int, Any]:
    """Return the status and the answer of a view."""
    url = f"http://127.0.0.1:{port}{path}"
    with urllib.request.urlopen(url, timeout=PATIENCE) as response:
        return response.status, json.load(response)


def test_views_publish(room: Room, ports: list[int]) -> None:
    """Requests of all threads and forked processes publish to the clients of all servers."""
    subscribers = [server.subscriber("orders") for server in room.servers]
    wait_until(lambda: ask(ports[0], "/publish/orders/0")[1] == {"subscribers": 3})
    wait_until(lambda: ask(ports[1], "/publish/orders/0")[1] == {"subscribers": 3})
    with ThreadPoolExecutor(10) as pool:
        answers = pool.map(
            lambda number: ask(ports[number % 2], f"/publish/orders/{number}"),
            range(1, REQUESTS + 1),
        )
        assert list(answers) == [(200, {"subscribers": 3})] * REQUESTS
    for subscriber in subscribers:
        received: list[int] = []
        while len(received) < REQUESTS:
            received += [number for number in payloads(subscriber, 1) if number]
        assert sorted(received) == list(range(1, REQUESTS + 1))


def test_views_create_topics(room: Room, ports: list[int]) -> None:
    """A topic that one process of the site creates is there for the other and for the clients."""
    assert ask(ports[0], "/publish/fresh/1") == (201, {"created": "fresh"})
    wait_until(lambda: room.servers[1].request("GET", "/topics/fresh")[0] == 200)
    subscriber = room.servers[1].subscriber("fresh")
    wait_until(lambda: ask(ports[1], "/publish/fresh/2")[1] == {"subscribers": 1})
    assert payloads(subscriber, 1)[0] == 2
