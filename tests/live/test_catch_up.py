"""Slow subscribers of topics that keep history, at the sockets of a real server."""

from tests.live.client import Client
from tests.live.conftest import StartServer
from tests.live.server import Server
from tests.live.test_backpressure import publish_all

LARGE = "x" * 20_000
TOTAL = 800
"""Messages of 16 MB in total: several times what the queue and the socket take."""


def number_of(event: dict[str, object]) -> int:
    """Return the number of a published message; its offset is one more."""
    number: int = event["message"]["payload"]["number"]  # type: ignore[index]
    assert event["offset"] == number + 1
    return number


def test_pause_shorter_than_the_history_loses_nothing(server: Server) -> None:
    """A client that catches up gets everything in order; its replies do not wait for all of it."""
    topic = server.create_topic("t", history=1000, overflow="catch_up")
    stalled, publisher = server.subscriber(topic), server.connect()
    publish_all(publisher, None, topic, TOTAL, LARGE)
    stalled.send(type="ping")
    messages = [stalled.receive() for _ in range(TOTAL + 1)]
    pong = next(index for index, each in enumerate(messages) if each["type"] == "pong")
    assert pong < TOTAL
    del messages[pong]
    assert [number_of(each) for each in messages] == list(range(TOTAL))
    counters = server.request("GET", "/stats")[1]["topics"][topic]
    assert (counters["delivered"], counters["dropped"]) == (TOTAL, 0)
    publisher.publish(topic, "live again")
    assert stalled.receive()["message"]["payload"] == "live again"


def test_end_of_a_subscription_that_catches_up(server: Server) -> None:
    """The messages accepted before the client unsubscribed come before the answer, none after."""
    topic = server.create_topic("t", history=1000, overflow="catch_up")
    stalled, publisher = server.subscriber(topic), server.connect()
    publish_all(publisher, None, topic, TOTAL, LARGE)
    stalled.send(type="ping", request_id="read on")
    while (message := stalled.receive())["type"] != "pong":
        last = number_of(message)
    stalled.send(type="unsubscribe", topic=topic)
    while (message := stalled.receive())["type"] != "ack":
        assert number_of(message) == last + 1
        last += 1
    assert last == TOTAL - 1
    publisher.publish(topic, "not for it")
    stalled.assert_nothing_came()


def history_since(client: Client, topic: str, epoch: str, first: int, last: int) -> list[int]:
    """Return the offsets of the kept messages between these two, both inclusive."""
    offsets = list[int]()
    while first <= last:
        since, limit = {"epoch": epoch, "offset": first - 1}, last - first + 1
        page = client.ask(type="history", topic=topic, since=since, limit=limit)
        assert page["complete"]
        offsets += [each["offset"] for each in page["messages"]]
        first = offsets[-1] + 1
    return offsets


def test_history_heals_a_loss(server: Server) -> None:
    """A notice of a loss has the offsets with which the client gets the lost messages."""
    topic = server.create_topic("t", history=1000)
    slow, publisher = server.connect(), server.connect()
    epoch = slow.ask(type="subscribe", topic=topic)["epoch"]
    publish_all(publisher, None, topic, TOTAL, LARGE)
    offsets = list[int]()
    while (message := slow.receive())["type"] == "event":
        offsets.append(message["offset"])
    assert message["error"]["code"] == "SLOW_CONSUMER"
    assert message["dropped"] == message["last"] - message["first"] + 1
    offsets += history_since(slow, topic, epoch, message["first"], message["last"])
    assert offsets == list(range(1, TOTAL + 1))


def test_client_that_reads_nothing_is_disconnected(start_server: StartServer) -> None:
    """Catching up saves nobody from the write timeout."""
    server = start_server(
        CHATROOM_WRITE_TIMEOUT="1", CHATROOM_OVERFLOW="catch_up", CHATROOM_HISTORY_SIZE="100"
    )
    topic = server.create_topic("t")
    stuck, publisher = server.subscriber(topic), server.connect()
    while server.request("GET", "/health")[1]["clients"] == 2:
        publish_all(publisher, None, topic, 200)
    stuck.reset()
