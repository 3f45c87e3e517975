"""Who is there: first forms, changes, users who linger, and REST."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.auth.support import SECRET, token
from tests.live.client import Client
from tests.live.server import Server, running_server

ROOMS = {"lobby": {"presence": True}, "room.*": {"presence": True}}


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    """A server with short intervals, on which a lost user lingers for the whole test."""
    with running_server(
        CHATROOM_AUTH="optional",
        CHATROOM_JWT_SECRET=SECRET,
        CHATROOM_API_KEYS="operator-0123456789",
        CHATROOM_ANONYMOUS_SUBSCRIBE="*",
        CHATROOM_AUTO_CREATE_TOPICS="true",
        CHATROOM_TOPICS=json.dumps(ROOMS),
        CHATROOM_PRESENCE_INTERVAL="0.05",
        CHATROOM_PRESENCE_LINGER="600",
        CHATROOM_PRESENCE_MAX="3",
    ) as server:
        yield server


@pytest.fixture
def server(running: Server) -> Iterator[Server]:
    """The server, without clients after each test."""
    yield running
    running.reset_clients()


def connect(server: Server, user: str | None = None, **claims: Any) -> Client:
    """Connect a client of a user, or an anonymous one."""
    text = token(user, subscribe=["*"], **claims) if user else None
    return server.connect(headers={"Authorization": f"Bearer {text}"} if text else None)


def watch(client: Client, topic: str) -> dict[str, Any]:
    """Subscribe a client that asks for presence, and return the first form."""
    assert client.ask(type="subscribe", topic=topic, presence=True)["type"] == "ack"
    return client.receive()


def join(server: Server, topic: str, user: str | None = None, **claims: Any) -> Client:
    """Connect and subscribe a client that does not ask for presence."""
    client = connect(server, user, **claims)
    assert client.ask(type="subscribe", topic=topic)["type"] == "ack"
    return client


def test_members_come_and_go(server: Server) -> None:
    """A watcher gets everyone first, and then each change; both have the fields of the contract."""
    watcher = connect(server)
    first = watch(watcher, "room.1")
    assert list(first) == ["type", "topic", "ts", "clients", "users", "members"]
    assert (first["clients"], first["users"], len(first["members"])) == (1, 0, 1)
    assert list(first["members"][0]) == ["client_id"]
    ann = join(server, "room.1", "ann", info={"name": "Ann"})
    change = watcher.receive()
    assert list(change) == ["type", "topic", "ts", "clients", "users", "joined", "left"]
    assert change["joined"] == [{"user": "ann", "info": {"name": "Ann"}, "clients": 1}]
    assert (change["clients"], change["users"], change["left"]) == (2, 1, [])
    ann.close()
    change = watcher.receive()
    assert (change["clients"], change["users"]) == (1, 0)
    assert (change["joined"], change["left"]) == ([], [{"user": "ann"}])


def test_lost_user_lingers(server: Server) -> None:
    """That a user is lost and comes back is told to nobody; meanwhile it is no client."""
    watcher = connect(server)
    watch(watcher, "room.2")
    ann = join(server, "room.2", "ann")
    assert watcher.receive()["joined"][0]["user"] == "ann"
    ann.reset()
    asker = connect(server)
    while (answer := asker.ask(type="presence", topic="room.2", request_id="p"))["clients"] > 1:
        pass
    assert (answer["request_id"], answer["users"]) == ("p", 1)
    assert answer["members"][1] == {"user": "ann", "info": {}, "clients": 0}
    bob = join(server, "room.2", "bob")
    assert [member["user"] for member in watcher.receive()["joined"]] == ["bob"]
    join(server, "room.2", "ann")
    bob.send(type="unsubscribe", topic="room.2")
    change = watcher.receive()
    assert (change["joined"], change["left"]) == ([], [{"user": "bob"}])
    assert (change["clients"], change["users"]) == (2, 1)


def test_too_many_members(server: Server) -> None:
    """Above the largest number of members, only the counts are sent."""
    watchers = [join(server, "lobby") for _ in range(3)]
    last = connect(server)
    first = watch(last, "lobby")
    assert list(first) == ["type", "topic", "ts", "clients", "users", "truncated"]
    assert (first["clients"], first["truncated"]) == (4, True)
    watchers[0].close()
    assert len(last.receive()["members"]) == 3


def test_over_rest(server: Server) -> None:
    """REST gives what a watcher gets first, and 400 for a topic without presence."""
    watcher = connect(server)
    first = watch(watcher, "room.3")
    status, answer = server.request("GET", "/topics/room.3/presence")
    assert status == 200
    assert {**answer, "ts": first["ts"]} == first
    join(server, "plain")
    status, answer = server.request("GET", "/topics/plain/presence")
    assert (status, answer["error"]["code"]) == (400, "BAD_REQUEST")
    assert server.request("GET", "/topics/none/presence")[0] == 404


def test_topic_without_presence(server: Server) -> None:
    """Where there is no presence, asking for it is a bad request that changes nothing."""
    client = connect(server)
    answer = client.ask(type="subscribe", topic="new", presence=True, request_id="s")
    assert answer["error"] == {"code": "BAD_REQUEST", "message": "topic has no presence"}
    assert answer["request_id"] == "s"
    client.assert_nothing_came()
    assert server.request("GET", "/topics/new/presence")[0] == 404


def test_deleted_topic(server: Server) -> None:
    """After the notice of the deletion nothing more is told."""
    watcher, other = connect(server), connect(server)
    watch(watcher, "room.4")
    assert other.ask(type="subscribe", topic="room.4")["type"] == "ack"
    server.request("DELETE", "/topics/room.4", headers={"X-API-Key": "operator-0123456789"})
    seen = watcher.receive()
    if seen["type"] == "presence":  # the interval was over before the deletion
        seen = watcher.receive()
    assert seen["msg"] == "topic_deleted"
    watch(watcher, "room.5")
    join(server, "room.5", "ann")
    assert watcher.receive()["topic"] == "room.5"
