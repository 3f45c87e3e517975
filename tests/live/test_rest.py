"""The REST endpoints: statuses, bodies, and JSON errors for every invalid request."""

import re
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.live.client import UUID
from tests.live.conftest import StartServer
from tests.live.server import Server
from tests.live.waiting import PATIENCE


def error_code(answer: Any) -> str:
    """Return the code of an error body after checking its shape."""
    assert set(answer["error"]) == {"code", "message"}
    assert answer["error"]["message"]
    return str(answer["error"]["code"])


def test_life_of_a_topic(server: Server) -> None:
    """A topic can be created once, listed, and deleted once."""
    assert server.request("POST", "/topics", {"name": "orders"}) == (
        201,
        {"status": "created", "topic": "orders"},
    )
    status, answer = server.request("POST", "/topics", {"name": "orders"})
    assert (status, answer["status"], answer["topic"]) == (409, "exists", "orders")
    assert error_code(answer) == "TOPIC_EXISTS"
    server.create_topic("alerts")
    server.subscriber("orders")
    assert server.request("GET", "/topics") == (
        200,
        {
            "topics": [
                {"name": "alerts", "subscribers": 0},
                {"name": "orders", "subscribers": 1},
            ]
        },
    )
    assert server.request("DELETE", "/topics/orders") == (
        200,
        {"status": "deleted", "topic": "orders"},
    )
    status, answer = server.request("DELETE", "/topics/orders")
    assert (status, error_code(answer)) == (404, "TOPIC_NOT_FOUND")


def test_creation_is_atomic(server: Server) -> None:
    """Of many simultaneous creations of one topic, exactly one gets 201."""
    with ThreadPoolExecutor(16) as pool:
        statuses = list(
            pool.map(lambda _: server.request("POST", "/topics", {"name": "t"})[0], range(64))
        )
    assert sorted(statuses) == [201] + [409] * 63


def test_deletion_notifies_the_subscribers_who_stay_connected(server: Server) -> None:
    """Deleting a topic notifies its subscribers, who stay connected and may subscribe again."""
    server.create_topic("t")
    subscribers = [server.subscriber("t") for _ in range(3)]
    bystander = server.connect()
    server.request("DELETE", "/topics/t")
    for client in subscribers:
        assert client.receive()["msg"] == "topic_deleted"
        assert client.ask(type="unsubscribe", topic="t")["error"]["code"] == "NOT_SUBSCRIBED"
    bystander.assert_nothing_came()
    server.create_topic("t")
    assert subscribers[0].ask(type="subscribe", topic="t")["type"] == "ack"


def test_publish(server: Server) -> None:
    """The answer has the number of subscribers and the message id, which may be generated."""
    server.create_topic("t")
    subscribers = [server.subscriber("t") for _ in range(3)]
    status, answer = server.request(
        "POST", "/topics/t/messages", {"id": UUID, "payload": {"text": "hi"}}
    )
    assert (status, answer) == (
        200,
        {"status": "published", "topic": "t", "id": UUID, "subscribers": 3},
    )
    assert subscribers[0].receive()["message"] == {"id": UUID, "payload": {"text": "hi"}}
    _, answer = server.request("POST", "/topics/t/messages", {"payload": None})
    assert [client.receive()["message"] for client in subscribers[1:]] == [
        {"id": UUID, "payload": {"text": "hi"}}
    ] * 2
    assert subscribers[0].receive()["message"] == {"id": answer["id"], "payload": None}


def test_figures(server: Server) -> None:
    """Health, statistics and subscriptions agree with each other."""
    server.create_topic("a")
    server.create_topic("b")
    one, two = server.subscriber("a"), server.subscriber("a")
    two.ask(type="subscribe", topic="b")
    publisher = server.connect()
    publisher.publish("a")
    one.publish("a")
    status, health = server.request("GET", "/health")
    assert status == 200
    assert isinstance(health.pop("uptime_sec"), int)
    assert health == {"status": "ok", "topics": 2, "clients": 3, "subscribers": 3}
    status, stats = server.request("GET", "/stats")
    assert status == 200
    assert stats["topics"] == {
        "a": {"messages": 2, "subscribers": 2, "delivered": 3, "dropped": 0},
        "b": {"messages": 0, "subscribers": 1, "delivered": 0, "dropped": 0},
    }
    totals = stats["totals"]
    assert (totals["topics"], totals["clients"], totals["subscribers"]) == (2, 3, 3)
    status, answer = server.request("GET", "/subscriptions")
    assert status == 200
    assert (answer["total_clients"], answer["total_topics"]) == (3, 2)
    topics = {client["client_id"]: client["topics"] for client in answer["subscriptions"]}
    assert sorted(topics.values()) == [[], ["a"], ["a", "b"]]
    (both,) = (client for client in topics if topics[client] == ["a", "b"])
    assert answer["topic_breakdown"]["b"] == [both]
    assert len(answer["topic_breakdown"]["a"]) == 2


