"""Backpressure in both directions, at the sockets of a real server."""

import json
import threading
from contextlib import suppress

import pytest
from websockets.frames import Frame, Opcode

from tests.live.client import UUID, Client
from tests.live.conftest import StartServer
from tests.live.server import UVICORN, Server
from tests.live.waiting import wait_until

MB = 1_000_000
KIB = "x" * 1024


def publication(topic: str, number: int, text: str = KIB) -> dict[str, object]:
    """Return a command that publishes a numbered message."""
    payload = {"number": number, "text": text}
    return {"type": "publish", "topic": topic, "message": {"id": UUID, "payload": payload}}


def publish_all(
    publisher: Client, reader: Client | None, topic: str, total: int, text: str = KIB
) -> None:
    """Publish numbered messages in step with a reader that receives every one of them."""
    batch = 100
    for first in range(0, total, batch):
        numbers = range(first, first + batch)
        publisher.send_all([publication(topic, number, text) for number in numbers])
        for number in numbers:
            assert publisher.receive()["type"] == "ack"
            if reader is not None:
                assert reader.receive()["message"]["payload"]["number"] == number


def read_all(client: Client) -> tuple[list[int], int]:
    """Read everything pending, and check that every gap is reported exactly and in its place.

    Returns:
        The numbers of the messages received, and the total number of missing messages.
    """
    client.send(type="ping")
    numbers: list[int] = []
    reported = lost = 0
    while (message := client.receive())["type"] != "pong":
        if message["type"] == "error":
            assert message["error"]["code"] == "SLOW_CONSUMER"
            assert message["error"]["message"].startswith(f"{message['dropped']} message")
            reported += message["dropped"]
        else:
            number = message["message"]["payload"]["number"]
            assert number == (numbers[-1] if numbers else -1) + 1 + reported
            numbers.append(number)
            lost, reported = lost + reported, 0
    return numbers, lost + reported


def test_stalled_subscriber_costs_little_and_learns_its_losses(server: Server) -> None:
    """A stalled subscriber costs little memory and learns exactly how many messages it lost."""
    publisher = server.connect()
    warm_up = server.create_topic("warm-up")
    publish_all(publisher, server.subscriber(warm_up), warm_up, 2000)
    topic = server.create_topic("stalled")
    stalled, reader = server.subscriber(topic), server.subscriber(topic)
    before = server.memory()

    publish_all(publisher, reader, topic, total := 20_000)

    growth = server.memory() - before
    numbers, lost = read_all(stalled)
    assert len(numbers) + lost == total
    assert lost > total / 2
    assert growth < 5 * MB
    counters = server.request("GET", "/stats")[1]["topics"][topic]
    assert (counters["dropped"], counters["delivered"]) == (lost, 2 * total - lost)


def test_large_messages_for_a_stalled_subscriber_are_bounded_in_bytes(server: Server) -> None:
    """An outbox is full long before it holds 256 frames of 60 KiB (15 MB)."""
    topic = server.create_topic("large")
    stalled, publisher = server.subscriber(topic), server.connect()
    publish_all(publisher, None, topic, 100, "x" * 60_000)
    before = server.memory()

    publish_all(publisher, None, topic, 400, "x" * 60_000)

    assert server.memory() - before < 5 * MB
    stalled.reset()


def test_flood_by_a_client_that_never_reads_costs_little(server: Server) -> None:
    """The server stops reading from a flooding client and keeps serving others."""
    topic = server.create_topic("flood")
    flooder, other = server.connect(), server.connect()
    other.ask(type="ping")
    before = server.memory()
    text = json.dumps(publication(topic, 0, "x" * 100)).encode()
    piece = Frame(Opcode.TEXT, text).serialize(mask=True) * 1000
    unsent, turns = piece, 0
    while turns < 100:  # in which the server has served another client, and read nothing of this
        sent = flooder.send_some(unsent)
        unsent = unsent[sent:] or piece
        turns = 0 if sent else turns + 1
        assert other.ask(type="ping")["type"] == "pong"
    assert server.memory() - before < 5 * MB
    flooder.reset()


def test_flood_by_a_client_that_reads_does_not_grow_the_server(server: Server) -> None:
    """A client that publishes fast and reads its replies costs no lasting memory."""
    topic = server.create_topic("busy")
    publisher = server.connect()
    publish_all(publisher, None, topic, 1000)
    before = server.memory()
    publish_all(publisher, None, topic, 10_000)
    assert server.memory() - before < 5 * MB


