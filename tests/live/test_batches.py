"""Many publications in one request."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from tests.auth.support import SECRET, token
from tests.live.client import UUID
from tests.live.conftest import StartServer
from tests.live.server import Server

OPERATOR = {"X-API-Key": "operator-0123456789"}


def publish(server: Server, *items: Any, headers: Mapping[str, str] | None = None) -> list[Any]:
    """Publish a batch, and return its results."""
    status, answer = server.request("POST", "/messages", {"messages": items}, headers=headers)
    assert status == 200, answer
    results: list[Any] = answer["results"]
    return results


def published_by(server: Server) -> dict[str, float]:
    """Return the number of messages published, by their source."""
    lines = server.get_text("/metrics").splitlines()
    found = [re.match(r'chatroom_messages_published_total{source="(\w+)"} (.*)', x) for x in lines]
    return {match[1]: float(match[2]) for match in found if match}


def outcome(result: dict[str, Any]) -> str:
    """Return the error code, or the topic."""
    return str(result["error"]["code"] if "error" in result else result["topic"])


def test_batch(server: Server) -> None:
    """Items are published in order, each with a result of its own."""
    server.create_topic("a")
    server.create_topic("b", history=5)
    one, both = server.subscriber("a"), server.subscriber("a")
    both.ask(type="subscribe", topic="b")
    first, missing, second, third = publish(
        server,
        {"topic": "a", "id": UUID, "payload": 1},
        {"topic": "missing", "payload": 2},
        {"topic": "b", "payload": [3]},
        {"topic": "a", "payload": None},
    )
    assert first == {"status": "published", "topic": "a", "id": UUID, "subscribers": 2}
    assert missing == {"error": {"code": "TOPIC_NOT_FOUND", "message": "topic does not exist"}}
    assert (second["subscribers"], second["offset"]) == (1, 1)
    received = [both.receive() for _ in range(3)]
    assert [(event["topic"], event["message"]["payload"]) for event in received] == [
        ("a", 1),
        ("b", [3]),
        ("a", None),
    ]
    assert [event["message"]["id"] for event in received] == [UUID, second["id"], third["id"]]
    assert [one.receive()["message"]["payload"] for _ in range(2)] == [1, None]


def test_payloads_are_unchanged(server: Server) -> None:
    """Payloads reach subscribers byte for byte, whichever way their item is decoded."""
    server.create_topic("t")
    subscriber = server.subscriber("t")
    payloads = ["99.50", "123456789012345678901234567890", '{"b":1, "a":[ ],"b":2}', '"\\ud800é"']
    items = ",".join(f'{{"topic":"t","payload":{payload}}}' for payload in payloads)
    status, _ = server.request("POST", "/messages", f'{{"messages":[{items}]}}'.encode())
    assert status == 200
    for payload in payloads:
        assert f'"payload":{payload}}}' in subscriber.receive_text()


def test_invalid_items(server: Server) -> None:
    """An item that is malformed or too large is an error of its own."""
    server.create_topic("t")
    good = {"topic": "t", "payload": 1}
    items = [
        good,
        5,
        {**good, "id": "x"},
        {**good, "payload": "x" * 70_000},
        {**good, "x": 1},
        good,
    ]
    assert list(map(outcome, publish(server, *items))) == [
        *("t", "BAD_REQUEST", "BAD_REQUEST", "MESSAGE_TOO_LARGE", "BAD_REQUEST", "t")
    ]
    assert server.request("GET", "/topics/t")[1]["messages"] == 2


def test_bounds_of_a_batch(server: Server) -> None:
    """1,000 messages and 1 MiB are accepted; one more message or byte is refused with 413."""
    server.create_topic("t")
    items = [{"topic": "t", "payload": "x" * 900}] * 1000
    body = json.dumps({"messages": items}).encode()
    full = body + b" " * ((1 << 20) - len(body))
    assert server.request("POST", "/messages", full)[0] == 200
    for refused in (full + b" ", json.dumps({"messages": [1] * 1001}).encode()):
        status, answer = server.request("POST", "/messages", refused)
        assert (status, outcome(answer)) == (413, "MESSAGE_TOO_LARGE")
    assert server.request("GET", "/topics/t")[1]["messages"] == 1000


def test_once(server: Server) -> None:
    """A repetition with `once` is delivered once, within a batch and over all requests."""
    server.create_topic("t", history=5)
    item = {"topic": "t", "id": UUID, "payload": 1, "once": True}
    first, second = publish(server, item, item)
    assert second == {**first, "duplicate": True}
    single = {"id": UUID.upper(), "payload": 1, "once": True}
    _, third = server.request("POST", "/topics/t/messages", single)
    assert (third["offset"], third["duplicate"]) == (1, True)
    assert server.request("GET", "/topics/t")[1]["messages"] == 1


def test_client_that_publishes_over_rest(server: Server) -> None:
    """With its id in X-Client-Id a client gets no copy of its own message."""
    server.create_topic("t", history=5)
    publisher = server.connect()
    client_id = publisher.ask(type="subscribe", topic="t")["client_id"]
    other = server.subscriber("t")
    before = published_by(server)
    headers = {"X-Client-Id": client_id}
    status, single = server.request("POST", "/topics/t/messages", {"payload": 1}, headers=headers)
    (result,) = publish(server, {"topic": "t", "payload": 2}, headers=headers)
    assert (status, single["subscribers"], result["subscribers"]) == (200, 1, 1)
    publish(server, {"topic": "t", "payload": 3}, headers={"X-Client-Id": UUID})
    assert [other.receive()["message"]["payload"] for _ in range(3)] == [1, 2, 3]
    assert publisher.receive()["message"]["payload"] == 3
    after = published_by(server)
    assert {source: after[source] - before[source] for source in after} == {
        "websocket": 0,
        "rest": 3,
        "server": 0,
    }


def test_rights(start_server: StartServer) -> None:
    """Each item needs the right to publish, and its event names the user.

    Nobody can hide a message from the client of another by its id.
    """
    server = start_server(
        CHATROOM_AUTH="required",
        CHATROOM_JWT_SECRET=SECRET,
        CHATROOM_API_KEYS=OPERATOR["X-API-Key"],
    )
    for topic in ("t", "secret"):
        server.request("POST", "/topics", {"name": topic}, headers=OPERATOR)
    bearer = f"Bearer {token('42', publish=['t', 'missing'], subscribe=['t'])}"
    reader = server.connect(headers={"Authorization": bearer})
    reader.ask(type="subscribe", topic="t")
    items = [{"topic": topic, "payload": 1} for topic in ("t", "secret", "missing", "secret", "t")]
    assert list(map(outcome, publish(server, *items, headers={"Authorization": bearer}))) == [
        *("t", "FORBIDDEN", "TOPIC_NOT_FOUND", "FORBIDDEN", "t")
    ]
    assert [reader.receive()["user"] for _ in range(2)] == ["42", "42"]
    assert server.request("POST", "/messages", {"messages": items})[0] == 401
    client_id = reader.ask(type="auth", token=bearer[7:])["client_id"]
    stranger = {"X-Client-Id": client_id, **OPERATOR}
    _, answer = server.request("POST", "/topics/t/messages", {"payload": 1}, headers=stranger)
    assert answer["subscribers"] == 1


def test_rate(start_server: StartServer) -> None:
    """Each message of a batch counts for the rate of its publisher."""
    server = start_server(CHATROOM_REST_RATE_LIMIT="0.01")
    server.create_topic("t")
    results = publish(server, *[{"topic": "t", "payload": 1}] * 3)
    assert list(map(outcome, results)) == ["t", "RATE_LIMITED", "RATE_LIMITED"]
    assert server.request("GET", "/topics/t")[1]["messages"] == 1


@pytest.mark.parametrize("size", [1, 1000])
def test_every_subscriber_gets_every_message(server: Server, size: int) -> None:
    """A batch that is larger than an outbox loses nothing for subscribers that read."""
    server.create_topic("t")
    subscribers = [server.subscriber("t") for _ in range(3)]
    publish(server, *[{"topic": "t", "payload": number} for number in range(size)])
    for subscriber in subscribers:
        received = [subscriber.receive()["message"]["payload"] for _ in range(size)]
        assert received == list(range(size))
