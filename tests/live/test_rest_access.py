"""Who may do what over REST: tokens, API keys, sessions, and requests without any of them."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.auth.support import SECRET, token
from tests.live.client import UUID
from tests.live.conftest import StartServer
from tests.live.server import Server, running_server

KEY = "operator-0123456789"
READING_KEY = "reader-9876543210"
KEYS = f"{KEY}, {READING_KEY}:read"

OPERATOR = {"X-API-Key": KEY}
READER = {"X-API-Key": READING_KEY}


def bearer(*args: Any, **claims: Any) -> dict[str, str]:
    """Return the header with a token."""
    return {"Authorization": f"Bearer {token(*args, **claims)}"}


NOBODY: dict[str, str] = {}
MEMBER = bearer("42", subscribe=["orders", "news"], publish=["orders"], manage=["room.*"])


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    """A server on which clients may have a token, and the topics that begin with "news" are open.

    It has the topics "news", "orders" and "secret".
    """
    with running_server(
        CHATROOM_AUTH="optional",
        CHATROOM_JWT_SECRET=SECRET,
        CHATROOM_API_KEYS=KEYS,
        CHATROOM_ANONYMOUS_SUBSCRIBE="news*",
    ) as server:
        for topic in ("news", "orders", "secret"):
            assert server.request("POST", "/topics", {"name": topic}, headers=OPERATOR)[0] == 201
        yield server
        for secret in ("eyJ", KEY, READING_KEY):
            assert secret not in server.log()


def outcome(answer: tuple[int, Any]) -> Any:
    """Return the code of an error, and the status of anything else."""
    status, body = answer
    return body["error"]["code"] if "error" in body else status


MESSAGE = {"payload": 1}

ENDPOINTS: dict[tuple[str, str], tuple[Any, Any, Any, Any, Any]] = {
    ("GET", "/health"): (200, 200, 200, 200, 200),
    ("GET", "/openapi.json"): (200, 200, 200, 200, 200),
    ("GET", "/topics"): (200, 200, 200, 200, 200),
    ("POST", "/topics/orders/messages"): ("UNAUTHORIZED", 200, "FORBIDDEN", "FORBIDDEN", 200),
    ("POST", "/topics/secret/messages"): (
        *("UNAUTHORIZED", "FORBIDDEN", "FORBIDDEN", "FORBIDDEN", 200),
    ),
    ("POST", "/topics/missing/messages"): (
        *("UNAUTHORIZED", "FORBIDDEN", "FORBIDDEN", "FORBIDDEN", "TOPIC_NOT_FOUND"),
    ),
    ("DELETE", "/topics/room.1"): (
        *("UNAUTHORIZED", "TOPIC_NOT_FOUND", "FORBIDDEN", "FORBIDDEN", "TOPIC_NOT_FOUND"),
    ),
    ("DELETE", "/topics/missing"): (
        *("UNAUTHORIZED", "FORBIDDEN", "FORBIDDEN", "FORBIDDEN", "TOPIC_NOT_FOUND"),
    ),
    ("GET", "/topics/orders/presence"): (
        *("UNAUTHORIZED", "BAD_REQUEST", "FORBIDDEN", "BAD_REQUEST", "BAD_REQUEST"),
    ),
    ("GET", "/topics/missing/presence"): (
        *("UNAUTHORIZED", "FORBIDDEN", "FORBIDDEN", "TOPIC_NOT_FOUND", "TOPIC_NOT_FOUND"),
    ),
    ("GET", "/stats"): ("UNAUTHORIZED", "FORBIDDEN", "FORBIDDEN", 200, 200),
    ("GET", "/subscriptions"): ("UNAUTHORIZED", "FORBIDDEN", "FORBIDDEN", 200, 200),
    ("GET", "/clients"): ("UNAUTHORIZED", "FORBIDDEN", "FORBIDDEN", 200, 200),
    ("DELETE", f"/clients/{UUID}"): (
        *("UNAUTHORIZED", "FORBIDDEN", "FORBIDDEN", "FORBIDDEN", "NOT_FOUND"),
    ),
    ("DELETE", "/users/42"): (
        *("UNAUTHORIZED", "FORBIDDEN", "FORBIDDEN", "FORBIDDEN", "NOT_FOUND"),
    ),
}
"""What nobody, a member, another member, a key that may only read, and an operator get."""


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_who_may_do_what(guarded: Server, method: str, path: str) -> None:
    """Every endpoint is open to those whom the contract names, and to nobody else."""
    body = MESSAGE if method == "POST" else None
    askers = (NOBODY, MEMBER, bearer("43"), READER, OPERATOR)
    answers = [outcome(guarded.request(method, path, body, headers=asker)) for asker in askers]
    assert answers == list(ENDPOINTS[method, path])


def test_metrics_are_for_operators(guarded: Server) -> None:
    """The metrics need an API key, and count those who have no sufficient credentials."""
    assert guarded.request("GET", "/metrics", headers=MEMBER)[0] == 403
    status, headers, _ = guarded.raw_request("GET", "/metrics")
    assert (status, headers["WWW-Authenticate"]) == (401, 'Bearer realm="chatroom"')
    guarded.request("GET", "/stats", headers={"X-API-Key": "unknown"})
    guarded.request("GET", "/stats", headers=bearer(ttl=-60))
    guarded.request("GET", "/stats", headers=bearer(subscribe="orders"))
    prometheus = {"Authorization": f"Bearer {READER['X-API-Key']}"}
    assert "chatroom_clients" in guarded.get_text("/metrics", headers=prometheus)
    metrics = guarded.get_text("/metrics", headers=READER)
    for reason in ("missing", "invalid", "expired", "api_key", "forbidden"):
        found = re.search(f'chatroom_auth_failures_total{{reason="{reason}"}} (.+)', metrics)
        assert found, reason
        assert float(found[1]) >= 1, reason


def test_pages_are_open(guarded: Server) -> None:
    """The pages and the documents need no credentials."""
    for path in ("/", "/docs", "/docs/ws", "/asyncapi.json"):
        guarded.get_text(path)


def test_creating_topics(guarded: Server) -> None:
    """Creating asks for the right to manage the name in the body."""
    for asker, name, expected in (
        (NOBODY, "room.2", "UNAUTHORIZED"),
        (READER, "room.2", "FORBIDDEN"),
        (MEMBER, "orders", "FORBIDDEN"),
        (MEMBER, "other", "FORBIDDEN"),
        (MEMBER, "room.2", 201),
        (MEMBER, "room.2", "TOPIC_EXISTS"),
    ):
        answer = guarded.request("POST", "/topics", {"name": name}, headers=asker)
        assert outcome(answer) == expected, (asker, name)
    assert guarded.request("DELETE", "/topics/room.2", headers=MEMBER)[0] == 200


def test_credentials_come_first(guarded: Server) -> None:
    """Without credentials, what else is wrong with a request does not matter."""
    for path in ("/topics", "/topics/orders/messages"):
        assert guarded.request("POST", path, b"{", content_type="text/plain")[0] == 401


def test_list_shows_what_the_asker_may_read(guarded: Server) -> None:
    """The list of topics has only those that the asker may subscribe to; an API key sees all."""
    for asker, names in (
        (NOBODY, ["news"]),
        (bearer("43"), []),
        (bearer("43", subscribe=["*s"]), ["news", "orders"]),
        (MEMBER, ["news", "orders"]),
        (READER, ["news", "orders", "secret"]),
    ):
        topics = guarded.request("GET", "/topics", headers=asker)[1]["topics"]
        assert [topic["name"] for topic in topics] == names


def test_probes_tell_nothing_else(guarded: Server) -> None:
    """Where access is controlled, `/health` tells no more than its status, whoever asks."""
    for asker in (NOBODY, OPERATOR):
        assert guarded.request("GET", "/health", headers=asker)[1] == {"status": "ok"}


def test_events_name_the_user(guarded: Server) -> None:
    """An event that was published with a token names its user, and no user with an API key."""
    subscriber = guarded.connect(headers=MEMBER)
    assert subscriber.ask(type="subscribe", topic="orders")["type"] == "ack"
    for asker in (MEMBER, OPERATOR):
        guarded.request("POST", "/topics/orders/messages", MESSAGE, headers=asker)
    text = subscriber.receive_text()
    assert text.endswith('Z","user":"42"}')
    assert "user" not in subscriber.receive()


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"X-API-Key": "unknown"}, "the API key is unknown"),
        ({"X-API-Key": ""}, "the API key is unknown"),
        ({"X-API-Key": f"{READING_KEY}:read"}, "the API key is unknown"),
        ({"X-API-Key": "unknown", **MEMBER}, "the API key is unknown"),
        (bearer(ttl=-60), "the token has expired"),
        (bearer(secret="another secret that is long enough"), "the token's signature is wrong"),
        (bearer(subscribe="orders"), "the claim subscribe must be a list of topic names"),
        ({"Authorization": "Bearer"}, "the token is not a JSON Web Token"),
        ({"Authorization": "bearer x"}, "the token is not a JSON Web Token"),
        (
            {"Authorization": "Basic dTpw"},
            "a Bearer token or an API key (X-API-Key) is required",
        ),
        ({}, "a Bearer token or an API key (X-API-Key) is required"),
    ],
)
def test_invalid_credentials(guarded: Server, headers: dict[str, str], message: str) -> None:
    """Invalid credentials are refused, with a reason; RFC 6750 §3 defines the challenge."""
    status, answered, body = guarded.raw_request(
        "POST", "/topics/orders/messages", MESSAGE, headers=headers
    )
    assert (status, body) == (401, {"error": {"code": "UNAUTHORIZED", "message": message}})
    challenge = answered["WWW-Authenticate"]
    assert challenge.startswith('Bearer realm="chatroom"')
    assert ('error="invalid_token"' in challenge) is message.startswith(("the token", "the claim"))


def test_right_that_is_missing(guarded: Server) -> None:
    """A token without the right is answered as RFC 6750 §3.1 says."""
    status, headers, _ = guarded.raw_request("GET", "/stats", headers=MEMBER)
    assert status == 403
    assert 'error="insufficient_scope"' in headers["WWW-Authenticate"]
    status, headers, _ = guarded.raw_request("DELETE", "/topics/news", headers=READER)
    assert status == 403
    assert "WWW-Authenticate" not in headers


def test_key_comes_first(guarded: Server) -> None:
    """Of an API key and a token in one request the key counts."""
    topics = guarded.request("GET", "/topics", headers={**MEMBER, **READER})[1]["topics"]
    assert len(topics) == 3
    assert outcome(guarded.request("DELETE", "/topics/news", headers={**MEMBER, **READER})) == (
        "FORBIDDEN"
    )


def test_required_token(start_server: StartServer) -> None:
    """Where a token is required there are no anonymous readers, whatever else is set."""
    server = start_server(
        CHATROOM_AUTH="required", CHATROOM_JWT_SECRET=SECRET, CHATROOM_ANONYMOUS_SUBSCRIBE="*"
    )
    assert server.request("GET", "/topics")[0] == 401
    assert server.request("GET", "/topics", headers=bearer())[1] == {"topics": []}
    assert server.request("GET", "/topics", headers=OPERATOR)[0] == 401
    assert server.request("GET", "/stats")[0] == 401
    assert server.request("GET", "/health")[1] == {"status": "ok"}


def test_keys_without_authentication(start_server: StartServer) -> None:
    """API keys alone protect what changes topics and what is for operators, and nothing else."""
    server = start_server(CHATROOM_API_KEYS=KEYS)
    for asker in (NOBODY, MEMBER):
        assert server.request("POST", "/topics", {"name": "t"}, headers=asker)[0] == 401
        assert server.request("DELETE", "/topics/t", headers=asker)[0] == 401
        for path in ("/stats", "/subscriptions", "/clients"):
            status, headers, _ = server.raw_request("GET", path, headers=asker)
            assert status == 401
            assert headers["WWW-Authenticate"] == 'X-API-Key realm="chatroom"'
    assert server.request("POST", "/topics", {"name": "t"}, headers=READER)[0] == 403
    assert server.request("POST", "/topics", {"name": "t"}, headers=OPERATOR)[0] == 201
    assert server.request("GET", "/stats", headers=READER)[0] == 200
    for asker in (NOBODY, READER, {"X-API-Key": "unknown"}):
        assert server.request("GET", "/topics", headers=asker)[1]["topics"][0]["name"] == "t"
        assert server.request("POST", "/topics/t/messages", MESSAGE, headers=asker)[0] == 200
    assert server.request("GET", "/health")[1]["topics"] == 1


def test_rate_of_publications(start_server: StartServer) -> None:
    """Each key, user and address may publish so many messages a second, and gets 429 then."""
    server = start_server(
        CHATROOM_AUTH="optional",
        CHATROOM_JWT_SECRET=SECRET,
        CHATROOM_API_KEYS=KEYS,
        CHATROOM_REST_RATE_LIMIT="0.01",
    )
    assert server.request("POST", "/topics", {"name": "t"}, headers=OPERATOR)[0] == 201
    for asker in (OPERATOR, bearer("1", publish=["t"]), bearer("2", publish=["t"])):
        path = "/topics/t/messages"
        assert server.request("POST", path, MESSAGE, headers=asker)[0] == 200
        status, headers, body = server.raw_request("POST", path, MESSAGE, headers=asker)
        assert (status, body["error"]["code"]) == (429, "RATE_LIMITED")
        assert 90 <= int(headers["Retry-After"]) <= 100
        assert server.request("GET", "/topics", headers=asker)[0] == 200
    another = bearer("2", publish=["t"], ttl=700)
    assert server.request("POST", path, MESSAGE, headers=another)[0] == 429


def test_rate_of_an_address(start_server: StartServer) -> None:
    """Without credentials the address counts, which a proxy may tell if it is trusted."""
    server = start_server(CHATROOM_REST_RATE_LIMIT="0.01", CHATROOM_TRUSTED_PROXIES="127.0.0.0/8")
    server.create_topic("t")
    for address, expected in (
        ("192.0.2.1", 200),
        ("192.0.2.2", 200),
        ("192.0.2.1", 429),
        ("192.0.2.9, 192.0.2.1", 429),
        ("2001:db8::1", 200),
        ("2001:db8::2", 429),
    ):
        headers = {"X-Forwarded-For": address}
        status = server.request("POST", "/topics/t/messages", MESSAGE, headers=headers)[0]
        assert status == expected, address


# --- A Django project with users ---


@pytest.fixture(scope="module")
def project() -> Iterator[Server]:
    """A project whose users may read and publish to topics that begin with their id."""
    with running_server(
        *("-m", "daphne", "-p", "0", "tests.live.host.asgi:application"),
        DJANGO_SETTINGS_MODULE="tests.live.host.members",
    ) as server:
        yield server


def log_in(server: Server, user: int) -> dict[str, str]:
    """Return the headers of a browser whose user has logged in."""
    _, headers, _ = server.raw_request("GET", f"/login/{user}")
    return {"Cookie": headers["Set-Cookie"].partition(";")[0]}


def test_sessions(project: Server) -> None:
    """The project's authorizer decides what a user with a session may do."""
    own = {"Sec-Fetch-Site": "same-origin"}
    ann, bob = ({**log_in(project, user), **own} for user in (1, 2))
    assert project.request("POST", "/chat/topics", {"name": "1.a"}, headers=ann)[0] == 201
    assert project.request("POST", "/chat/topics", {"name": "1.b"}, headers=bob)[0] == 403
    assert project.request("GET", "/chat/topics", headers=ann)[1]["topics"] != []
    assert project.request("GET", "/chat/topics", headers=bob)[1]["topics"] == []
    assert project.request("GET", "/chat/topics")[0] == 401
    path = "/chat/topics/1.a/messages"
    assert project.request("POST", path, MESSAGE, headers=ann)[0] == 200
    assert project.request("POST", path, MESSAGE, headers=bob)[0] == 403
    assert project.request("POST", path, MESSAGE)[0] == 401
    assert project.request("GET", "/chat/stats", headers=ann)[0] == 401
    assert project.request("DELETE", "/chat/topics/1.a", headers=ann)[0] == 200


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Origin": "http://127.0.0.1:PORT"}, True),
        ({"Origin": "https://app.example"}, True),
        ({}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "http://127.0.0.1"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"}, False),
    ],
)
def test_pages_of_other_sites_cannot_use_a_session(
    project: Server, headers: dict[str, str], allowed: bool
) -> None:
    """With a session, a change must come from a page of the site or of a named origin."""
    mine = {name: value.replace("PORT", str(project.port)) for name, value in headers.items()}
    ann = {**log_in(project, 1), **mine}
    expected = "TOPIC_NOT_FOUND" if allowed else "FORBIDDEN"
    assert outcome(project.request("DELETE", "/chat/topics/1.none", headers=ann)) == expected
    assert project.request("GET", "/chat/topics", headers=ann)[0] == 200