def test_burst_in_one_tick_drops_nothing(start_server: StartServer) -> None:
    """A burst of eight publishers drops nothing while the subscriber's socket has room."""
    for command, overflow in (((), "drop_newest"), ((), "disconnect"), (UVICORN, "drop_oldest")):
        server = start_server(*command, CHATROOM_OVERFLOW=overflow, CHATROOM_QUEUE_SIZE="16")
        topic = server.create_topic("t")
        subscriber = server.subscriber(topic)
        publishers = [server.connect() for _ in range(8)]
        for publisher in publishers:
            publisher.send_all([publication(topic, number, "x" * 50) for number in range(200)])
        for _ in range(8 * 200):
            assert subscriber.receive()["type"] == "event"


def test_pings_of_a_client_that_never_reads_cost_little(server: Server) -> None:
    """A flood of pings from a client that never reads costs little memory."""
    client, other = server.connect(), server.connect()
    client.send_frame(Opcode.PING, b"answered")
    other.ask(type="ping")
    before = server.memory()
    piece = Frame(Opcode.PING, b"x" * 125).serialize(mask=True) * 1000
    for _ in range(60):  # 8 MB
        client.send_bytes(piece)
    other.ask(type="ping")
    assert server.memory() - before < 5 * MB
    client.reset()


def test_replays_to_a_client_that_never_reads_cost_little(server: Server) -> None:
    """Repeated replays to a stalled client cost little, since they are read from the history."""
    topic = server.create_topic("t", history=1000)
    client, publisher = server.connect(), server.connect()
    publish_all(publisher, None, topic, 3000)
    before = server.memory()
    for _ in range(20):
        client.send(type="subscribe", topic=topic, last_n=1000)
        client.send(type="unsubscribe", topic=topic)
        publish_all(publisher, None, topic, 1000)
    assert server.memory() - before < 5 * MB
    client.reset()


def test_replay_larger_than_queue_and_socket_arrives_whole(server: Server) -> None:
    """A replay of 40 MB is delivered in full to a client that reads it."""
    topic = server.create_topic("t", history=1000)
    publish_all(server.connect(), None, topic, 1000, "x" * 40_000)
    client = server.subscriber(topic, last_n=1000)
    numbers = [client.receive()["message"]["payload"]["number"] for _ in range(1000)]
    assert numbers == list(range(1000))


@pytest.mark.parametrize("fragment", [b"", b"x"])
def test_message_without_an_end_costs_little(server: Server, fragment: bytes) -> None:
    """A message of endless fragments costs little memory."""
    client, other = server.connect(), server.connect()
    client.send_bytes(Frame(Opcode.TEXT, b"{", fin=False).serialize(mask=True))
    piece = Frame(Opcode.CONT, fragment, fin=False).serialize(mask=True) * 1000
    before = server.memory()
    for _ in range(100):
        client.send_bytes(piece)
    other.ask(type="ping")
    client.send_bytes(Frame(Opcode.CONT, b"").serialize(mask=True))
    assert client.receive()["error"]["code"] in ("BAD_REQUEST", "MESSAGE_TOO_LARGE")
    assert server.memory() - before < 5 * MB


def test_unfinished_messages_cost_no_more_than_a_message(start_server: StartServer) -> None:
    """What exceeds the limit for a message is read and discarded, even before the message ends.

    The server is not to leave the rest to the garbage collector either, round after round.
    """
    server = start_server()
    unfinished = Frame(Opcode.TEXT, b"x" * 1_000_000).serialize(mask=True)[:-1]
    before = server.memory()
    for _ in range(4):
        clients = [server.connect() for _ in range(100)]
        for client in clients:
            client.send_bytes(unfinished)
        server.connect().ask(type="ping")
        # Of each message 64 KiB are kept, and one chunk of 16 KiB while it is parsed; the rest
        # is what a connection takes.
        assert server.memory() - before < 100 * 0.16 * MB
        server.reset_clients()


def test_frame_in_very_small_pieces_costs_little(server: Server) -> None:
    """A frame that arrives in very small pieces costs little memory."""
    client, other = server.connect(), server.connect()
    frame = Frame(Opcode.BINARY, b"x" * 200_000).serialize(mask=True)
    client.send_bytes(frame[:14])
    other.ask(type="ping")
    before = server.memory()
    for position in range(14, 30_014, 2):
        client.send_bytes(frame[position : position + 2])
        other.ask(type="ping")
    assert server.memory() - before < 0.3 * MB
    client.send_bytes(frame[30_014:])
    assert client.receive()["error"]["code"] == "BAD_REQUEST"


