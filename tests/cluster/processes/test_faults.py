"""What happens to NATS, and what clients see of it: everything is received, or told as lost."""

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from tests.cluster.processes.proxy import Proxy
from tests.cluster.processes.room import Room, is_ready, payloads, publish, running_room
from tests.live.client import Client
from tests.live.server import Server
from tests.live.waiting import wait_until


class Account(NamedTuple):
    """What a subscriber was sent until its last event."""

    received: list[Any]
    """The payloads, in order."""

    lost: int
    """What it was told to have lost, exactly."""

    at_most: int
    """What it was told to have lost at most, in addition."""

    notices: list[str]
    """The other notices that it got."""


def read_until(client: Client, last: Any) -> Account:
    """Read what a subscriber is sent until the event with this payload."""
    received: list[Any] = []
    notices: list[str] = []
    lost = at_most = 0
    while last not in received:
        message = client.receive()
        if message["type"] == "event":
            received.append(message["message"]["payload"])
        elif message["type"] == "error":
            assert message["error"]["code"] == "RELAY_GAP", message
            lost += message.get("dropped", 0)
            at_most += message.get("at_most", 0)
        else:
            notices.append(message["msg"])
    return Account(received, lost, at_most, notices)


def restart(room: Room) -> Callable[[], None]:
    """Kill NATS; return what starts it again."""
    room.nats.kill()
    return room.nats.start


def restart_without_store(room: Room) -> Callable[[], None]:
    """Kill NATS; return what starts it again with an empty store."""
    room.nats.kill()
    room.nats.lose_store()
    return room.nats.start


def pause(room: Room) -> Callable[[], None]:
    """Stop NATS with SIGSTOP; return what lets it go on after 20 seconds."""
    room.nats.pause()
    end = time.monotonic() + 20

    def resume() -> None:
        wait_until(lambda: time.monotonic() > end)
        room.nats.resume()

    return resume


@pytest.mark.parametrize(
    ("fault", "storage", "is_reset"),
    [
        (restart, "file", False),
        (restart, "memory", True),
        (restart_without_store, "file", True),
        (pause, "memory", False),
    ],
)
def test_nats_is_away_for_a_while(
    fault: Callable[[Room], Callable[[], None]], storage: str, is_reset: bool
) -> None:
    """Local delivery goes on; what reached nobody else is told; then all is as before."""
    with running_room(2, CHATROOM_RELAY_STORAGE=storage) as room:
        a, b = room.servers
        a.create_topic("kept", history=1000)
        a.create_topic("plain")
        here, there = a.subscriber("plain"), b.subscriber("plain")
        kept = b.connect()
        epoch = kept.ask(type="subscribe", topic="kept")["epoch"]
        publish(a, "plain", *range(10))
        publish(a, "kept", *range(10))
        assert payloads(there, 10) == payloads(here, 10) == payloads(kept, 10) == list(range(10))

        end = fault(room)
        for server in room.servers:
            wait_until(lambda server=server: not is_ready(server))
            assert server.request("GET", "/livez")[0] == 200
        assert_alone(a)
        assert {result.get("scope") for result in publish(a, "plain", *range(10, 20))} == {
            "process"
        }
        assert payloads(here, 10) == list(range(10, 20))
        assert a.connect().publish("plain", "by WebSocket")["scope"] == "process"
        assert payloads(here, 1) == ["by WebSocket"]

        end()
        room.wait_until_ready()
        publish(a, "plain", "after")
        publish(a, "kept", "after")
        assert read_until(there, "after") == Account(["after"], 11, 0, [])
        account = read_until(kept, "after")
        assert account == Account(["after"], 0, 0, ["position_reset"] if is_reset else [])
        details = b.request("GET", "/topics/kept")[1]
        assert (details["epoch"] != epoch) == is_reset
        assert b.request("GET", "/health")[1]["topics"] == 2
        assert a.request("POST", "/topics", {"name": "new"})[0] == 201
        wait_until(lambda: b.request("GET", "/topics/new")[0] == 200)


def assert_alone(server: Server) -> None:
    """Check what a process refuses while NATS is away."""
    for method, path, body in [
        ("POST", "/topics", {"name": "new"}),
        ("DELETE", "/topics/plain", None),
        ("POST", "/topics/kept/messages", {"payload": 1}),
    ]:
        status, answer = server.request(method, path, body)
        assert (status, answer["error"]["code"]) == (503, "UNAVAILABLE")
    client = server.connect()
    assert client.publish("kept")["error"]["code"] == "UNAVAILABLE"
    assert client.publish("plain")["status"] == "ok"
    (result,) = publish(server, "kept", 1)
    assert result["error"]["code"] == "UNAVAILABLE"
    assert server.request("GET", "/health")[1]["complete"] is False


