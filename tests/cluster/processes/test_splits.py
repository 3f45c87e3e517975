"""A process that is cut off from the others, by a network that swallows everything."""

import uuid
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.cluster.processes.accounts import assert_told, read_until
from tests.cluster.processes.proxy import Proxy
from tests.cluster.processes.room import Room, is_ready, payloads, publish, running_room
from tests.live.server import Server
from tests.live.waiting import wait_until


class Split(NamedTuple):
    """A room, one process of which can be cut off."""

    room: Room
    proxy: Proxy
    """Between that process and NATS."""

    @property
    def together(self) -> Server:
        """A process that is not cut off."""
        return self.room.servers[0]

    @property
    def alone(self) -> Server:
        """The process that is."""
        return self.room.servers[1]

    def cut_off(self) -> None:
        """Swallow everything, and wait until the process has noticed it."""
        self.proxy.swallow()
        wait_until(lambda: not is_ready(self.alone))

    def heal(self) -> None:
        """Let it connect again, and wait until it is ready."""
        self.proxy.forward()
        self.room.wait_until_ready()


@pytest.fixture(scope="module")
def shared_split() -> Iterator[Split]:
    """One room for all tests here; each of them heals what it has cut."""
    with running_room(1) as room, Proxy(room.nats.port) as proxy:
        room.start(CHATROOM_RELAY=proxy.url)
        yield Split(room, proxy)


@pytest.fixture
def split(shared_split: Split) -> Iterator[Split]:
    """The room, cleared of topics and clients after each test."""
    yield shared_split
    for server in shared_split.room.servers:
        server.reset_clients()
    shared_split.together.clear()


def test_changes_that_were_missed(split: Split) -> None:
    """A process that was cut off learns which topics the others have deleted and created."""
    together, alone = split.together, split.alone
    client = alone.connect()
    for topic in ("deleted", "again", "stays"):
        together.create_topic(topic)
        assert client.ask(type="subscribe", topic=topic)["type"] == "ack"
    split.cut_off()
    for topic in ("deleted", "again"):
        assert together.request("DELETE", f"/topics/{topic}")[0] == 200
    together.create_topic("again")
    together.create_topic("new", history=10)
    split.heal()
    notices = [client.receive() for _ in range(2)]
    assert {(each["msg"], each["topic"]) for each in notices} == {
        ("topic_deleted", "deleted"),
        ("topic_deleted", "again"),
    }
    names = [topic["name"] for topic in alone.request("GET", "/topics")[1]["topics"]]
    assert names == ["again", "new", "stays"]
    assert alone.request("GET", "/topics/new")[1]["history"] == 10
    publish(together, "again", "not for it")
    publish(together, "stays", "still there")
    assert payloads(client, 1) == ["still there"]


def test_history_that_was_missed(split: Split) -> None:
    """Subscribers of a topic with history get what the others have published meanwhile."""
    together, alone = split.together, split.alone
    together.create_topic("kept", history=100)
    client = alone.subscriber("kept")
    split.cut_off()
    publish(together, "kept", *range(50))
    split.heal()
    publish(alone, "kept", "back")
    assert payloads(client, 51) == [*range(50), "back"]


def test_both_sides_are_told(split: Split) -> None:
    """Without history each side is told how many messages of the other one it has missed."""
    together, alone = split.together, split.alone
    together.create_topic("plain")
    here, there = together.subscriber("plain"), alone.subscriber("plain")
    for server in (together, alone):
        publish(server, "plain", "before")
        assert payloads(here, 1) == payloads(there, 1) == ["before"]
    split.cut_off()
    publish(together, "plain", *range(7))
    publish(alone, "plain", *range(5))
    assert payloads(here, 7) == list(range(7))
    assert payloads(there, 5) == list(range(5))
    split.heal()
    assert_told(here, 5)
    assert_told(there, 7)


def test_nothing_is_lost_in_silence(split: Split) -> None:
    """What was accepted before the split was noticed is received or told; with history received."""
    together, alone = split.together, split.alone
    together.create_topic("plain")
    together.create_topic("kept", history=1000)
    plain, kept = together.subscriber("plain"), together.subscriber("kept")
    publisher = alone.connect()
    message: dict[str, Any] = {"id": str(uuid.uuid4()), "payload": "doubtful"}
    split.proxy.swallow()
    count = 0
    publisher.send(type="publish", topic="kept", message=message, once=True)
    while is_ready(alone):
        publish(alone, "plain", *range(count, count + 10))
        count += 10
    answer = publisher.receive()
    assert (answer["error"]["code"], answer["unknown_fate"]) == ("UNAVAILABLE", True)
    split.heal()
    answer = publisher.ask(type="publish", topic="kept", message=message, once=True)
    assert answer["status"] == "ok"
    publish(alone, "kept", "last")
    assert payloads(kept, 2) == ["doubtful", "last"]
    publish(alone, "plain", "last")
    account = read_until(plain, "last")
    assert account.explains(count + 1)
    numbers = account.received[:-1]
    assert numbers == list(range(len(numbers)))
