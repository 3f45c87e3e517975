"""The calls that a publication causes, counted so that a loss of speed shows without a clock."""

from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.auth.support import SECRET, token
from tests.live.client import UUID, Client
from tests.live.conftest import StartServer
from tests.live.server import Server
from tests.live.test_django_users import Club

COUNTED = ("-m", "daphne", "-p", "0", "tests.live.host.counted:application")
SUBSCRIBERS = 30
ROUNDS = 20
PUBLISH = {"type": "publish", "topic": "orders", "message": {"id": UUID, "payload": 1}}
LONG = {**PUBLISH, "message": {"id": UUID, "payload": "x" * 2000}}


def count(server: Server, at_a_time: int) -> Counter[str]:
    """Publish ``at_a_time`` messages per round and count the server's calls."""
    server.create_topic("orders")
    subscribers = [server.subscriber("orders") for _ in range(SUBSCRIBERS)]
    return count_calls(server, subscribers, server.connect(), at_a_time)


def count_calls(
    server: Server,
    subscribers: list[Client],
    publisher: Client,
    at_a_time: int = 1,
    command: Mapping[str, Any] = PUBLISH,
) -> Counter[str]:
    """Publish ``at_a_time`` messages per round and count the server's calls."""
    publisher.send_all([command])  # warms the cache of the encoded topic name
    for client in (*subscribers, publisher):
        client.receive()
    server.request("GET", "/count/start")
    for _ in range(ROUNDS):
        publisher.send_all([command] * at_a_time)
        for client in (*subscribers, publisher):
            for _ in range(at_a_time):
                client.receive()
    counts = Counter(server.request("GET", "/count/stop")[1])
    assert [counts[f"writes to {client.port}"] for client in subscribers] == [ROUNDS] * SUBSCRIBERS
    assert counts[f"writes to {publisher.port}"] == ROUNDS
    return counts


def test_one_publication(start_server: StartServer) -> None:
    """A publication is encoded once and written once per subscriber, without tasks or threads."""
    counts = count(start_server(*COUNTED), 1)
    # One encoding for the event, one for the acknowledgement.
    assert counts["encodings"] == 2 * ROUNDS
    assert counts["threads"] == 0
    # Some of the remaining calls belong to the HTTP requests around the count.
    assert counts["tasks"] < ROUNDS / 2
    assert counts["detours"] < ROUNDS / 2
    assert counts["hops"] < 3 * ROUNDS


def test_publications_of_one_tick(start_server: StartServer) -> None:
    """Publications of one tick leave in one write per subscriber."""
    counts = count(start_server(*COUNTED), 8)
    assert counts["encodings"] == 2 * 8 * ROUNDS
    assert counts["hops"] < 3 * ROUNDS


def test_publications_to_compressed_connections(start_server: StartServer) -> None:
    """A long event is compressed once, and all that negotiated it get it in one write a tick."""
    server = start_server(*COUNTED, CHATROOM_COMPRESSION="true")
    server.create_topic("orders")
    subscribers = [server.connect(compression=number % 3 > 0) for number in range(SUBSCRIBERS)]
    for client in subscribers:
        assert client.ask(type="subscribe", topic="orders")["type"] == "ack"
    publisher = server.connect(compression=True)
    counts = count_calls(server, subscribers, publisher, 4, LONG)
    assert counts["compressions"] == 4 * ROUNDS
    assert counts["encodings"] == 2 * 4 * ROUNDS
    assert counts["hops"] < 3 * ROUNDS
    counts = count_calls(server, subscribers, publisher)
    assert counts["compressions"] == 0


def subscribers_with(server: Server, headers: Mapping[str, str]) -> list[Client]:
    """Open WebSockets with these headers, and subscribe them."""
    clients = [server.connect(headers=headers) for _ in range(SUBSCRIBERS)]
    for client in clients:
        assert client.ask(type="subscribe", topic="orders")["type"] == "ack"
    return clients


