"""The pages of `/topics`, `/stats` and `/subscriptions`, and other clients beside large ones."""

import socket
from typing import Any
from urllib.parse import quote

import pytest

from tests.live.conftest import StartServer
from tests.live.server import Server

LISTINGS = ("/topics", "/stats", "/subscriptions")
LIMIT = "limit must be an integer from 1 to 1000"


def get(server: Server, path: str, **query: Any) -> dict[str, Any]:
    """Return a page."""
    parameters = "&".join(f"{name}={quote(str(value))}" for name, value in query.items())
    status, answer = server.request("GET", f"{path}?{parameters}")
    assert status == 200, answer
    assert ("truncated" in answer) == ("next" in answer) == ("total" in answer)
    page: dict[str, Any] = answer
    return page


def pages(server: Server, path: str, **query: Any) -> list[dict[str, Any]]:
    """Return all pages, from the first to the last."""
    found = [get(server, path, **query)]
    while "next" in found[-1]:
        assert found[-1]["truncated"] is True
        found.append(get(server, path, **query, cursor=found[-1]["next"]))
    return found


def names(page: dict[str, Any]) -> list[str]:
    """Return the names of the topics on a page of `/topics` or `/stats`."""
    topics = page["topics"]
    return list(topics) if isinstance(topics, dict) else [topic["name"] for topic in topics]


@pytest.mark.parametrize("path", ["/topics", "/stats"])
def test_pages_of_topics(server: Server, path: str) -> None:
    """The pages have every topic once, by name; each but the last says what is cut off."""
    for name in ("d", "b", "a", "e", "c"):
        server.create_topic(name)
    found = pages(server, path, limit=2)
    assert [names(page) for page in found] == [["a", "b"], ["c", "d"], ["e"]]
    assert [page.get("total") for page in found] == [5, 5, None]
    assert [names(page) for page in pages(server, path, limit=5)] == [["a", "b", "c", "d", "e"]]


@pytest.mark.parametrize("path", ["/topics", "/stats"])
def test_prefix(server: Server, path: str) -> None:
    """A prefix selects the topics whose names begin with it, and the total counts those."""
    for name in ("room.1", "room.2", "room.é", "room", "other", "100%"):
        server.create_topic(name)
    found = pages(server, path, prefix="room.", limit=2)
    assert [names(page) for page in found] == [["room.1", "room.2"], ["room.é"]]
    assert found[0]["total"] == 3
    assert names(get(server, path, prefix="room.é")) == ["room.é"]
    assert names(get(server, path, prefix="100%")) == ["100%"]
    assert names(get(server, path, prefix="x")) == []


def test_totals_are_those_of_the_room(server: Server) -> None:
    """The totals do not depend on the page."""
    server.create_topic("a")
    server.create_topic("b")
    server.subscriber("b")
    server.connect().publish("b")
    first, second = pages(server, "/stats", limit=1)
    assert list(first["topics"]) == ["a"]
    assert second["topics"]["b"]["messages"] == 1
    assert first["totals"] == second["totals"]
    assert (first["totals"]["topics"], first["totals"]["subscribers"]) == (2, 1)


def test_a_cursor_survives_changes(server: Server) -> None:
    """Topics may come and go between two pages, including the last one of the first page."""
    for name in ("a", "b", "d", "e"):
        server.create_topic(name)
    first = get(server, "/topics", limit=2)
    server.request("DELETE", "/topics/b")
    server.create_topic("aa")
    server.create_topic("c")
    assert names(get(server, "/topics", cursor=first["next"])) == ["c", "d", "e"]


def test_more_topics_than_a_page_has(server: Server) -> None:
    """A page has 1,000 topics, which is also the default."""
    for number in range(1001):
        server.create_topic(f"{number:04}")
    first, second = pages(server, "/topics")
    assert (len(first["topics"]), names(second), first["total"]) == (1000, ["1000"], 1001)
    first, second = pages(server, "/subscriptions")
    assert (len(first["topic_breakdown"]), second["topic_breakdown"]) == (1000, {"1000": []})
    assert (first["subscriptions"], first["total_topics"], first["total"]) == ([], 1001, 0)


def test_pages_of_subscriptions(server: Server) -> None:
    """The pages have every client once, in the order of connection, and every topic."""
    for name in ("a", "b", "unused"):
        server.create_topic(name)
    for topics in (["a"], [], ["b", "a"]):
        client = server.connect()
        for topic in topics:
            client.ask(type="subscribe", topic=topic)
    (whole,) = pages(server, "/subscriptions")
    ids = [client["client_id"] for client in whole["subscriptions"]]
    assert [client["topics"] for client in whole["subscriptions"]] == [["a"], [], ["b", "a"]]
    breakdown = {"a": [ids[0], ids[2]], "b": [ids[2]], "unused": []}
    assert list(whole["topic_breakdown"].items()) == list(breakdown.items())
    first, second = pages(server, "/subscriptions", limit=2)
    assert first["subscriptions"] + second["subscriptions"] == whole["subscriptions"]
    assert (first["total_clients"], first["total_topics"], first["total"]) == (3, 3, 3)
    assert first["topic_breakdown"] == {"a": [ids[0]]}
    assert second["topic_breakdown"] == {"a": [ids[2]], "b": [ids[2]], "unused": []}


