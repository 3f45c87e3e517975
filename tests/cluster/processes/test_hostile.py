"""What others do to NATS, and how it may be set up: the room heals, and says what is wrong."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from nats import connect
from nats.js import JetStreamContext

from tests.cluster.processes.room import is_ready, payloads, publish, running_room
from tests.live.waiting import wait_until
from tests.relay.server import NatsServer


def at(server: NatsServer, act: Callable[[JetStreamContext], Awaitable[object]]) -> None:
    """Do something at NATS by hand."""

    async def run() -> None:
        client = await connect(server.url)
        await act(client.jetstream())
        await client.close()

    asyncio.run(run())


@pytest.mark.parametrize("stream", ["LOG_chatroom", "KV_chatroom"])
def test_a_stream_is_deleted(stream: str) -> None:
    """Topics and their subscribers survive that somebody deletes what NATS stores of the room."""
    with running_room(2) as room:
        one, other = room.servers
        one.create_topic("kept", history=10)
        wait_until(lambda: other.request("GET", "/topics/kept")[0] == 200)
        client = other.subscriber("kept")
        at(room.nats, lambda jetstream: jetstream.delete_stream(stream))
        notice = client.receive()
        assert notice["msg"] == "position_reset"
        wait_until(lambda: one.request("GET", "/topics/kept")[1]["epoch"] == notice["epoch"])
        publish(one, "kept", 1)
        assert payloads(client, 1) == [1]
        one.create_topic("new")
        wait_until(lambda: other.request("GET", "/topics/new")[0] == 200)


def test_a_stream_of_another_kind() -> None:
    """A process that finds a foreign stream is not ready, logs why, and recovers without it."""
    with running_room(0) as room:
        at(room.nats, lambda jetstream: jetstream.add_stream(name="LOG_chatroom", subjects=["x"]))
        server = room.start_unready()
        wait_until(lambda: "relay_refused" in server.log())
        assert 'reason="the stream LOG_chatroom exists with other subjects"' in server.log()
        assert server.request("GET", "/readyz")[0] == 503
        at(room.nats, lambda jetstream: jetstream.delete_stream("LOG_chatroom"))
        wait_until(lambda: is_ready(server))
        server.create_topic("kept", history=1)
        assert server.log().count("relay_refused") == 1