def assert_cheap(counts: Counter[str]) -> None:
    """Check that publications cost no more than without access control."""
    assert counts["encodings"] == 2 * ROUNDS
    assert counts["threads"] == 0
    assert counts["tasks"] < ROUNDS / 2
    assert counts["detours"] < ROUNDS / 2
    assert counts["hops"] < 3 * ROUNDS


@pytest.fixture
def with_tokens(start_server: StartServer) -> Server:
    """A server that requires a token."""
    return start_server(
        *COUNTED,
        CHATROOM_AUTH="required",
        CHATROOM_JWT_SECRET=SECRET,
        CHATROOM_AUTO_CREATE_TOPICS="true",
    )


def bearer(**claims: Any) -> dict[str, str]:
    """Return the header with a token."""
    return {"Authorization": f"Bearer {token(**claims)}"}


def test_publications_with_tokens(with_tokens: Server) -> None:
    """With tokens a publication costs no more than without."""
    subscribers = subscribers_with(with_tokens, bearer(subscribe=["orders"]))
    publisher = with_tokens.connect(headers=bearer(publish=["orders"]))
    assert_cheap(count_calls(with_tokens, subscribers, publisher))


def test_commands_with_tokens(with_tokens: Server) -> None:
    """A token is checked, and rights are decided, without a task or a thread."""
    client = with_tokens.connect()
    mine = token(subscribe=["t*"], publish=["p"])
    with_tokens.request("GET", "/count/start")
    for number in range(ROUNDS):
        assert client.ask(type="auth", token=mine)["type"] == "ack"
        assert client.ask(type="subscribe", topic=f"t{number}")["type"] == "ack"
        assert client.ask(type="subscribe", topic="other")["type"] == "error"
        assert client.publish("p")["type"] == "ack"
    counts = with_tokens.request("GET", "/count/stop")[1]
    assert counts.get("threads", 0) == 0
    assert counts.get("tasks", 0) < ROUNDS / 2


@pytest.mark.parametrize("authorizer", ["Plain", "Asynchronous"])
def test_publications_of_users(tmp_path: Path, authorizer: str) -> None:
    """Once the authorizer has decided, a publication costs no more than without it.

    While it decides about one client, only that client has a task and a thread.
    """
    with closing(Club(authorizer, tmp_path / "db.sqlite3", COUNTED)) as club:
        server = club.server
        subscribers = subscribers_with(server, club.log_in("ann"))
        publisher = club.connect("ann")
        asking = club.connect("bob")
        asking.send(type="subscribe", topic="held")
        with club.gate.wait_until_asked() as question:
            assert_cheap(count_calls(server, subscribers, publisher))
            question.send(b"y")
        assert asking.receive()["type"] == "ack"


def test_presence(start_server: StartServer) -> None:
    """A notice of presence is encoded once, and written once to each watcher, without tasks."""
    server = start_server(*COUNTED, CHATROOM_PRESENCE_INTERVAL="0.1")
    server.create_topic("orders", presence=True)
    watchers = [server.subscriber("orders", presence=True) for _ in range(SUBSCRIBERS)]
    joining = [server.connect() for _ in range(ROUNDS)]
    members: set[str] = set()
    for watcher in watchers:
        while len(members) < SUBSCRIBERS:  # all have been told of all
            members |= {
                each["client_id"]
                for notice in [watcher.receive()]
                for each in notice.get("members", notice.get("joined"))
            }
        members.clear()
    server.request("GET", "/count/start")
    for client in joining:
        client.send(type="subscribe", topic="orders")
    for client in joining:
        assert client.receive()["type"] == "ack"
    notices = [0] * SUBSCRIBERS
    for number, watcher in enumerate(watchers):
        told = 0
        while told < ROUNDS:
            told += len(watcher.receive()["joined"])
            notices[number] += 1
    counts = Counter(server.request("GET", "/count/stop")[1])
    assert len(set(notices)) == 1
    assert counts["encodings"] == ROUNDS + notices[0]
    assert [counts[f"writes to {watcher.port}"] for watcher in watchers] == notices
    assert counts["tasks"] < ROUNDS / 2
    assert counts["threads"] == 0
