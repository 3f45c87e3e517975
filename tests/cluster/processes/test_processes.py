"""Processes that start too early, hang, or die."""

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.processes.room import Room, payloads, publish, running_room
from tests.live.client import Client
from tests.live.server import Server
from tests.live.waiting import wait_until

UNKNOWN = "/clients/550e8400-e29b-41d4-a716-446655440000"


@pytest.fixture
def pair() -> Iterator[Room]:
    """A room of two processes."""
    with running_room(2) as room:
        yield room


def watch(server: Server, topic: str) -> Client:
    """Return a client that hears who is there; so far nobody else is."""
    watcher = server.connect()
    watcher.ask(type="subscribe", topic=topic, presence=True)
    assert watcher.receive()["clients"] == 1
    return watcher


def processes(server: Server) -> list[Any]:
    """Return the processes that live, as one of them sees it."""
    living: list[Any] = server.request("GET", "/health")[1]["processes"]
    return living


def test_hung_and_killed(pair: Room) -> None:
    """A process that hangs or dies leaves the figures, and its members leave their topics."""
    a, b = pair.servers
    a.create_topic("orders", presence=True)
    a.create_topic("kept", history=10)
    watcher = watch(a, "orders")
    member, kept = b.subscriber("orders"), b.subscriber("kept")
    assert watcher.receive()["clients"] == 2
    publish(a, "orders", "before")
    assert payloads(watcher, 1) == payloads(member, 1) == ["before"]

    b.send_signal(signal.SIGSTOP)
    assert a.request("GET", "/health")[1]["complete"] is False
    assert a.request("DELETE", UNKNOWN)[0] == 503
    wait_until(lambda: len(processes(a)) == 1)
    health = a.request("GET", "/health")[1]
    assert (health["clients"], health["subscribers"], "complete" in health) == (1, 1, False)
    assert a.request("DELETE", UNKNOWN)[0] == 404
    publish(a, "orders", "meanwhile")
    publish(a, "kept", "meanwhile")
    assert payloads(watcher, 1) == ["meanwhile"]
    left = watcher.receive()
    assert (left["clients"], len(left["left"])) == (1, 1)

    b.send_signal(signal.SIGCONT)
    pair.wait_until_ready()
    joined = watcher.receive()
    assert (joined["clients"], len(joined["joined"])) == (2, 1)
    for server in (a, b):
        wait_until(lambda server=server: len(processes(server)) == 2)
        health = server.request("GET", "/health")[1]
        assert (health["clients"], health["subscribers"]) == (3, 3)
    assert payloads(kept, 1) == ["meanwhile"]
    message = member.receive()
    assert message["type"] == "event" or message["dropped"] == 1

    pair.kill(b)
    wait_until(lambda: len(processes(a)) == 1)
    assert a.request("GET", "/topics")[1]["topics"] == [
        {"name": "kept", "subscribers": 0},
        {"name": "orders", "subscribers": 1},
    ]


def test_nats_starts_last(pair: Room) -> None:
    """A process that starts before NATS runs, is not ready, and becomes so by itself."""
    a, _ = pair.servers
    a.create_topic("plain")
    a.create_topic("kept", history=10)
    subscriber = a.subscriber("plain")
    pair.nats.kill()
    late = pair.start_unready(CHATROOM_TOPICS='{"configured":{"history":5}}')
    assert late.request("GET", "/livez")[0] == 200
    status, answer = late.request("GET", "/readyz")
    assert (status, answer["status"]) == (503, "degraded")
    status, answer = late.request("POST", "/topics", {"name": "new"})
    assert (status, answer["error"]["code"]) == (503, "UNAVAILABLE")
    answer = late.connect().ask(type="subscribe", topic="plain")
    assert answer["error"]["code"] == "UNAVAILABLE"
    publish(a, "plain", 1)
    assert payloads(subscriber, 1) == [1]
    pair.nats.start()
    pair.wait_until_ready()
    late.create_topic("new")
    names = [topic["name"] for topic in late.request("GET", "/topics")[1]["topics"]]
    assert names == ["configured", "kept", "new", "plain"]
    client = late.subscriber("plain")
    publish(late, "plain", 2)
    assert payloads(client, 1) == payloads(subscriber, 1) == [2]


def test_process_that_hangs_for_a_moment(pair: Room) -> None:
    """A process gets everything that NATS has kept for it while it hung."""
    a, b = pair.servers
    a.create_topic("plain")
    subscriber = b.subscriber("plain")
    publish(a, "plain", "before")
    assert payloads(subscriber, 1) == ["before"]
    b.send_signal(signal.SIGSTOP)
    publish(a, "plain", *range(100))
    b.send_signal(signal.SIGCONT)
    assert payloads(subscriber, 100) == list(range(100))
