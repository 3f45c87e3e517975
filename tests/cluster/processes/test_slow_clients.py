"""Slow clients, and floods, when the publisher is in another process."""

import signal
from typing import Any

import pytest

from tests.cluster.processes.accounts import read_until, read_until_explained
from tests.cluster.processes.room import Room, payloads, publish
from tests.live.client import UUID, Client
from tests.live.server import Server
from tests.live.waiting import wait_until

LARGE = "x" * 20_000
TOTAL = 800
"""Messages of 16 MB in total: several times what the queue and the socket take."""

FLOOD = 30_000
"""Messages of 2 KB."""

MB = 1_000_000
BOUND = 30 * MB
"""What a process may grow by for the load of these tests, which would need far more unbounded."""


def publish_numbers(server: Server, topic: str, total: int, text: str = LARGE) -> None:
    """Publish numbers with a text, some in each request."""
    batch = max(1, MB // 2 // (len(text) + 100))
    for start in range(0, total, batch):
        values: list[Any] = [[n, text] for n in range(start, min(start + batch, total))]
        results = publish(server, topic, *values)
        assert {result["status"] for result in results} == {"published"}


def stalled_subscriber(server: Server, topic: str) -> Client:
    """Return a subscriber that takes little until it is read from."""
    client = server.connect(receive_buffer=4096)
    assert client.ask(type="subscribe", topic=topic)["type"] == "ack"
    return client


def test_catching_up(room: Room) -> None:
    """A slow client of a topic with history gets everything from another process, in order."""
    a, b, _ = room.servers
    a.create_topic("kept", history=1000, overflow="catch_up")
    client = stalled_subscriber(b, "kept")
    publish_numbers(a, "kept", TOTAL)
    publish(a, "kept", "last")
    account = read_until(client, "last")
    assert [number for number, _ in account.received[:-1]] == list(range(TOTAL))
    assert (account.lost, account.at_most) == (0, 0)


@pytest.mark.parametrize("history", [0, 10])
def test_losing(room: Room, history: int) -> None:
    """A slow client is told exactly how many messages of another process it has lost."""
    a, b, _ = room.servers
    a.create_topic("news", history=history)
    client = stalled_subscriber(b, "news")
    publish_numbers(a, "news", TOTAL)
    wait_until(lambda: _handled(b) == TOTAL)
    account = read_until_explained(client, TOTAL)
    assert account.lost > 0 == account.at_most
    received = [number for number, _ in account.received]
    assert received == sorted(set(received))
    publish(a, "news", "last")
    assert payloads(client, 1) == ["last"]


def _handled(server: Server) -> int:
    """Return how many messages a process has passed to the only subscriber here, or dropped."""
    counters = server.request("GET", "/stats?scope=process")[1]["topics"]["news"]
    handled: int = counters["delivered"] + counters["dropped"]
    return handled


def flood(server: Server, topic: str, total: int) -> None:
    """Publish messages of 2 KB as fast as they are accepted."""
    publisher = server.connect()
    message = {"id": UUID, "payload": "x" * 2000}
    commands = [{"type": "publish", "topic": topic, "message": message}] * 200
    for _ in range(total // len(commands)):
        publisher.send_all(commands)
        for _ in commands:
            assert publisher.receive_text().startswith('{"type":"ack"')


def test_flood(room: Room) -> None:
    """A flood costs neither the process that accepts it nor the one that delivers it memory.

    It does not either while the one that delivers hangs; then what it has missed is told.
    """
    a, b, _ = room.servers
    a.create_topic("news")
    client = stalled_subscriber(b, "news")
    publish(a, "news", "first")
    before = [server.memory() for server in (a, b)]
    flood(a, "news", FLOOD)
    wait_until(lambda: _handled(b) == FLOOD + 1)
    b.send_signal(signal.SIGSTOP)
    flood(a, "news", FLOOD)
    b.send_signal(signal.SIGCONT)
    room.wait_until_ready()
    read_until_explained(client, 2 * FLOOD + 1)
    publish(a, "news", "last")
    assert payloads(client, 1) == ["last"]
    after = [server.memory() for server in (a, b)]
    assert all(now - then < BOUND for now, then in zip(after, before, strict=True))


def test_hung_nats_costs_no_memory(room: Room) -> None:
    """What cannot be sent is not kept: others are told, and nothing waits for them."""
    a, b, _ = room.servers
    a.create_topic("news")
    client = b.subscriber("news")
    publish(a, "news", "first")
    assert client.receive()["message"]["payload"] == "first"
    before = a.memory()
    total = 3000
    room.nats.pause()
    publish_numbers(a, "news", total)
    assert a.memory() - before < BOUND
    room.nats.resume()
    room.wait_until_ready()
    # The buffer may still be full, so the last message too is received or reported as lost.
    publish(a, "news", "last")
    read_until_explained(client, total + 1)
