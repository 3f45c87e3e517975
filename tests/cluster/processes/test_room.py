"""One room from three processes: what clients of any of them can rely on."""

import threading
import uuid
from typing import Any

import pytest

from tests.cluster.processes.room import Room, payloads, publish
from tests.live.server import Server
from tests.live.waiting import wait_until

PAYLOAD = '{"amount":99.50,"n":123456789012345678901234567890,"a":1,"a":2,"é":"\\u00e9"}'


def test_a_message_reaches_subscribers_of_all_processes(room: Room) -> None:
    """Each subscriber gets it once, with the payload byte for byte, and the publisher never."""
    a, b, c = room.servers
    a.create_topic("orders")
    publisher, *subscribers = [
        server.subscriber("orders", request_id="s") for server in (a, a, b, c)
    ]
    message_id = str(uuid.uuid4())
    publisher.send(
        f'{{"type":"publish","topic":"orders","message":{{"id":"{message_id}","payload":{PAYLOAD}}}}}'
    )
    assert publisher.receive()["type"] == "ack"
    texts = {subscriber.receive_text() for subscriber in subscribers}
    (text,) = texts
    assert f'"message":{{"id":"{message_id}","payload":{PAYLOAD}}}' in text
    for client in (publisher, *subscribers):
        client.assert_nothing_came()


