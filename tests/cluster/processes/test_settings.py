"""Settings of rooms and of their processes: rooms, limits, topics, credentials and storage."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.cluster.processes.accounts import Call
from tests.cluster.processes.room import Room, is_ready, payloads, publish, running_room
from tests.live.server import DAPHNE, PROJECT, Server
from tests.live.waiting import PATIENCE, wait_until
from tests.relay.server import NatsServer

PASSWORD = "correct-horse-battery"
ACCESS = f'authorization {{ user: "chat", password: "{PASSWORD}" }}'


@pytest.fixture(scope="module")
def guarded() -> Iterator[NatsServer]:
    """A NATS server that asks for a password, and keeps its files when it is restarted."""
    with NatsServer(ACCESS) as nats:
        yield nats


def test_limits_and_topics(guarded: NatsServer) -> None:
    """A room has its own topics, no more than allowed, and a password that nobody logs."""
    url = guarded.url.replace("//", f"//chat:{PASSWORD}@")
    settings = {"CHATROOM_RELAY": url, "CHATROOM_MAX_TOPICS": "12"}
    servers: list[Server] = []
    try:
        servers.append(Server(CHATROOM_TOPICS='{"a":{"history":5},"b":{}}', **settings))
        a = servers[0]
        wait_until(lambda: is_ready(a), a.log)
        # Two have the same topics, with other options; a third is another room.
        servers.append(Server(CHATROOM_TOPICS='{"a":{"history":9},"c":{}}', **settings))
        servers.append(Server(CHATROOM_RELAY_NAME="other", **settings))
        b, other = servers[1:]
        for server in (b, other):
            wait_until(lambda server=server: is_ready(server), server.log)

        for server in (a, b):
            names = [topic["name"] for topic in server.request("GET", "/topics")[1]["topics"]]
            assert names == ["a", "b", "c"]
            assert server.request("GET", "/topics/a")[1]["history"] == 5
        assert a.complaints() == []
        (warning,) = b.complaints()
        assert "topic_options_differ" in warning

        assert other.request("GET", "/topics")[1]["topics"] == []
        other.create_topic("b")
        stranger, friend = other.subscriber("b"), b.subscriber("b")
        publish(a, "b", 1)
        assert payloads(friend, 1) == [1]
        stranger.assert_nothing_came()
        assert len(other.request("GET", "/health")[1]["processes"]) == 1

        def create(server: Server, names: range) -> list[int]:
            return [server.request("POST", "/topics", {"name": f"t{n}"})[0] for n in names]

        with Call(create, a, range(10)) as first, Call(create, b, range(10, 20)) as second:
            pass
        statuses = first.result + second.result
        assert sorted(statuses) == [201] * 9 + [statuses[-1]] * 11
        assert statuses[-1] not in (201, 503)
        for server in (a, b):
            wait_until(lambda server=server: server.request("GET", "/health")[1]["topics"] == 12)

        guarded.kill()
        for server in servers:
            wait_until(lambda server=server: not is_ready(server))
        guarded.start()
        for server in servers:
            wait_until(lambda server=server: is_ready(server), server.log)
            assert PASSWORD not in server.log()
            assert "chat:" not in server.log()
    finally:
        for server in servers:
            server.close()


def test_wrong_password(guarded: NatsServer) -> None:
    """A process with wrong credentials serves, but is never ready, and does not log them."""
    wrong = "a-wrong-password"
    server = Server(CHATROOM_RELAY=guarded.url.replace("//", f"//chat:{wrong}@"))
    try:
        wait_until(lambda: "relay_unreachable" in server.log())
        assert server.request("GET", "/readyz")[0] == 503
        assert server.request("GET", "/livez")[0] == 200
        assert wrong not in server.log()
        assert server.complaints() == []
    finally:
        server.close()


def test_message_size() -> None:
    """A process whose messages NATS would not take does not start, or does not join it later."""
    settings = {"CHATROOM_MAX_MESSAGE_BYTES": "200000"}
    with NatsServer("max_payload: 100000") as nats:
        settings["CHATROOM_RELAY"] = nats.url
        process = subprocess.run(
            [sys.executable, *DAPHNE],
            cwd=PROJECT,
            env=os.environ | settings,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert process.returncode == 1
        (line,) = process.stderr.splitlines()
        assert line.startswith("chatroom: CHATROOM_MAX_MESSAGE_BYTES is too large")
        nats.kill()
        server = Server(**settings)
        try:
            nats.start()
            wait_until(lambda: "relay_too_small" in server.log())
            assert server.request("GET", "/readyz")[0] == 503
            assert server.request("GET", "/livez")[0] == 200
            (complaint,) = server.complaints()
            assert "relay_too_small" in complaint
        finally:
            server.close()


def test_all_processes_end() -> None:
    """With file storage, topics and their messages outlive all processes, and NATS too."""
    with running_room(1, CHATROOM_RELAY_STORAGE="file") as room:
        (first,) = room.servers
        first.create_topic("plain", presence=True)
        first.create_topic("kept", history=10)
        publish(first, "kept", *range(3))
        client = first.connect()
        ack = client.ask(type="subscribe", topic="kept")
        position = {"epoch": ack["epoch"], "offset": ack["offset"]}
        publish(first, "kept", 3)
        assert room.stop(first) == 0
        assert client.receive()["message"]["payload"] == 3
        assert client.receive_close()[0] == 3001
        room.nats.stop()
        room.nats.start()
        check_again(room, position)


def check_again(room: Room, position: dict[str, object]) -> None:
    """Check in a new process that everything is there, and that a client recovers."""
    server = room.start()
    assert server.request("GET", "/topics/plain")[1]["presence"] is True
    client = server.connect()
    ack = client.ask(type="subscribe", topic="kept", recover=position)
    assert (ack["recovered"], ack["replayed"]) == (True, 1)
    assert payloads(client, 1) == [3]
    messages = server.request("GET", "/topics/kept/messages")[1]["messages"]
    assert [each["message"]["payload"] for each in messages] == [0, 1, 2, 3]
