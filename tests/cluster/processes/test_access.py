"""Users, and what they may do, in a room of several processes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.auth.support import SECRET, token
from tests.cluster.processes.room import Room, running_room
from tests.live.client import Client
from tests.live.server import PROJECT, Server
from tests.live.waiting import PATIENCE, wait_until
from tests.relay.server import NatsServer

OPERATOR = {"X-API-Key": "operator-0123456789"}
KICKED = (3503, "force disconnect")


@pytest.fixture(scope="module")
def guarded() -> Iterator[Room]:
    """Two processes that know users, and an operator."""
    with running_room(
        2,
        CHATROOM_AUTH="optional",
        CHATROOM_JWT_SECRET=SECRET,
        CHATROOM_API_KEYS=OPERATOR["X-API-Key"],
        CHATROOM_ANONYMOUS_SUBSCRIBE="public.*",
    ) as room:
        for name, options in [
            ("public.news", {}),
            ("kept", {"history": 10, "presence": True}),
            ("present", {"presence": True}),
        ]:
            body = {"name": name, **options}
            assert room.servers[0].request("POST", "/topics", body, headers=OPERATOR)[0] == 201
            wait_until(lambda path=f"/topics/{name}": _exists(room.servers[1], path))
        yield room


def _exists(server: Server, path: str) -> bool:
    return server.request("GET", path, headers=OPERATOR)[0] == 200


def connect(server: Server, user: str, **rights: list[str]) -> Client:
    """Connect a user with some rights."""
    return server.connect(headers={"Authorization": f"Bearer {token(user, **rights)}"})


def test_events_name_their_users(guarded: Room) -> None:
    """What a user publishes in one process says so in all, with history and without."""
    a, b = guarded.servers
    writer = connect(a, "ann", publish=["*"])
    for topic in ("public.news", "kept"):
        reader = connect(b, "bob", subscribe=["*"])
        assert reader.ask(type="subscribe", topic=topic)["type"] == "ack"
        assert writer.publish(topic, 1)["status"] == "ok"
        assert reader.receive()["user"] == "ann"
    answer = connect(b, "bob", subscribe=["*"]).ask(type="history", topic="kept")
    assert [each["user"] for each in answer["messages"]] == ["ann"]


def test_rights(guarded: Room) -> None:
    """What a client may not do is refused at once, and in the same words as in one process."""
    _, b = guarded.servers
    anonymous = b.connect()
    assert anonymous.ask(type="subscribe", topic="public.news")["type"] == "ack"
    for message in (
        {"type": "subscribe", "topic": "kept"},
        {"type": "history", "topic": "kept"},
        {"type": "presence", "topic": "kept"},
    ):
        assert anonymous.ask(message)["error"]["code"] == "UNAUTHORIZED"
        assert connect(b, "bob").ask(message)["error"]["code"] == "FORBIDDEN"
    assert connect(b, "bob").publish("kept")["error"]["code"] == "FORBIDDEN"
    assert b.request("GET", "/clients")[0] == 401
    assert b.request("DELETE", "/topics/kept")[0] == 401


def test_user_is_disconnected_everywhere(guarded: Room) -> None:
    """All connections of a user end, in whatever processes they are, and are listed before."""
    a, b = guarded.servers
    connections = [connect(server, "cid") for server in (a, b, b)]
    for client in connections:
        client.assert_nothing_came()
    rows = a.request("GET", "/clients", headers=OPERATOR)[1]["clients"]
    assert sum(row["user"] == "cid" for row in rows) == 3
    status, answer = a.request("DELETE", "/users/cid", headers=OPERATOR)
    assert (status, answer["clients"]) == (200, 3)
    for client in connections:
        assert client.receive_close() == KICKED
    assert b.request("DELETE", "/users/cid", headers=OPERATOR)[0] == 404


def test_member_of_two_processes(guarded: Room) -> None:
    """A user that is connected to two processes is one member, until both have ended."""
    a, b = guarded.servers
    watcher = connect(a, "eve", subscribe=["*"])
    watcher.ask(type="subscribe", topic="present", presence=True)
    before = watcher.receive()
    assert [member["user"] for member in before["members"]] == ["eve"]
    first, second = (connect(server, "dan", subscribe=["*"]) for server in (a, b))
    first.ask(type="subscribe", topic="present")
    joined = watcher.receive()
    assert [member["user"] for member in joined["joined"]] == ["dan"]
    second.ask(type="subscribe", topic="present")
    path = "/topics/present/presence"
    wait_until(lambda: b.request("GET", path, headers=OPERATOR)[1]["clients"] == 3)
    wait_until(lambda: a.request("GET", path, headers=OPERATOR)[1]["clients"] == 3)
    assert a.request("GET", path, headers=OPERATOR)[1]["users"] == 2
    first.close()
    wait_until(lambda: a.request("GET", path, headers=OPERATOR)[1]["clients"] == 2)
    assert a.request("GET", path, headers=OPERATOR)[1]["users"] == 2
    second.close()
    left = watcher.receive()
    assert [member["user"] for member in left["left"]] == ["dan"]


@pytest.fixture
def club(tmp_path: Path) -> Iterator[list[Server]]:
    """Two processes of a project with a database and an authorizer."""
    with NatsServer() as nats, ExitStack() as stack:
        environment = {
            "CLUB_DATABASE": str(tmp_path / "db.sqlite3"),
            "CLUB_AUTHORIZER": "Asynchronous",
            "CLUB_RELAY": nats.url,
        }
        command = [sys.executable, "-m", "tests.live.host.club_database", "ann", "bob"]
        subprocess.run(
            command, cwd=PROJECT, env=os.environ | environment, check=True, timeout=PATIENCE
        )
        servers = []
        for _ in range(2):
            server = Server(
                *("-m", "daphne", "-p", "0", "tests.live.host.signed_in:application"),
                DJANGO_SETTINGS_MODULE="tests.live.host.club",
                **environment,
            )
            stack.callback(server.close)
            servers.append(server)
        yield servers
        assert [line for server in servers for line in server.complaints()] == []


def test_permissions_change_everywhere(club: list[Server]) -> None:
    """A subscription ends when a right is lost, whatever process serves the client."""
    a, b = club

    def subscriber(server: Server, name: str) -> Client:
        _, headers, _ = server.raw_request("GET", f"/login/{name}")
        client = server.connect(headers={"Cookie": headers["Set-Cookie"].partition(";")[0]})
        answer: Any = client.ask(type="subscribe", topic="orders")
        while answer["type"] != "ack":  # they are still joining each other
            assert answer["error"]["code"] == "UNAVAILABLE"
            answer = client.ask(type="subscribe", topic="orders")
        return client

    losers = [subscriber(server, "ann") for server in (a, b)]
    other = subscriber(b, "bob")
    assert a.request("GET", "/leave/ann")[0] == 200
    for client in losers:
        assert client.receive()["msg"] == "permission_revoked"
    other.assert_nothing_came()