@pytest.mark.parametrize("history", [0, 100])
def test_one_creation_succeeds(room: Room, history: int) -> None:
    """Of many simultaneous creations in all processes exactly one gets 201, all others 409."""
    statuses: list[int] = []
    body = {"name": "race", "history": history}

    def create(server: Server) -> None:
        statuses.append(server.request("POST", "/topics", body)[0])

    threads = [
        threading.Thread(target=create, args=(server,)) for server in room.servers for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [201] + [409] * 23


def test_deleted_topic(room: Room) -> None:
    """Subscribers of all processes hear that a topic was deleted, and one deletion gets 200."""
    a, b, c = room.servers
    a.create_topic("orders")
    subscribers = [server.subscriber("orders") for server in (a, b, c)]
    assert b.request("DELETE", "/topics/orders")[0] == 200
    for subscriber in subscribers:
        notice = subscriber.receive()
        assert (notice["type"], notice["topic"], notice["msg"]) == (
            *("info", "orders"),
            "topic_deleted",
        )
    wait_until(lambda: c.request("DELETE", "/topics/orders")[0] == 404)


def test_order_of_one_publisher(room: Room) -> None:
    """Without history, subscribers everywhere get each publisher's messages in its order."""
    a, b, c = room.servers
    a.create_topic("orders")
    subscribers = [server.subscriber("orders") for server in (a, b, c)]
    for start in range(0, 3000, 500):
        publish(a, "orders", *(["a", n] for n in range(start, start + 500)))
        publish(b, "orders", *(["b", n] for n in range(start, start + 500)))
    for subscriber in subscribers:
        received = payloads(subscriber, 6000)
        for source in "ab":
            assert [n for name, n in received if name == source] == list(range(3000))


def test_one_order_with_history(room: Room) -> None:
    """With history, all subscribers everywhere get the same messages with the same offsets."""
    a, b, c = room.servers
    a.create_topic("orders", history=1000)
    subscribers = [server.subscriber("orders") for server in (a, b, c)]
    threads = [
        threading.Thread(target=publish, args=(server, "orders", *range(200)))
        for server in (a, b, c)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    received = [[subscriber.receive() for _ in range(600)] for subscriber in subscribers]
    assert received[0] == received[1] == received[2]
    offsets = [event["offset"] for event in received[0]]
    assert offsets == sorted(set(offsets))


def test_one_client_has_many_publications_on_their_way(room: Room) -> None:
    """Its messages to a topic with history keep their order, and its replies that of commands."""
    a, b, _ = room.servers
    a.create_topic("orders", history=1000)
    a.create_topic("plain")
    subscriber = b.subscriber("orders")
    publisher = a.connect()
    message_id = str(uuid.uuid4())
    for number in range(300):
        topic = "plain" if number % 100 == 50 else "orders"
        message = {"id": message_id, "payload": number}
        publisher.send(type="publish", topic=topic, message=message, request_id=str(number))
    publisher.send(type="ping", request_id="last")
    replies = [publisher.receive() for _ in range(301)]
    assert [reply["request_id"] for reply in replies] == [*map(str, range(300)), "last"]
    events = [subscriber.receive() for _ in range(297)]
    expected = [number for number in range(300) if number % 100 != 50]
    assert [event["message"]["payload"] for event in events] == expected
    offsets = [reply["offset"] for reply in replies if reply.get("topic") == "orders"]
    assert [event["offset"] for event in events] == offsets


def test_recovery_on_another_process(room: Room) -> None:
    """A client that comes back to another process gets what it has missed, and goes on live."""
    a, b, c = room.servers
    a.create_topic("orders", history=100)
    client = a.connect()
    ack = client.ask(type="subscribe", topic="orders")
    publish(b, "orders", 1, 2)
    position = {"epoch": ack["epoch"], "offset": [client.receive() for _ in range(2)][-1]["offset"]}
    client.close()
    publish(b, "orders", 3, 4, 5)
    client = c.connect()
    ack = client.ask(type="subscribe", topic="orders", recover=position)
    assert (ack["recovered"], ack["replayed"]) == (True, 3)
    publish(a, "orders", 6)
    assert payloads(client, 4) == [3, 4, 5, 6]


def test_recovery_of_what_was_published_just_now(room: Room) -> None:
    """A position that another process has reached first is not from the future."""
    a, b, _ = room.servers
    a.create_topic("orders", history=100)
    watcher = b.connect()
    epoch = watcher.ask(type="subscribe", topic="orders")["epoch"]
    for n in range(50):
        (result,) = publish(a, "orders", n)
        position = {"epoch": epoch, "offset": result["offset"]}
        client = b.connect()
        ack = client.ask(type="subscribe", topic="orders", recover=position)
        assert (ack["recovered"], ack["replayed"]) == (True, 0)
        client.close()


def test_once_across_processes(room: Room) -> None:
    """A message with history that is published once in one process is not published in others."""
    a, b, c = room.servers
    a.create_topic("orders", history=10)
    subscriber = c.subscriber("orders")
    message_id = str(uuid.uuid4())
    results = [
        publish(server, "orders", n, id=spelling, once=True)[0]
        for n, (server, spelling) in enumerate(
            [(a, message_id), (b, message_id.upper()), (c, message_id)]
        )
    ]
    assert [result.get("duplicate") for result in results] == [None, True, True]
    assert len({result["offset"] for result in results}) == 1
    publish(a, "orders", "last")
    assert payloads(subscriber, 2) == [0, "last"]


def test_history_from_any_process(room: Room) -> None:
    """Past messages can be read from every process, at once after their publication."""
    a, b, c = room.servers
    a.create_topic("orders", history=10)
    publish(b, "orders", *range(25))
    pages = [server.request("GET", "/topics/orders/messages")[1] for server in (a, b, c)]
    assert [[each["message"]["payload"] for each in page["messages"]] for page in pages] == [
        list(range(15, 25))
    ] * 3
    answer = c.connect().ask(type="history", topic="orders", limit=3)
    assert [each["message"]["payload"] for each in answer["messages"]] == [22, 23, 24]


def test_publisher_over_rest_gets_no_copy(room: Room) -> None:
    """A client that publishes over REST to another process and names itself gets no copy."""
    a, b, _ = room.servers
    a.create_topic("orders", history=10)
    a.create_topic("news")
    client, other = a.connect(), a.connect()
    for each in (client, other):
        each.ask(type="subscribe", topic="news")
    own = client.ask(type="subscribe", topic="orders")["client_id"]
    other.ask(type="subscribe", topic="orders")
    for topic in ("orders", "news"):
        status, _ = b.request(
            "POST", f"/topics/{topic}/messages", {"payload": 1}, headers={"X-Client-Id": own}
        )
        assert status == 200
        assert payloads(other, 1) == [1]
    client.assert_nothing_came()


def figures(server: Server, path: str) -> Any:
    """Return the figures of the whole room."""
    status, answer = server.request("GET", path)
    assert status == 200
    return answer


def test_figures_of_the_room(room: Room) -> None:
    """Every process shows the figures of all of them."""
    a, b, c = room.servers
    a.create_topic("orders")
    clients = [server.subscriber("orders") for server in (a, a, b, c)]
    for client in clients:
        client.publish("orders", 1)
    for server in room.servers:
        assert figures(server, "/topics")["topics"] == [{"name": "orders", "subscribers": 4}]
        health = figures(server, "/health")
        assert (health["topics"], health["clients"], health["subscribers"]) == (1, 4, 4)
        assert (len(health["processes"]), "complete" in health) == (3, False)
        assert sum(process["clients"] for process in health["processes"]) == 4
        assert figures(server, "/stats")["topics"]["orders"]["messages"] == 4
        assert figures(server, "/topics/orders")["subscribers"] == 4
        subscriptions = figures(server, "/subscriptions")
        assert subscriptions["total_clients"] == 4
        assert len(subscriptions["topic_breakdown"]["orders"]) == 4
        assert len(figures(server, "/clients")["clients"]) == 4
    own = [figures(server, "/stats?scope=process") for server in room.servers]
    assert [each["topics"]["orders"]["subscribers"] for each in own] == [2, 1, 1]
    assert [each["topics"]["orders"]["messages"] for each in own] == [2, 1, 1]
    wait_until(lambda: publish(b, "orders", 2)[0]["subscribers"] == 4)


def test_kicking_a_client_of_another_process(room: Room) -> None:
    """Any process disconnects a client of any other, and says 404 only if none has it."""
    a, b, c = room.servers
    client = a.connect()
    (row,) = figures(c, "/clients")["clients"]
    path = f"/clients/{row['client_id']}"
    status, answer = b.request("DELETE", path)
    assert (status, answer["status"], answer["clients"]) == (200, "disconnected", 1)
    assert client.receive_close()[0] == 3503
    wait_until(lambda: c.request("DELETE", path)[0] == 404)


def test_presence_of_the_room(room: Room) -> None:
    """A watcher hears of members of other processes, and every process can list all."""
    a, b, c = room.servers
    a.create_topic("orders", presence=True)
    watcher = a.connect()
    watcher.ask(type="subscribe", topic="orders", presence=True)
    assert watcher.receive()["clients"] == 1
    member = b.subscriber("orders")
    joined = watcher.receive()
    assert (joined["clients"], len(joined["joined"]), joined["left"]) == (2, 1, [])
    for server in (a, b, c):
        assert figures(server, "/topics/orders/presence")["clients"] == 2
    member.close()
    left = watcher.receive()
    assert (left["clients"], left["joined"], len(left["left"])) == (1, [], 1)


def test_ping_tells_the_process(room: Room) -> None:
    """A client can ask which process serves it."""
    ids = [server.connect().ask(type="ping", process=True)["process"] for server in room.servers]
    known = {process["id"] for process in figures(room.servers[0], "/health")["processes"]}
    assert (set(ids), len(set(ids))) == (known, 3)


def test_stream_of_another_process(room: Room) -> None:
    """A stream gets what other processes publish, too."""
    a, b, _ = room.servers
    a.create_topic("orders", history=10)
    stream = b.stream("orders")
    assert stream.receive().type == "ack"
    publish(a, "orders", 1)
    assert stream.receive().data["message"]["payload"] == 1
