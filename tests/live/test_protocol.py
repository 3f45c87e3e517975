"""The contract of /ws as a client sees it: the exact texts, and who receives them."""

import re

import pytest

from tests.live.client import UUID, Client
from tests.live.conftest import StartServer
from tests.live.server import DAPHNE, RUNSERVER, UVICORN, Server

TS = r'"ts":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"'


def publish_raw(topic: str, payload: str, request_id: str = "p") -> str:
    """Return a publish command that contains this payload verbatim."""
    return (
        f'{{"type":"publish","topic":"{topic}","message":{{"id":"{UUID}","payload":{payload}}},'
        f'"request_id":"{request_id}"}}'
    )


def assert_text(text: str, pattern: str) -> None:
    """Compare the whole text with a pattern in which TS stands for a timestamp."""
    assert re.fullmatch(re.escape(pattern).replace("TS", TS), text), text


@pytest.mark.parametrize(
    "command", [DAPHNE, UVICORN, RUNSERVER], ids=["daphne", "uvicorn", "runserver"]
)
def test_conversation(start_server: StartServer, command: tuple[str, ...]) -> None:
    """Every message has its fields in the order of the contract, on every server."""
    server = start_server(*command)
    server.create_topic("orders")
    alice, bob = server.connect(), server.connect()
    alice.send(type="subscribe", topic="orders", request_id="s", client_id="ignored")
    assert_text(
        alice.receive_text(), '{"type":"ack","request_id":"s","topic":"orders","status":"ok",TS}'
    )
    bob.send(type="subscribe", topic="orders")
    assert_text(bob.receive_text(), '{"type":"ack","topic":"orders","status":"ok",TS}')
    alice.send(publish_raw("orders", '{"amount":99.50}'))
    assert_text(
        bob.receive_text(),
        f'{{"type":"event","topic":"orders","message":{{"id":"{UUID}","payload":'
        '{"amount":99.50}},TS}',
    )
    assert_text(
        alice.receive_text(), '{"type":"ack","request_id":"p","topic":"orders","status":"ok",TS}'
    )
    alice.send(type="ping", request_id="é")
    assert_text(alice.receive_text(), '{"type":"pong","request_id":"é",TS}')
    alice.send(type="ping")
    assert_text(alice.receive_text(), '{"type":"pong",TS}')
    alice.send(type="unsubscribe", topic="orders", request_id="u")
    assert_text(
        alice.receive_text(), '{"type":"ack","request_id":"u","topic":"orders","status":"ok",TS}'
    )
    alice.send(type="publish", topic="none", message={"id": UUID, "payload": 1}, request_id="x")
    assert_text(
        alice.receive_text(),
        '{"type":"error","request_id":"x","topic":"none","error":{"code":"TOPIC_NOT_FOUND",'
        '"message":"topic does not exist"},TS}',
    )
    server.request("DELETE", "/topics/orders")
    assert_text(bob.receive_text(), '{"type":"info","topic":"orders","msg":"topic_deleted",TS}')
    bob.assert_nothing_came()
    alice.assert_nothing_came()
    bob.close()


@pytest.mark.parametrize(
    "payload",
    [
        "null",
        "99.50",
        "1E400",
        "-0.0",
        "123456789012345678901234567890",
        '"\\u00e9\\/\\ud83d\\ude00"',
        '"lone surrogate: \\ud83d"',
        '"né 😀 \x7f \u2028"',
        '{"b":1,"a":2,"b":3}',
        ' { "spaced" :\t[ 1 ,2 ] } ',
        "[" * 500 + "]" * 500,
        '"' + "x" * 60_000 + '"',
    ],
)
def test_payload_arrives_byte_for_byte(server: Server, payload: str) -> None:
    """A payload published over the WebSocket or REST is delivered byte for byte."""
    server.create_topic("t")
    subscriber = server.subscriber("t")
    server.connect().send(publish_raw("t", payload))
    assert f'"payload":{payload.strip()}}},"ts":' in subscriber.receive_text()
    server.request("POST", "/topics/t/messages", f'{{"payload":{payload}}}'.encode())
    assert f'"payload":{payload.strip()}}},"ts":' in subscriber.receive_text()