def test_changes_during_a_split() -> None:
    """A process that was cut off learns what the others have changed meanwhile."""
    with running_room(2) as room, Proxy(room.nats.port) as proxy:
        a, b = room.servers
        c = room.start(CHATROOM_RELAY=proxy.url)
        for topic in ("deleted", "again", "stays"):
            a.create_topic(topic)
        client = c.connect()
        for topic in ("deleted", "again", "stays"):
            client.ask(type="subscribe", topic=topic)
        proxy.swallow()
        wait_until(lambda: not is_ready(c))
        for topic in ("deleted", "again"):
            assert a.request("DELETE", f"/topics/{topic}")[0] == 200
        a.create_topic("again")
        b.create_topic("new")
        proxy.forward()
        room.wait_until_ready()
        notices = [client.receive() for _ in range(2)]
        assert {(each["msg"], each["topic"]) for each in notices} == {
            ("topic_deleted", "deleted"),
            ("topic_deleted", "again"),
        }
        names = [topic["name"] for topic in c.request("GET", "/topics")[1]["topics"]]
        assert names == ["again", "new", "stays"]
        publish(b, "stays", "still there")
        assert payloads(client, 1) == ["still there"]


def test_everything_is_accounted_for_in_a_split() -> None:
    """A subscriber gets, or is told to have lost, every message of a process cut off in between."""
    with running_room(1) as room, Proxy(room.nats.port) as proxy:
        (a,) = room.servers
        c = room.start(CHATROOM_RELAY=proxy.url)
        a.create_topic("plain")
        a.create_topic("kept", history=1000)
        wait_until(lambda: c.request("GET", "/topics/kept")[0] == 200)
        plain, kept = a.subscriber("plain"), a.subscriber("kept")
        publish(c, "plain", "first")
        assert payloads(plain, 1) == ["first"]
        sent, accepted = publish_while(c, lambda: is_ready(c), proxy.swallow)
        proxy.forward()
        room.wait_until_ready()
        publish(c, "plain", "last")
        publish(c, "kept", "last")
        account = read_until(plain, "last")
        assert account.received == sorted_prefix(account.received)
        missing = sent - (len(account.received) - 1)
        assert account.lost <= missing <= account.lost + account.at_most
        assert read_until(kept, "last").received[:-1] == sorted(accepted)


def publish_while(
    server: Server, condition: Callable[[], bool], begin: Callable[[], None]
) -> tuple[int, set[int]]:
    """Publish to both topics from the beginning of a fault until it is noticed, and a little on.

    Returns:
        How many messages were accepted for the topic without history, and the payloads that were
        for the other; those whose fate is unknown are published again until it is known.
    """
    begin()
    count, accepted = 0, set()
    while condition():
        count += 1
        (result,) = publish(server, "plain", count)
        assert result["status"] == "published"
    for _ in range(10):
        count += 1
        publish(server, "plain", count)
    return count, accepted


def sorted_prefix(values: list[Any]) -> list[Any]:
    """Return the numbers in order, and then what follows them."""
    return [*sorted(values[:-1]), values[-1]]


def test_a_process_that_starts_first() -> None:
    """A process that starts before NATS runs, is not ready, and becomes so by itself."""
    with running_room(1) as room:
        room.nats.kill()
        late = room.start_unready()
        assert late.request("GET", "/livez")[0] == 200
        status, answer = late.request("GET", "/readyz")
        assert (status, answer["status"]) == (503, "degraded")
        assert late.request("POST", "/topics", {"name": "new"})[0] == 503
        room.nats.start()
        room.wait_until_ready()
        late.create_topic("new")


def test_killed_process() -> None:
    """A process that was killed is gone from all figures, and its members from presence."""
    with running_room(2) as room:
        a, b = room.servers
        a.create_topic("orders", presence=True)
        watcher = a.connect()
        watcher.ask(type="subscribe", topic="orders", presence=True)
        watcher.receive()
        b.subscriber("orders")
        assert watcher.receive()["clients"] == 2
        room.kill(b)
        wait_until(lambda: len(a.request("GET", "/health")[1]["processes"]) == 1)
        health = a.request("GET", "/health")[1]
        assert (health["clients"], "complete" in health) == (1, False)
        assert watcher.receive()["clients"] == 1


@pytest.fixture
def flooded() -> Iterator[Room]:
    """Return a room whose NATS takes little at once."""
    with running_room(2, CHATROOM_RELAY_BUFFER_BYTES="65536") as room:
        yield room


def test_flood(flooded: Room) -> None:
    """What does not fit into the outgoing buffer is told as lost; nothing waits, nothing breaks."""
    a, b = flooded.servers
    a.create_topic("plain")
    subscriber = b.subscriber("plain")
    publish(a, "plain", "first")
    payloads(subscriber, 1)
    flooded.nats.pause()
    for start in range(0, 2000, 100):
        publish(a, "plain", *(f"{n} {'x' * 1000}" for n in range(start, start + 100)))
    flooded.nats.resume()
    flooded.wait_until_ready()
    publish(a, "plain", "last")
    account = read_until(subscriber, "last")
    missing = 2001 - len(account.received)
    assert missing > 0
    assert account.lost <= missing <= account.lost + account.at_most