def test_totals_outlive_topics(server: Server) -> None:
    """The messages of a deleted topic remain in the totals."""
    before = server.request("GET", "/stats")[1]["totals"]["messages"]
    server.create_topic("t")
    server.connect().publish("t")
    server.request("DELETE", "/topics/t")
    stats = server.request("GET", "/stats")[1]
    assert (stats["topics"], stats["totals"]["messages"]) == ({}, before + 1)


NAME_RULE = "name must be 1 to 128 printable characters without white space or /"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "is not valid JSON"),
        (b"{", "is not valid JSON"),
        (b"\xff", "not UTF-8"),
        (b"[]", "must be a JSON object"),
        (b"[" * 60_000, "nested too deeply"),
        (b"{}", "name is required"),
        (b'{"name":null}', "name is required"),
        (b'{"name":5}', "name must be a string"),
        (b'{"name":""}', NAME_RULE),
        (b'{"name":"a b"}', NAME_RULE),
        (b'{"name":"a/b"}', NAME_RULE),
        (b'{"name":"a\\u0007"}', NAME_RULE),
        (b'{"name":"\\ud800"}', NAME_RULE),
        (b'{"name":"' + b"x" * 129 + b'"}', NAME_RULE),
        (b'{"name":"t","history":1001}', "history must be an integer from 0 to 1000"),
        (b'{"name":"t","history":-1}', "history must be an integer from 0 to 1000"),
        (b'{"name":"t","history":"5"}', "history must be an integer from 0 to 1000"),
        (b'{"name":"t","history":NaN}', "NaN"),
    ],
)
def test_bad_topic(server: Server, body: bytes, message: str) -> None:
    """A bad topic is refused with 400 and a message that names the field."""
    status, answer = server.request("POST", "/topics", body)
    assert (status, error_code(answer)) == (400, "BAD_REQUEST")
    assert message in answer["error"]["message"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"nonsense", "is not valid JSON"),
        (b"\xff", "not UTF-8"),
        (b'{"payload":"\xff"}', "not UTF-8"),
        (b'{"payload":"\xed\xa0\x80"}', "not UTF-8"),
        (b'"text"', "must be a JSON object"),
        (b"{}", "payload is required"),
        (b'{"payload":1,"id":"x"}', "id must be a valid UUID"),
        (b'{"payload":1,"id":5}', "id must be a valid UUID"),
        (b'{"payload":1,"id":null}', "id must be a valid UUID"),
        (b'{"payload":NaN}', "NaN"),
    ],
)
def test_bad_publication(server: Server, body: bytes, message: str) -> None:
    """A bad publication is refused with 400 and a message that names the field."""
    server.create_topic("t")
    status, answer = server.request("POST", "/topics/t/messages", body)
    assert (status, error_code(answer)) == (400, "BAD_REQUEST")
    assert message in answer["error"]["message"]


@pytest.mark.parametrize("path", ["/topics", "/topics/t/messages"])
def test_body_must_be_json_and_not_too_large(server: Server, path: str) -> None:
    """Other content types get 415, and bodies over the limit get 413, whatever their size."""
    server.create_topic("t")
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "nonsense", ""):
        status, answer = server.request("POST", path, b'{"name":"x"}', content_type=content_type)
        assert (status, error_code(answer)) == (415, "UNSUPPORTED_MEDIA_TYPE")
    for size in (70 << 10, 2 << 20, 9 << 20):
        status, answer = server.request("POST", path, b'"' + b"x" * size)
        assert (status, error_code(answer)) == (413, "MESSAGE_TOO_LARGE")
    charset = "application/json; charset=utf-8"
    assert server.request("POST", path, b"{}", content_type=charset)[0] == 400


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("комната", "/topics/%D0%BA%D0%BE%D0%BC%D0%BD%D0%B0%D1%82%D0%B0"),
        ("50%", "/topics/50%25"),
        ("a?b#c", "/topics/a%3Fb%23c"),
        ("a+b&c", "/topics/a+b&c"),
        ("..", "/topics/%2E%2E"),
        ("😀", "/topics/%F0%9F%98%80"),
    ],
)
def test_any_topic_name_can_be_addressed(server: Server, name: str, path: str) -> None:
    """Topic names are percent-encoded in paths (RFC 3986 §2.1)."""
    server.create_topic(name)
    subscriber = server.subscriber(name)
    assert server.request("POST", f"{path}/messages", {"payload": 1})[1]["topic"] == name
    assert subscriber.receive()["topic"] == name
    assert server.request("DELETE", path)[1]["topic"] == name