def test_ids_are_echoed_as_sent(server: Server) -> None:
    """Message ids and request ids are echoed exactly as sent."""
    server.create_topic("t")
    subscriber, publisher = server.subscriber("t"), server.connect()
    message_id, request_id = "550E8400-e29b-01d4-0716-44665544ABCD", "é" * 128
    publisher.send(
        type="publish",
        topic="t",
        message={"id": message_id, "payload": 1},
        request_id=request_id,
    )
    assert publisher.receive()["request_id"] == request_id
    assert subscriber.receive()["message"]["id"] == message_id


def test_server_sends_nothing_unasked(server: Server) -> None:
    """The server sends nothing before the client's first message."""
    assert server.connect().ask(type="ping")["type"] == "pong"


def test_messages_stay_within_their_topic(server: Server) -> None:
    """Clients of other topics and clients that have unsubscribed receive nothing."""
    server.create_topic("a")
    server.create_topic("b")
    in_a, in_b, gone = server.subscriber("a"), server.subscriber("b"), server.subscriber("a")
    gone.ask(type="unsubscribe", topic="a")
    assert server.connect().publish("a")["type"] == "ack"
    assert in_a.receive()["type"] == "event"
    in_b.assert_nothing_came()
    gone.assert_nothing_came()


def test_publisher_gets_no_copy(server: Server) -> None:
    """A publisher never receives its own message, live or replayed."""
    server.create_topic("t", history=10)
    publisher, other = server.subscriber("t"), server.subscriber("t")
    assert publisher.publish("t")["type"] == "ack"
    assert other.receive()["type"] == "event"
    publisher.ask(type="unsubscribe", topic="t")
    assert publisher.ask(type="subscribe", topic="t", last_n=10)["type"] == "ack"
    publisher.assert_nothing_came()


def test_subscribing_twice_is_one_subscription(server: Server) -> None:
    """Subscribing twice is acknowledged twice, but each message is delivered once."""
    server.create_topic("t", history=10)
    subscriber = server.subscriber("t")
    server.connect().publish("t")
    subscriber.receive()
    assert subscriber.ask(type="subscribe", topic="t", last_n=5, request_id="2")["type"] == "ack"
    subscriber.assert_nothing_came()
    server.connect().publish("t")
    assert subscriber.receive()["type"] == "event"
    subscriber.assert_nothing_came()


def test_order_of_many_publishers(server: Server) -> None:
    """All subscribers see one order, which preserves the order of each publisher."""
    server.create_topic("t")
    subscribers = [server.subscriber("t") for _ in range(3)]
    publishers = [server.connect() for _ in range(4)]
    for number in range(60):
        for index, publisher in enumerate(publishers):
            publisher.send(publish_raw("t", f"[{index},{number}]"))
    orders = [
        [client.receive()["message"]["payload"] for _ in range(240)] for client in subscribers
    ]
    assert orders[0] == orders[1] == orders[2]
    for index in range(4):
        assert [number for who, number in orders[0] if who == index] == list(range(60))


def test_all_subscribers_see_the_same_timestamp(server: Server) -> None:
    """An event carries the same timestamp for every subscriber."""
    server.create_topic("t")
    subscribers = [server.subscriber("t") for _ in range(5)]
    server.connect().publish("t")
    assert len({client.receive_text() for client in subscribers}) == 1


def numbers(client: Client, count: int) -> list[int]:
    """Return the payloads of the next events."""
    return [client.receive()["message"]["payload"] for _ in range(count)]


def test_replay(server: Server) -> None:
    """After the ack come the last events, oldest first, then live ones without a gap."""
    server.create_topic("t", history=1000)
    publisher = server.connect()
    for number in range(1100):
        publisher.publish("t", number)
    all_of_it, few, too_many = server.connect(), server.connect(), server.connect()
    for client, last_n in ((all_of_it, 1000), (few, 3), (too_many, 10**29)):
        assert client.ask(type="subscribe", topic="t", last_n=last_n)["type"] == "ack"
    publisher.publish("t", 1100)
    assert numbers(all_of_it, 1001) == list(range(100, 1101))
    assert numbers(few, 4) == [1097, 1098, 1099, 1100]
    assert numbers(too_many, 1001) == list(range(100, 1101))


