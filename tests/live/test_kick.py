"""Operators list the connected clients and disconnect them."""

from collections.abc import Iterator

import pytest

from tests.auth.support import SECRET, token
from tests.live.client import UUID, Client
from tests.live.conftest import StartServer
from tests.live.server import Server, running_server

KEY = "operator-0123456789"
OPERATOR = {"X-API-Key": KEY}
KICKED = (3503, "force disconnect")


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    """A server with users and an API key."""
    with running_server(
        CHATROOM_AUTH="optional",
        CHATROOM_JWT_SECRET=SECRET,
        CHATROOM_API_KEYS=KEY,
        CHATROOM_ANONYMOUS_SUBSCRIBE="*",
        CHATROOM_AUTO_CREATE_TOPICS="true",
    ) as server:
        yield server


def connect(server: Server, user: str | None = None) -> Client:
    """Connect a client of a user, or an anonymous one."""
    headers = {"Authorization": f"Bearer {token(user, subscribe=['*'])}"} if user else None
    client = server.connect(headers=headers)
    assert client.ask(type="ping")["type"] == "pong"
    return client


def test_list(guarded: Server) -> None:
    """The list shows who is connected, for how long, and what waits for them."""
    ann, nobody = connect(guarded, "ann"), connect(guarded)
    for topic in ("a", "b"):
        ann.ask(type="subscribe", topic=topic)
    status, body = guarded.request("GET", "/clients", headers=OPERATOR)
    assert status == 200
    assert list(body) == ["clients"]
    first, second = body["clients"]
    assert list(first) == ["client_id", "user", "connected_sec", "topics", "queued", "dropped"]
    assert (first["user"], first["topics"]) == ("ann", 2)
    assert (second["user"], second["topics"]) == (None, 0)
    assert all(row["queued"] == row["dropped"] == 0 for row in body["clients"])
    assert all(row["connected_sec"] >= 0 for row in body["clients"])
    guarded.reset_clients()
    del nobody


def test_lost_messages_are_shown(start_server: StartServer) -> None:
    """A client that does not read has frames in its queue, and the number of its losses."""
    server = start_server(CHATROOM_QUEUE_SIZE="8", CHATROOM_AUTO_CREATE_TOPICS="true")
    server.subscriber("t")
    publisher = server.connect()
    while not server.request("GET", "/clients")[1]["clients"][0]["dropped"]:
        for _ in range(50):
            publisher.publish("t", "x" * 20_000)
    stalled = server.request("GET", "/clients")[1]["clients"][0]
    assert stalled["queued"] == 8
    assert stalled["dropped"] == server.request("GET", "/stats")[1]["totals"]["dropped"]


def test_pages(guarded: Server) -> None:
    """The list comes in pages, which clients that leave meanwhile do not disturb."""
    for _ in range(5):
        connect(guarded)
    complete = guarded.request("GET", "/clients", headers=OPERATOR)[1]["clients"]
    ids = [row["client_id"] for row in complete]
    assert len(ids) == 5
    page = guarded.request("GET", "/clients?limit=2", headers=OPERATOR)[1]
    assert (page["truncated"], page["total"]) == (True, 5)
    assert [row["client_id"] for row in page["clients"]] == ids[:2]
    assert guarded.request("DELETE", f"/clients/{ids[1]}", headers=OPERATOR)[0] == 200
    path = f"/clients?limit=2&cursor={page['next']}"
    page = guarded.request("GET", path, headers=OPERATOR)[1]
    assert [row["client_id"] for row in page["clients"]] == ids[2:4]
    path = f"/clients?limit=2&cursor={page['next']}"
    page = guarded.request("GET", path, headers=OPERATOR)[1]
    assert [row["client_id"] for row in page["clients"]] == ids[4:]
    assert "next" not in page
    found = guarded.request("GET", f"/clients?prefix={ids[4]}", headers=OPERATOR)[1]
    assert [row["client_id"] for row in found["clients"]] == ids[4:]
    guarded.reset_clients()


@pytest.mark.parametrize(
    ("query", "message"),
    [
        *((f"limit={limit}", "limit must be") for limit in ("0", "1001", "-1", "x", "1.5", "")),
        *((f"cursor={cursor}", "cursor must be") for cursor in ("x", "", "AAAAAA", "%FF")),
    ],
)
def test_bad_pages(guarded: Server, query: str, message: str) -> None:
    """An invalid limit or cursor is a mistake that has a name."""
    status, body = guarded.request("GET", f"/clients?{query}", headers=OPERATOR)
    assert (status, body["error"]["code"]) == (400, "BAD_REQUEST")
    assert body["error"]["message"].startswith(message)


def test_disconnect_a_client(guarded: Server) -> None:
    """A client is disconnected at once with 3503, and others are not."""
    ann, bob = connect(guarded, "ann"), connect(guarded, "bob")
    first, _ = guarded.request("GET", "/clients", headers=OPERATOR)[1]["clients"]
    path = f"/clients/{first['client_id']}"
    answer = guarded.request("DELETE", path, headers=OPERATOR)
    assert answer == (200, {"status": "disconnected", "clients": 1})
    assert ann.receive_close() == KICKED
    status, body = guarded.request("DELETE", path, headers=OPERATOR)
    assert (status, body["error"]["code"]) == (404, "NOT_FOUND")
    assert bob.ask(type="ping")["type"] == "pong"
    guarded.reset_clients()


def test_disconnect_a_user(guarded: Server) -> None:
    """All connections of a user are closed, also one that is authenticated late."""
    clients = [connect(guarded, "ann"), connect(guarded, "ann"), connect(guarded)]
    assert clients[2].ask(type="auth", token=token("ann"))["type"] == "ack"
    other = connect(guarded, "ann/2")
    answer = guarded.request("DELETE", "/users/ann", headers=OPERATOR)
    assert answer == (200, {"status": "disconnected", "clients": 3})
    assert [client.receive_close() for client in clients] == [KICKED] * 3
    assert guarded.request("DELETE", "/users/ann", headers=OPERATOR)[0] == 404
    assert other.ask(type="ping")["type"] == "pong"
    assert guarded.request("DELETE", "/users/ann%2F2", headers=OPERATOR)[0] == 200
    assert other.receive_close() == KICKED


@pytest.mark.parametrize("path", [f"/clients/{UUID}", "/clients/x", "/users/nobody", "/users/%FF"])
def test_nobody_to_disconnect(guarded: Server, path: str) -> None:
    """Without such a client or user the answer is 404."""
    status, body = guarded.request("DELETE", path, headers=OPERATOR)
    assert (status, body["error"]["code"]) == (404, "NOT_FOUND")


def test_client_that_does_not_answer(guarded: Server) -> None:
    """A client that does not take part in the closing handshake is gone from the list at once."""
    headers = {"Authorization": f"Bearer {token('mute')}"}
    mute = guarded.connect(answers=False, headers=headers)
    assert mute.ask(type="ping")["type"] == "pong"
    assert guarded.request("DELETE", "/users/mute", headers=OPERATOR)[1]["clients"] == 1
    assert guarded.request("GET", "/clients", headers=OPERATOR)[1]["clients"] == []
