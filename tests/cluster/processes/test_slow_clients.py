"""Slow clients, and floods, when the publisher is in another process."""

from typing import Any

import pytest

from tests.cluster.processes.accounts import read_until
from tests.cluster.processes.room import Room, publish
from tests.live.client import Client
from tests.live.server import Server
from tests.live.waiting import wait_until

LARGE = "x" * 20_000
TOTAL = 800
"""Messages of 16 MB in total: several times what the queue and the socket take."""

MB = 1_000_000
KNOWN_BOUND = 60 * MB
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
    a, b, c = room.servers
    a.create_topic("news", history=history)
    client, other = stalled_subscriber(b, "news"), c.subscriber("news")
    publish_numbers(a, "news", TOTAL)
    numbers = [other.receive()["message"]["payload"][0] for _ in range(TOTAL)]
    assert numbers == list(range(TOTAL))
    wait_until(lambda: _handled(b) == TOTAL)
    publish(a, "news", "last")
    account = read_until(client, "last")
    assert account.lost == TOTAL + 1 - len(account.received) > 0
    assert account.at_most == 0
    received = [number for number, _ in account.received[:-1]]
    assert received == sorted(set(received))


def _handled(server: Server) -> int:
    """Return how many messages a process has passed to the only subscriber here, or dropped."""
    counters = server.request("GET", "/stats?scope=process")[1]["topics"]["news"]
    handled: int = counters["delivered"] + counters["dropped"]
    return handled


def test_flood(room: Room) -> None:
    """A flood costs neither the process that accepts it nor the one that delivers it memory."""
    a, b, _ = room.servers
    a.create_topic("news")
    client = stalled_subscriber(b, "news")
    publish(a, "news", "first")
    before = [server.memory() for server in (a, b)]
    total = 100_000
    publisher = a.connect()
    message = {"id": "550e8400-e29b-41d4-a716-446655440000", "payload": "x" * 1000}
    command = {"type": "publish", "topic": "news", "message": message}
    for _ in range(total // 1000):
        publisher.send_all([command] * 1000)
        for _ in range(1000):
            assert publisher.receive_text().startswith('{"type":"ack"')
    wait_until(lambda: _handled(b) >= total + 1 or _lost(b))
    after = [server.memory() for server in (a, b)]
    assert all(now - then < KNOWN_BOUND for now, then in zip(after, before, strict=True))
    publish(a, "news", "last")
    account = read_until(client, "last")
    assert account.explains(total + 2)


def _lost(server: Server) -> bool:
    """Return whether a process has told of messages that did not arrive."""
    return "chatroom_relay_lost_total 0" not in server.get_text("/metrics")


def test_hung_nats_costs_no_memory(room: Room) -> None:
    """What cannot be sent is not kept: others are told, and nothing waits for them."""
    a, b, _ = room.servers
    a.create_topic("news")
    client = b.subscriber("news")
    publish(a, "news", "first")
    assert client.receive()["message"]["payload"] == "first"
    before = a.memory()
    total = 4000
    room.nats.pause()
    publish_numbers(a, "news", total)
    assert a.memory() - before < KNOWN_BOUND
    room.nats.resume()
    room.wait_until_ready()
    publish(a, "news", "last")
    account = read_until(client, "last")
    assert account.explains(total + 1)