def test_control_frame_that_is_too_long_costs_little(server: Server) -> None:
    """An oversized control frame is refused by its header, and its payload is not kept."""
    client, other = server.connect(), server.connect()
    other.ask(type="ping")
    before = server.memory()
    client.send_bytes(b"\x89\xff" + (1 << 40).to_bytes(8, "big") + bytes(4))
    with suppress(ConnectionError):
        for _ in range(200):
            client.send_bytes(bytes(256 * 1024))
    assert server.memory() - before < 5 * MB
    other.ask(type="ping")
    client.reset()


def test_every_ping_of_a_flood_is_answered(server: Server) -> None:
    """A client that reads gets a pong for each of its pings, in order."""
    client = server.connect()
    count = 2000
    client.send_bytes(
        b"".join(Frame(Opcode.PING, b"%d" % n).serialize(mask=True) for n in range(count))
    )
    assert [int(client.receive_pong()) for _ in range(count)] == list(range(count))


def test_replies_are_never_dropped(server: Server) -> None:
    """A client that sends 20,000 commands before it reads gets 20,000 replies in order."""
    client, count = server.connect(), 20_000
    padding = "x" * 100
    questions = [{"type": "ping", "request_id": f"{number} {padding}"} for number in range(count)]
    thread = threading.Thread(target=client.send_all, args=(questions,))
    thread.start()
    for number in range(count):
        assert client.receive()["request_id"].split()[0] == str(number)
    thread.join()


@pytest.mark.parametrize("command", [(), UVICORN], ids=["daphne", "uvicorn"])
def test_client_that_stays_stuck_is_disconnected(
    start_server: StartServer, command: tuple[str, ...]
) -> None:
    """After the write timeout a stuck client leaves its topics, and later reads 3008."""
    server = start_server(*command, CHATROOM_WRITE_TIMEOUT="1")
    topic = server.create_topic("stuck")
    stuck, publisher = server.subscriber(topic), server.connect()
    while server.request("GET", "/health")[1]["clients"] == 2:
        publish_all(publisher, None, topic, 200)
    assert server.request("GET", "/topics")[1]["topics"] == [{"name": topic, "subscribers": 0}]
    if not command:
        # A stuck client has some seconds to read the close frame.
        closed_at = server.request("GET", "/health")[1]["uptime_sec"]
        wait_until(lambda: server.request("GET", "/health")[1]["uptime_sec"] >= closed_at + 2)
        assert stuck.receive_close() == (3008, "slow")


def test_slow_client_that_reads_on_is_not_disconnected(start_server: StartServer) -> None:
    """A client that makes progress is not disconnected, however large its backlog."""
    server = start_server(CHATROOM_WRITE_TIMEOUT="1")
    topic = server.create_topic("slow")
    slow, publisher = server.subscriber(topic), server.connect()
    dropped = 0
    while dropped == 0 or server.request("GET", "/health")[1]["uptime_sec"] < 4:
        publish_all(publisher, None, topic, 200)
        for _ in range(100):
            assert slow.receive()["type"] in ("event", "error")
        dropped = server.request("GET", "/stats")[1]["topics"][topic]["dropped"]
    assert server.request("GET", "/health")[1]["clients"] == 2


def test_overflow_can_drop_the_oldest(start_server: StartServer) -> None:
    """With `drop_oldest` the newest messages survive, and the gap is reported before them."""
    server = start_server(CHATROOM_OVERFLOW="drop_oldest")
    topic = server.create_topic("t")
    stalled, publisher = server.subscriber(topic), server.connect()
    publish_all(publisher, None, topic, total := 20_000)
    numbers, lost = read_all(stalled)
    assert len(numbers) + lost == total
    assert numbers[-200:] == list(range(total - 200, total))


def test_overflow_can_disconnect(start_server: StartServer) -> None:
    """With `disconnect` the first event for a full outbox ends the connection."""
    server = start_server(CHATROOM_OVERFLOW="disconnect", CHATROOM_QUEUE_SIZE="16")
    topic = server.create_topic("t")
    stalled, publisher = server.subscriber(topic), server.connect()
    while server.request("GET", "/health")[1]["clients"] == 2:
        publish_all(publisher, None, topic, 200)
    assert stalled.receive_close() == (3008, "slow")
