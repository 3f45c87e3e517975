"""Recovery after a reconnection, history, repetitions and topic options, on a real server."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.live.client import UUID, Client
from tests.live.conftest import StartServer
from tests.live.server import DAPHNE, PROJECT, Server


def payloads(client: Client, count: int) -> list[Any]:
    """Return the payloads of the next events."""
    return [client.receive()["message"]["payload"] for _ in range(count)]


def test_a_lost_connection_loses_nothing(server: Server) -> None:
    """A client that comes back with its position gets what it missed, once and in order."""
    server.create_topic("t", history=100)
    publisher, client = server.connect(), server.connect()
    position = client.ask(type="subscribe", topic="t")
    assert (position["offset"], len(position["epoch"])) == (0, 8)
    for number in range(3):
        assert publisher.publish("t", number)["offset"] == number + 1
    events = [client.receive() for _ in range(3)]
    assert [event["offset"] for event in events] == [1, 2, 3]
    assert list(events[0])[-1] == "offset"
    client.publish("t", "own")
    client.reset()
    for number in range(3, 6):
        publisher.publish("t", number)

    client = server.connect()
    since = {"epoch": position["epoch"], "offset": 3, "client_id": position["client_id"]}
    ack = client.ask(type="subscribe", topic="t", recover=since)
    assert (ack["recovered"], ack["replayed"], ack["offset"]) == (True, 3, 7)
    publisher.publish("t", "live")
    assert payloads(client, 4) == [3, 4, 5, "live"]


def test_what_cannot_be_recovered(server: Server) -> None:
    """The answer is honest, and ``last_n`` is carried out instead."""
    server.create_topic("t", history=2)
    server.create_topic("u", history=2)
    publisher = server.connect()
    for number in range(5):
        publisher.publish("t", number)
    epoch = server.subscriber("t").ask(type="subscribe", topic="t")["epoch"]
    other = server.connect().ask(type="subscribe", topic="u")["epoch"]
    for since in (
        {"epoch": epoch, "offset": 2},
        {"epoch": epoch, "offset": 6},
        {"epoch": other, "offset": 4},
    ):
        client = server.connect()
        ack = client.ask(type="subscribe", topic="t", recover=since, last_n=1)
        assert (ack["recovered"], ack["replayed"]) == (False, 1)
        assert payloads(client, 1) == [4]
        client.assert_nothing_came()
    server.request("DELETE", "/topics/t")
    server.create_topic("t", history=2)
    client = server.connect()
    ack = client.ask(type="subscribe", topic="t", recover={"epoch": epoch, "offset": 5})
    assert (ack["recovered"], ack["offset"]) == (False, 0)
    assert ack["epoch"] != epoch


def test_a_topic_without_history_has_no_positions(server: Server) -> None:
    """Its frames have no field more than they always had."""
    server.create_topic("t")
    client = server.connect()
    ack = client.ask(type="subscribe", topic="t")
    assert list(ack) == ["type", "topic", "status", "ts"]
    assert list(server.connect().publish("t")) == ["type", "topic", "status", "ts"]
    assert list(client.receive()) == ["type", "topic", "message", "ts"]
    client = server.connect()
    ack = client.ask(type="subscribe", topic="t", recover={"epoch": "x9Qa71Bz", "offset": 3})
    assert list(ack)[3:] == ["ts", "recovered", "replayed"]
    error = client.ask(type="history", topic="t", request_id="h")["error"]
    assert error == {"code": "BAD_REQUEST", "message": "topic keeps no history"}


def test_history(server: Server) -> None:
    """Past messages come byte for byte, with the position that they lead to."""
    server.create_topic("t", history=10)
    publisher = server.connect()
    for payload in ("99.50", '{"b":1, "a":[ ]}', '"x"'):
        text = '{"type":"publish","topic":"t","message":{"id":"%s","payload":%s}}'
        publisher.ask(text % (UUID, payload))
    publisher.send(type="history", topic="t", limit=2, request_id="h")
    text = publisher.receive_text()
    page = json.loads(text)
    assert '"payload":{"b":1, "a":[ ]}}' in text
    assert (page["request_id"], page["offset"], page["complete"]) == ("h", 3, True)
    assert [each["offset"] for each in page["messages"]] == [2, 3]
    since = {"epoch": page["epoch"], "offset": 3}
    assert publisher.ask(type="history", topic="t", since=since)["messages"] == []
    since = {"epoch": page["epoch"], "offset": 30}
    page = publisher.ask(type="history", topic="t", since=since)
    assert (page["complete"], len(page["messages"])) == (False, 3)


def test_once(server: Server) -> None:
    """A publication of unknown fate can be repeated, by any client."""
    server.create_topic("t", history=10)
    subscriber = server.subscriber("t")
    publish = {"type": "publish", "topic": "t", "message": {"id": UUID, "payload": 1}}
    first = server.connect().ask(publish | {"once": True})
    again = server.connect().ask(publish | {"once": True})
    assert (first["offset"], again["offset"], again["duplicate"]) == (1, 1, True)
    server.connect().ask(publish)
    assert [subscriber.receive()["offset"] for _ in range(2)] == [1, 2]
    subscriber.assert_nothing_came()


def test_topics_from_the_start(start_server: StartServer) -> None:
    """Named topics are there after a restart, and patterns say what clients may create."""
    rules = {"orders": {"history": 5000}, "room.*": {"auto_create": True, "history": 2}}
    server = start_server(CHATROOM_TOPICS=json.dumps(rules), CHATROOM_HISTORY_SIZE="1")
    client = server.connect()
    assert client.ask(type="subscribe", topic="orders")["offset"] == 0
    assert client.ask(type="subscribe", topic="room.1")["offset"] == 0
    assert client.ask(type="subscribe", topic="lobby")["error"]["code"] == "TOPIC_NOT_FOUND"
    for number in range(3):
        server.connect().publish("room.1", number)
    assert payloads(client, 3) == [0, 1, 2]
    page = client.ask(type="history", topic="room.1")
    assert [each["offset"] for each in page["messages"]] == [2, 3]


@pytest.mark.parametrize("topics", ["orders", '{"a b":{}}', '{"a":{"size":1}}'], ids=range(3))
def test_bad_topics_stop_the_start(topics: str) -> None:
    """A mistake in CHATROOM_TOPICS is one line, and no server."""
    run = subprocess.run(
        [sys.executable, *DAPHNE],
        cwd=PROJECT,
        env={"CHATROOM_TOPICS": topics},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 1
    assert run.stderr.startswith("chatroom: CHATROOM_TOPICS")
    assert run.stderr.count("\n") == 1