@pytest.mark.parametrize("path", ["/topics/missing", "/topics/a%20b", "/topics/%FF", "/topics/%00"])
def test_missing_and_invalid_topics(server: Server, path: str) -> None:
    """A missing or invalid topic cannot be deleted (404) or published to (400 or 404)."""
    status, answer = server.request("DELETE", path)
    assert (status, error_code(answer)) == (404, "TOPIC_NOT_FOUND")
    status, answer = server.request("POST", f"{path}/messages", {"payload": 1})
    assert status in (400, 404)


@pytest.mark.parametrize(
    "path",
    [
        "/nope",
        "/topics/",
        "/topics/a/b",
        "/topics/a%2Fb",
        "/health/",
        "/topics//",
        "/x.php",
    ],
)
def test_unknown_paths(server: Server, path: str) -> None:
    """Unknown paths get 404 in JSON."""
    status, answer = server.request("GET", path)
    assert (status, error_code(answer)) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/topics", {"GET", "POST"}),
        ("DELETE", "/topics", {"GET", "POST"}),
        ("GET", "/topics/t", {"DELETE"}),
        ("PATCH", "/topics/t/messages", {"POST"}),
        ("GET", "/topics/t/messages", {"POST"}),
        ("POST", "/health", {"GET"}),
        ("DELETE", "/stats", {"GET"}),
        ("OPTIONS", "/subscriptions", {"GET"}),
        ("BREW", "/topics", {"GET", "POST"}),
    ],
)
def test_wrong_methods(server: Server, method: str, path: str, allowed: set[str]) -> None:
    """A wrong method gets 405, with the allowed ones in the header and in the message."""
    status, headers, answer = server.raw_request(method, path)
    assert (status, error_code(answer)) == (405, "METHOD_NOT_ALLOWED")
    assert set(headers["Allow"].split(", ")) == allowed
    assert answer["error"]["message"] == f"method not allowed; use {headers['Allow']}"


@pytest.mark.parametrize(
    ("path", "right"),
    [("/topics/", "/topics"), ("/topics//", "/topics"), ("/health/", "/health"), ("/ws/", "/ws")],
)
def test_trailing_slash(server: Server, path: str, right: str) -> None:
    """A path with a trailing slash gets 404 with the path that was probably meant."""
    status, answer = server.request("GET", path)
    assert (status, answer["error"]["message"]) == (404, f"no such path; use {right}")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_websocket_without_an_upgrade(server: Server, method: str) -> None:
    """An ordinary request for the WebSocket gets 426 with its address (RFC 9110 §15.5.22)."""
    status, headers, answer = server.raw_request(method, "/ws")
    assert (status, headers["Upgrade"]) == (426, "websocket")
    if method == "GET":
        assert error_code(answer) == "UPGRADE_REQUIRED"
        assert f"ws://127.0.0.1:{server.port}/ws" in answer["error"]["message"]
    assert server.request("POST", "/ws")[0] == 405


@pytest.mark.parametrize(
    ("path", "body", "known"),
    [
        ("/topics", {"name": "x", "histroy": 5}, "name, history"),
        ("/topics/t/messages", {"payload": 1, "histroy": 5}, "payload, id"),
    ],
)
def test_unknown_fields(server: Server, path: str, body: dict[str, Any], known: str) -> None:
    """A field that a body should not have is refused by name, and nothing is done."""
    server.create_topic("t")
    status, answer = server.request("POST", path, body)
    assert (status, error_code(answer)) == (400, "BAD_REQUEST")
    assert answer["error"]["message"] == f"unknown field 'histroy'; known fields are {known}"
    assert [topic["name"] for topic in server.request("GET", "/topics")[1]["topics"]] == ["t"]
    assert server.request("GET", "/stats")[1]["topics"]["t"]["messages"] == 0


