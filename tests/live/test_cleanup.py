"""Disconnected clients leave nothing behind, however their connections ended."""

import random

from websockets.frames import Opcode

from tests.live.client import Client
from tests.live.conftest import StartServer
from tests.live.server import Server
from tests.live.waiting import wait_until


def wait_for(server: Server, **figures: int) -> None:
    """Wait until /health shows these figures."""
    wait_until(lambda: figures.items() <= server.request("GET", "/health")[1].items())


def test_closed_and_crashed_clients_leave_every_topic(server: Server) -> None:
    """A closing handshake, an end of stream and a TCP reset all end every subscription."""
    for name in ("a", "b"):
        server.create_topic(name)
    stays, closes, ends, crashes = (server.subscriber("a") for _ in range(4))
    for client in (closes, ends, crashes):
        client.ask(type="subscribe", topic="b")
    wait_for(server, clients=4, subscribers=7)
    closes.close()
    ends.shut_down_writing()
    crashes.reset()
    wait_for(server, clients=1, subscribers=1)
    answer = server.request("GET", "/subscriptions")[1]
    assert [client["topics"] for client in answer["subscriptions"]] == [["a"]]
    assert answer["topic_breakdown"]["b"] == []
    server.connect().publish("a")
    assert stays.receive()["type"] == "event"


def test_stuck_client_that_crashes_leaves_at_once(server: Server) -> None:
    """A client that crashes while the server waits for room to write leaves at once."""
    server.create_topic("t")
    stuck, publisher = server.subscriber("t"), server.connect()
    while server.request("GET", "/stats")[1]["topics"]["t"]["dropped"] == 0:
        for _ in range(50):
            publisher.publish("t", "x" * 20_000)
    for _ in range(2000):
        stuck.send(type="ping")
    wait_for(server, clients=2)
    stuck.reset()
    wait_for(server, clients=1, subscribers=0)


def test_stuck_client_that_closes_leaves_at_once(start_server: StartServer) -> None:
    """A stuck client that sends a close frame leaves at once.

    The answer follows its unread frames; it has some seconds to read them.
    """
    server = start_server()
    server.create_topic("t")
    stuck, publisher = server.subscriber("t"), server.connect()
    while server.request("GET", "/stats")[1]["topics"]["t"]["dropped"] == 0:
        for _ in range(50):
            publisher.publish("t", "x" * 20_000)
    stuck.send_frame(Opcode.CLOSE, b"\x03\xe8")
    wait_for(server, clients=1, subscribers=0)
    assert stuck.is_connected()
    assert stuck.receive_close() == (1000, "")


def test_random_life(server: Server) -> None:
    """Any mixture of connecting, crashing, subscribing and deleting leaves nothing behind."""
    chance = random.Random(20)
    names = [f"t{number}" for number in range(6)]
    clients: list[Client] = []
    for _ in range(600):
        action = chance.randrange(6)
        name = chance.choice(names)
        client = chance.choice(clients) if clients else None
        if action == 0 or client is None:
            clients.append(server.connect())
        elif action == 1:
            server.request("POST", "/topics", {"name": name})
        elif action == 2:
            server.request("DELETE", f"/topics/{name}")
        elif action == 3:
            clients.remove(client)
            client.reset() if chance.random() < 0.7 else client.close()
        elif action == 4:
            client.send(type="subscribe", topic=name)
        else:
            client.publish(name)
    server.clear()
    wait_for(server, clients=0, subscribers=0, topics=0)
    assert server.request("GET", "/subscriptions")[1] == {
        "total_clients": 0,
        "total_topics": 0,
        "subscriptions": [],
        "topic_breakdown": {},
    }


def test_memory_does_not_grow_with_former_clients(server: Server) -> None:
    """Memory does not grow with former clients; keeping 600 of them would cost 15 MB."""
    server.create_topic("t")

    def come_and_go(count: int) -> None:
        for _ in range(count):
            client = server.connect()
            client.ask(type="subscribe", topic="t")
            client.reset()
        wait_for(server, clients=0)

    come_and_go(900)
    before = server.memory()
    come_and_go(600)
    assert server.memory() - before < 6_000_000