def test_replay_amid_live_messages(server: Server) -> None:
    """Subscribing while others publish neither loses nor repeats a message."""
    server.create_topic("t", history=1000)
    publisher = server.connect()
    for start in range(0, 1000, 100):
        for number in range(start, start + 50):
            publisher.send(publish_raw("t", str(number)))
        late = server.connect()
        late.send(type="subscribe", topic="t", last_n=1000)
        for number in range(start + 50, start + 100):
            publisher.send(publish_raw("t", str(number)))
        assert late.receive()["type"] == "ack"
        seen = numbers(late, 1)
        while seen[-1] < start + 99:
            seen += numbers(late, 1)
        assert seen == list(range(seen[0], start + 100))
        for _ in range(100):
            publisher.receive()


def test_no_history_by_default(server: Server) -> None:
    """By default a topic keeps no messages."""
    server.create_topic("t")
    server.connect().publish("t")
    server.subscriber("t", last_n=5).assert_nothing_came()


def test_history_for_every_topic(start_server: StartServer) -> None:
    """CHATROOM_HISTORY_SIZE applies to topics that set no history of their own."""
    server = start_server(CHATROOM_HISTORY_SIZE="2")
    server.create_topic("default")
    server.create_topic("none", history=0)
    publisher = server.connect()
    for name in ("default", "none"):
        for number in range(3):
            publisher.publish(name, number)
    assert numbers(server.subscriber("default", last_n=9), 2) == [1, 2]
    server.subscriber("none", last_n=9).assert_nothing_came()


def test_topics_are_created_on_demand_when_allowed(start_server: StartServer) -> None:
    """With CHATROOM_AUTO_CREATE_TOPICS, missing topics are created up to the limit."""
    server = start_server(CHATROOM_AUTO_CREATE_TOPICS="true", CHATROOM_MAX_TOPICS="2")
    subscriber, publisher = server.connect(), server.connect()
    assert subscriber.ask(type="subscribe", topic="one")["type"] == "ack"
    assert publisher.publish("one", 1)["type"] == "ack"
    assert numbers(subscriber, 1) == [1]
    assert publisher.publish("two")["type"] == "ack"
    refused = publisher.publish("three")
    assert refused["error"]["code"] == "LIMIT_EXCEEDED"
    assert publisher.publish("bad name")["error"]["code"] == "BAD_REQUEST"
    assert [topic["name"] for topic in server.request("GET", "/topics")[1]["topics"]] == [
        "one",
        "two",
    ]


def test_subscriptions_are_limited(start_server: StartServer) -> None:
    """A subscription over the limit is refused until the client unsubscribes from another."""
    server = start_server(CHATROOM_MAX_SUBSCRIPTIONS="2")
    for name in ("a", "b", "c"):
        server.create_topic(name)
    client = server.connect()
    for name in ("a", "b", "a"):
        assert client.ask(type="subscribe", topic=name)["type"] == "ack"
    assert client.ask(type="subscribe", topic="c")["error"]["code"] == "LIMIT_EXCEEDED"
    assert client.ask(type="subscribe", topic="d")["error"]["code"] == "TOPIC_NOT_FOUND"
    client.ask(type="unsubscribe", topic="a")
    assert client.ask(type="subscribe", topic="c")["type"] == "ack"


def test_messages_larger_than_the_setting_are_refused(start_server: StartServer) -> None:
    """CHATROOM_MAX_MESSAGE_BYTES limits a message in bytes, not in characters."""
    server = start_server(CHATROOM_MAX_MESSAGE_BYTES="100")
    client = server.connect()
    fits = '{"type":"ping","request_id":"' + "é" * 30 + '"}'
    assert client.ask(fits)["type"] == "pong"
    refused = client.ask('{"type":"ping","request_id":"' + "é" * 36 + '"}')
    assert refused["error"]["code"] == "MESSAGE_TOO_LARGE"
    assert refused["request_id"] == "é" * 36