def test_prefix_of_client_ids(server: Server) -> None:
    """For subscriptions, the prefix selects clients, and only their topics are listed."""
    server.create_topic("a")
    server.create_topic("unused")
    for _ in range(3):
        server.subscriber("a")
    whole = get(server, "/subscriptions")
    one = whole["subscriptions"][1]
    (page,) = pages(server, "/subscriptions", prefix=one["client_id"])
    assert page["subscriptions"] == [one]
    assert page["topic_breakdown"] == {"a": [one["client_id"]]}
    letter = one["client_id"][0]
    chosen = [each for each in whole["subscriptions"] if each["client_id"].startswith(letter)]
    found = pages(server, "/subscriptions", prefix=letter, limit=1)
    assert [page["subscriptions"] for page in found] == [[each] for each in chosen]
    assert [page.get("total") for page in found] == [len(chosen)] * (len(chosen) - 1) + [None]


@pytest.mark.parametrize("path", LISTINGS)
@pytest.mark.parametrize(
    "limit", ["0", "-1", "1001", "1e2", "1.0", "+5", " 5", "", "٣", "9" * 5000]
)
def test_invalid_limits(server: Server, path: str, limit: str) -> None:
    """A limit other than an integer from 1 to 1,000 is refused."""
    status, answer = server.request("GET", f"{path}?limit={quote(limit)}")
    assert (status, answer) == (400, {"error": {"code": "BAD_REQUEST", "message": LIMIT}})


@pytest.mark.parametrize("path", LISTINGS)
def test_invalid_cursors(server: Server, path: str) -> None:
    """A cursor that no page has given is refused."""
    server.create_topic("a")
    server.create_topic("b")
    good = get(server, "/topics", limit=1)["next"]
    other = f"{good[:-1]}{'A' if good[-1] != 'A' else 'B'}"
    for cursor in (
        "",
        "a",
        "garbage",
        "AAAAAA",
        good[:-1],
        f"{good}=",
        f"{good}!",
        other,
        "é",
        "\0",
    ):
        status, answer = server.request("GET", f"{path}?cursor={quote(cursor)}")
        assert (status, answer["error"]["code"]) == (400, "BAD_REQUEST")
        assert answer["error"]["message"] == "cursor must be the next of an earlier page"


def test_cursor_of_another_listing(server: Server) -> None:
    """A cursor of a page of clients is refused where there are topics."""
    server.create_topic("a")
    for _ in range(2):
        server.subscriber("a")
    cursor = get(server, "/subscriptions", limit=1)["next"]
    for path in ("/topics", "/stats"):
        status, answer = server.request("GET", f"{path}?cursor={cursor}")
        assert (status, answer["error"]["message"]) == (400, "cursor belongs to another listing")


CLIENTS = 40
EACH = 125


@pytest.fixture
def room(server: Server) -> Server:
    """A room whose subscriptions take several slices and a response of several chunks."""
    return filled(server)


def filled(server: Server) -> Server:
    """Fill a room."""
    for number in range(EACH):
        server.create_topic(f"{number:03}" * 20)
    for _ in range(CLIENTS):
        client = server.connect()
        topics = [f"{number:03}" * 20 for number in range(EACH)]
        client.send_all([{"type": "subscribe", "topic": topic} for topic in topics])
        for _ in topics:
            client.receive()
    return server


def test_a_large_page(room: Server) -> None:
    """A page that is collected and sent in pieces is whole, and its length is known."""
    status, headers, page = room.raw_request("GET", "/subscriptions")
    assert status == 200
    assert int(headers["Content-Length"]) > 400_000
    assert "Transfer-Encoding" not in headers
    assert [len(client["topics"]) for client in page["subscriptions"]] == [EACH] * CLIENTS
    ids = [client["client_id"] for client in page["subscriptions"]]
    assert page["topic_breakdown"] == {f"{number:03}" * 20: ids for number in range(EACH)}
    assert list(page["topic_breakdown"]) == sorted(page["topic_breakdown"])


def test_head_of_a_large_page(room: Server) -> None:
    """HEAD has the headers of GET and no body."""
    with socket.create_connection(("127.0.0.1", room.port)) as sock:
        sock.sendall(
            b"HEAD /subscriptions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        response = b"".join(iter(lambda: sock.recv(4096), b""))
    head, end, body = response.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"content-length" in head.lower()
    assert (end, body) == (b"\r\n\r\n", b"")


def test_reader_that_leaves(room: Server) -> None:
    """A reader that disconnects in the middle leaves no trace in the log."""
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", room.port)) as sock:
            sock.sendall(b"GET /subscriptions HTTP/1.1\r\nHost: localhost\r\n\r\n")
            sock.recv(1)
    assert len(get(room, "/subscriptions")["subscriptions"]) == CLIENTS


def test_readers_that_leave_while_the_server_stops(start_server: StartServer) -> None:
    """Readers that disconnect before their pages are collected, at the stop, leave no trace."""
    server = filled(start_server())
    askers = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
    for asker in askers:
        asker.sendall(b"GET /subscriptions HTTP/1.1\r\nHost: localhost\r\n\r\n")
    askers[0].recv(1)  # so that the others are at work
    for asker in askers:
        asker.close()
    assert server.stop() == 0
