"""What happens to NATS, and what clients see of it: everything is received, or told as lost."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.cluster.processes.accounts import Call, assert_told, read_until
from tests.cluster.processes.room import Room, is_ready, payloads, publish, running_room
from tests.live.client import Client
from tests.live.server import Server
from tests.live.waiting import wait_until


def members(server: Server) -> int:
    """Return how many members the topic with presence has, as a process sees it."""
    count: int = server.request("GET", "/topics/present/presence")[1]["clients"]
    return count


def subscribe_to_all(room: Room) -> list[dict[str, Client]]:
    """Create a topic of each kind, and return subscribers of all of them on each process."""
    server = room.servers[0]
    server.create_topic("plain")
    server.create_topic("kept", history=1000)
    server.create_topic("present", presence=True)
    clients = [
        {topic: server.subscriber(topic) for topic in ("plain", "kept", "present")}
        for server in room.servers
    ]
    for server in room.servers:
        wait_until(lambda server=server: members(server) == len(clients))
    assert_messages_pass(room, clients)
    return clients


def wait_until_noticed(room: Room) -> None:
    """Wait until all processes know that NATS is out of reach; they live on."""
    for server in room.servers:
        wait_until(lambda server=server: not is_ready(server))
        assert server.request("GET", "/livez")[0] == 200


def assert_alone(server: Server, subscriber: Client) -> None:
    """Check what a process does while NATS is away; two messages reach nobody elsewhere."""
    for method, path, body in [
        ("POST", "/topics", {"name": "new"}),
        ("DELETE", "/topics/plain", None),
        ("POST", "/topics/kept/messages", {"payload": 1}),
    ]:
        status, answer = server.request(method, path, body)
        assert (status, answer["error"]["code"]) == (503, "UNAVAILABLE")
    plain, kept = publish(server, "plain", "over REST")[0], publish(server, "kept", 1)[0]
    assert (plain["scope"], kept["error"]["code"]) == ("process", "UNAVAILABLE")
    client = server.connect()
    ack = client.publish("plain", "by WebSocket")
    assert (ack["status"], ack["scope"]) == ("ok", "process")
    assert client.publish("kept")["error"]["code"] == "UNAVAILABLE"
    assert payloads(subscriber, 2) == ["over REST", "by WebSocket"]
    for path in ("/health", "/topics", "/stats", "/subscriptions", "/clients"):
        assert server.request("GET", path)[1]["complete"] is False


def assert_messages_pass(room: Room, clients: list[dict[str, Client]]) -> None:
    """Check that each process gets what all of them accept."""
    for sender in room.servers:
        for topic in ("plain", "kept"):
            publish(sender, topic, "passes")
            for subscribers in clients:
                assert payloads(subscribers[topic], 1) == ["passes"]


def assert_together(room: Room, clients: list[dict[str, Client]]) -> None:
    """Check that messages pass, and that topics and figures are those of the whole room."""
    assert_messages_pass(room, clients)
    first, *others = room.servers
    first.create_topic("new")
    for server in others:
        wait_until(lambda server=server: server.request("GET", "/topics/new")[0] == 200)
    for server in room.servers:
        wait_until(lambda server=server: members(server) == len(clients))
        health = server.request("GET", "/health")[1]
        assert (health["topics"], len(health["processes"])) == (4, len(room.servers))
        assert "complete" not in health


def kill(room: Room) -> Callable[[], None]:
    """Kill NATS; return what starts it again."""
    room.nats.kill()
    return room.nats.start


def kill_without_store(room: Room) -> Callable[[], None]:
    """Kill NATS and delete its files; return what starts it again."""
    room.nats.kill()
    room.nats.lose_store()
    return room.nats.start


@pytest.mark.parametrize(
    ("fault", "storage", "is_reset"),
    [(kill, "file", False), (kill, "memory", True), (kill_without_store, "file", True)],
    ids=["file", "memory", "lost-files"],
)
def test_nats_is_restarted(
    fault: Callable[[Room], Callable[[], None]], storage: str, is_reset: bool
) -> None:
    """Local delivery goes on; what reached nobody else is told; then all is as before."""
    with running_room(2, CHATROOM_RELAY_STORAGE=storage) as room:
        a, b = room.servers
        clients = subscribe_to_all(room)
        epoch = a.request("GET", "/topics/kept")[1]["epoch"]
        end = fault(room)
        wait_until_noticed(room)
        assert_alone(a, clients[0]["plain"])
        publish(b, "plain", 1, 2, 3)
        assert payloads(clients[1]["plain"], 3) == [1, 2, 3]
        assert members(a) == 2
        end()
        room.wait_until_ready()
        assert_told(clients[0]["plain"], 3)
        assert_told(clients[1]["plain"], 2)
        details = [server.request("GET", "/topics/kept")[1] for server in (a, b)]
        assert details[0]["epoch"] == details[1]["epoch"]
        assert (details[0]["epoch"] != epoch) == is_reset
        if is_reset:
            for subscribers in clients:
                notice = subscribers["kept"].receive()
                assert (notice["msg"], notice["topic"]) == ("position_reset", "kept")
                assert (notice["epoch"], notice["offset"]) == (details[0]["epoch"], 0)
        assert_together(room, clients)


def test_nats_hangs() -> None:
    """What is asked before it is noticed has an unknown fate, which a repetition tells."""
    with running_room(2) as room:
        a, b = room.servers
        clients = subscribe_to_all(room)
        a.create_topic("deleted")
        message = {"id": str(uuid.uuid4()), "payload": "once", "once": True}
        changes: list[tuple[str, str, Any]] = [
            ("POST", "/topics", {"name": "created"}),
            ("DELETE", "/topics/deleted", None),
            ("POST", "/topics/kept/messages", message),
        ]
        room.nats.pause()
        publish(a, "plain", "not noticed")
        with (
            Call(a.request, *changes[0]) as creation,
            Call(a.request, *changes[1]) as deletion,
            Call(a.request, *changes[2]) as publication,
        ):
            pass
        for call in (creation, deletion, publication):
            status, answer = call.result
            assert (status, answer["error"]["code"]) == (503, "UNAVAILABLE")
            assert answer["unknown_fate"] is True
        assert payloads(clients[0]["plain"], 1) == ["not noticed"]
        wait_until_noticed(room)
        assert_alone(a, clients[0]["plain"])
        for server in room.servers:
            wait_until(lambda server=server: members(server) == 1)  # this takes 20 seconds
        room.nats.resume()
        room.wait_until_ready()
        # NATS has got what was sent before it was noticed, and sends it on, or has not.
        publish(a, "plain", "from a")
        account = read_until(clients[1]["plain"], "from a")
        assert account.received in (["from a"], ["not noticed", "from a"])
        assert account.lost == 4 - len(account.received)
        assert account.at_most == 0
        publish(b, "plain", "from b")
        for subscribers in clients:
            assert read_until(subscribers["plain"], "from b").lost == 0
        assert a.request(*changes[0])[0] in (201, 409)
        assert a.request(*changes[1])[0] in (200, 404)
        for server in room.servers:
            wait_until(lambda server=server: server.request("GET", "/topics/created")[0] == 200)
            wait_until(lambda server=server: server.request("GET", "/topics/deleted")[0] == 404)
        assert a.request(*changes[2])[0] == 200
        for subscribers in clients:
            assert payloads(subscribers["kept"], 1) == ["once"]
        assert a.request("DELETE", "/topics/created")[0] == 200
        assert_together(room, clients)
