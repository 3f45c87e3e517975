"""Who may read a stream of server-sent events, and until when."""

from collections.abc import Iterator

import pytest

from tests.auth.support import SECRET, token
from tests.live.server import Server, running_server
from tests.live.waiting import wait_until

KEY = "operator-0123456789"
READING_KEY = "reader-9876543210"
OPERATOR = {"X-API-Key": KEY}


def bearer(user: str = "42", *, subscribe: str = "orders*", ttl: int = 600) -> dict[str, str]:
    """Return the header with a token."""
    return {"Authorization": f"Bearer {token(user, subscribe=[subscribe], ttl=ttl)}"}


@pytest.fixture(scope="module")
def guarded_server() -> Iterator[Server]:
    """A server with tokens, API keys, an open topic, and few connections for each user."""
    with running_server(
        CHATROOM_AUTH="optional",
        CHATROOM_JWT_SECRET=SECRET,
        CHATROOM_API_KEYS=f"{KEY}, {READING_KEY}:read",
        CHATROOM_ANONYMOUS_SUBSCRIBE="news*",
        CHATROOM_MAX_CONNECTIONS_PER_USER="2",
        CHATROOM_TOPICS='{"orders":{},"news":{}}',
    ) as server:
        yield server
        for secret in ("eyJ", KEY, READING_KEY):
            assert secret not in server.log()


@pytest.fixture
def guarded(guarded_server: Server) -> Iterator[Server]:
    """The guarded server, without clients after each test."""
    yield guarded_server
    guarded_server.reset_clients()
    wait_until(
        lambda: not guarded_server.request("GET", "/clients", headers=OPERATOR)[1]["clients"]
    )


@pytest.mark.parametrize(
    ("headers", "topic", "status"),
    [
        ({}, "news", 200),
        ({}, "orders", 401),
        ({}, "missing", 401),
        (bearer(), "orders", 200),
        (bearer(), "orders.eu", 404),
        (bearer(), "news", 403),
        (bearer(), "missing", 403),
        (bearer(ttl=-60), "orders", 401),
        ({"Authorization": "Bearer x"}, "news", 401),
        (OPERATOR, "orders", 200),
        ({"X-API-Key": READING_KEY}, "news", 200),
        (OPERATOR, "missing", 404),
        ({"X-API-Key": "unknown", **bearer()}, "orders", 401),
    ],
)
def test_who_may_read(guarded: Server, headers: dict[str, str], topic: str, status: int) -> None:
    """What the credentials do not cover is refused, whether the topic exists or not."""
    stream = guarded.stream(topic, headers=headers)
    assert stream.status == status
    if status == 401:
        assert stream.headers["WWW-Authenticate"].startswith('Bearer realm="chatroom"')
    if status != 200:
        code = {401: "UNAUTHORIZED", 403: "FORBIDDEN", 404: "TOPIC_NOT_FOUND"}[status]
        assert stream.error() == (status, code)


def test_user(guarded: Server) -> None:
    """A stream belongs to its user: in the list, in the limits, and when the user is sent away."""
    streams = [guarded.stream("orders", headers=bearer("ann")) for _ in range(2)]
    assert guarded.stream("orders", headers=bearer("ann")).error() == (429, "LIMIT_EXCEEDED")
    rows = guarded.request("GET", "/clients", headers=OPERATOR)[1]["clients"]
    assert [(row["user"], row["topics"]) for row in rows] == [("ann", 1)] * 2
    first = f"/clients/{rows[0]['client_id']}"
    assert guarded.request("DELETE", first, headers=OPERATOR)[0] == 200
    assert streams[0].receive_rest()[-1].text == "3503 force disconnect"
    answer = guarded.request("DELETE", "/users/ann", headers=OPERATOR)
    assert answer == (200, {"status": "disconnected", "clients": 1})
    assert streams[1].receive_rest()[-1].text == "3503 force disconnect"


def test_expiry(guarded: Server) -> None:
    """The client is notified, and the stream ends with its token, which cannot be renewed."""
    stream = guarded.stream("orders", headers=bearer(ttl=2))
    ack, info, comment = stream.receive_rest()
    assert ack.type == "ack"
    assert (info.type, info.data["msg"]) == ("info", "token_expiring")
    assert 0 <= info.data["expires_in"] <= 2
    assert comment.text == "3005 expired"