@pytest.mark.parametrize(
    "name",
    [
        *("\u3164", "\u2800", "or\u034fders", "❤\ufe0f", "e\u0301", "x\u0301\u0302\u0303"),
    ],
)
def test_invisible_and_confusable_names(server: Server, name: str) -> None:
    """Invisible and confusable names are refused over REST and the WebSocket."""
    status, answer = server.request("POST", "/topics", {"name": name})
    assert (status, error_code(answer)) == (400, "BAD_REQUEST")
    assert "in Unicode normalization form NFC" in answer["error"]["message"]
    answer = server.connect().ask(type="subscribe", topic=name)
    assert answer["error"]["code"] == "BAD_REQUEST"


def test_head(server: Server) -> None:
    """HEAD, which probes use, is GET without the body (RFC 9110 §9.3.2)."""
    status, headers, answer = server.raw_request("HEAD", "/health")
    assert (status, answer) == (200, None)
    assert int(headers["Content-Length"]) > 0


def test_debug_mode_answers_in_json_too(start_server: StartServer) -> None:
    """Errors are JSON in debug mode too, instead of Django's technical pages."""
    server = start_server(DJANGO_DEBUG="true")
    assert server.request("GET", "/nope")[0] == 404
    assert server.request("PUT", "/topics")[0] == 405


def test_foreign_hosts_are_refused(start_server: StartServer) -> None:
    """Hosts that are not in DJANGO_ALLOWED_HOSTS get 400; health probes need no host."""
    server = start_server(DJANGO_ALLOWED_HOSTS="chat.example.org, .example.net")
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as raw:
        raw.sendall(b"GET /stats HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: raw.recv(4096), b""))
    assert b" 400 " in answer.splitlines()[0]
    assert answer.endswith(b'{"error":{"code":"BAD_REQUEST","message":"host not allowed"}}')
    assert server.request("GET", "/health")[0] == 200
    assert server.connect().ask(type="ping")["type"] == "pong"


def test_openapi_and_its_page(server: Server) -> None:
    """The document has every endpoint, and its page needs nothing from another host."""
    status, openapi = server.request("GET", "/openapi.json")
    assert status == 200
    assert {(path, method) for path, methods in openapi["paths"].items() for method in methods} == {
        ("/topics", "get"),
        ("/topics", "post"),
        ("/topics/{name}", "delete"),
        ("/topics/{name}/presence", "get"),
        ("/topics/{name}/messages", "post"),
        ("/health", "get"),
        ("/livez", "get"),
        ("/readyz", "get"),
        ("/livez", "get"),
        ("/readyz", "get"),
        ("/stats", "get"),
        ("/subscriptions", "get"),
        ("/clients", "get"),
        ("/clients/{client_id}", "delete"),
        ("/users/{user}", "delete"),
    }
    assert set(openapi["components"]["securitySchemes"]) == {"token", "apiKey"}
    name = openapi["paths"]["/topics"]["post"]["requestBody"]["content"]["application/json"][
        "schema"
    ]["properties"]["name"]
    assert (name["minLength"], name["maxLength"]) == (1, 128)
    assert re.search(name["pattern"], "комната")
    assert not re.search(name["pattern"], "\u3164")
    assert server.request("POST", "/openapi.json")[0] == 405
    page = server.get_text("/docs")
    assert "swagger-ui" in page
    assert "//" not in page.replace("http://www.w3.org", "")
    for asset in ("swagger-ui.css", "swagger-ui-bundle.js", "swagger-ui-init.js"):
        assert f"/static/ninja/{asset}" in page
        assert server.get_text(f"/static/ninja/{asset}")


def test_histories_are_bounded_together(start_server: StartServer) -> None:
    """The histories of all topics together take no more than the configured bytes."""
    server = start_server(CHATROOM_HISTORY_BYTES="1000000")
    publisher = server.connect()
    message = {"id": UUID, "payload": "x" * 10_000}
    for number in range(3):
        topic = server.create_topic(f"large-{number}", history=1000)
        publisher.send_all([{"type": "publish", "topic": topic, "message": message}] * 100)
        for _ in range(100):
            assert publisher.receive()["type"] == "ack"
    totals = server.request("GET", "/stats")[1]["totals"]
    assert 900_000 < totals["history_bytes"] <= 1_000_000
    assert totals["history_evicted"] > 200
    last = server.subscriber("large-2", last_n=1000)
    assert last.receive()["message"]["payload"] == "x" * 10_000
