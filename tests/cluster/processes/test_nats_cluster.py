"""What clients see when the servers of a NATS cluster fail, and are restarted one by one."""

import uuid
from contextlib import ExitStack

from tests.cluster.processes.accounts import read_until_explained
from tests.cluster.processes.room import Room, is_ready, payloads, publish
from tests.live.waiting import wait_until
from tests.relay.nats_cluster import NatsCluster
from tests.relay.server import NatsServer

STREAMS = ("LOG_chatroom", "KV_chatroom")


def publish_everywhere(room: Room, number: int) -> None:
    """Publish a number to both topics on each process, to that with history until it is taken."""
    for index, server in enumerate(room.servers):
        publish(server, "plain", [index, number])
        message = {"id": str(uuid.uuid4()), "payload": [index, number], "once": True}
        wait_until(
            lambda server=server, message=message: (
                server.request("POST", "/topics/kept/messages", message)[0] == 200
            )
        )


def log_leader(nats: NatsCluster) -> NatsServer:
    """Return the server that decides on the order of messages, once there is one."""
    wait_until(lambda: nats.leader(STREAMS[0]))
    leader = nats.leader(STREAMS[0])
    assert leader is not None
    return leader


def test_each_server_fails_in_turn() -> None:
    """Messages with history are all received in one order; the others are received or told."""
    with NatsCluster() as nats, ExitStack() as stack:
        room = Room(nats, stack, CHATROOM_RELAY_REPLICAS="3", CHATROOM_RELAY_STORAGE="file")
        for _ in range(2):
            room.start_unready()
        room.wait_until_ready()
        a, b = room.servers
        a.create_topic("kept", history=100)
        a.create_topic("plain")
        wait_until(lambda: b.request("GET", "/topics/plain")[0] == 200)
        wait_until(lambda: all(map(nats.is_in_step, STREAMS)))
        kept = [server.subscriber("kept") for server in room.servers]
        plain = [server.subscriber("plain") for server in room.servers]

        first = log_leader(nats)
        others = [server for server in nats.servers.values() if server is not first]
        rounds = 0
        for server, end in [(first, first.kill), *((each, each.stop) for each in others)]:
            end()
            publish_everywhere(room, rounds)
            server.start()
            wait_until(lambda: all(map(nats.is_in_step, STREAMS)))
            publish_everywhere(room, rounds + 1)
            rounds += 2

        room.wait_until_ready()
        published = [[index, number] for number in range(rounds) for index in range(2)]
        for client in kept:
            assert payloads(client, len(published)) == published
        for client in plain:
            account = read_until_explained(client, len(published))
            assert account.notices == []
            assert all(message in published for message in account.received)
        for server in room.servers:
            assert is_ready(server)
            assert len(server.request("GET", "/health")[1]["processes"]) == 2
        assert room.complaints() == []
