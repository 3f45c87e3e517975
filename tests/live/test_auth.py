"""Authentication over real sockets: every way in, rights, renewal, expiry and refusals."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.auth.support import SECRET, token
from tests.live.client import UUID, Client
from tests.live.conftest import StartServer
from tests.live.server import DAPHNE, UVICORN, Server, running_server
from tests.live.template import run
from tests.live.test_protocol import TS, assert_text

SETTINGS = {"CHATROOM_JWT_SECRET": SECRET, "CHATROOM_AUTO_CREATE_TOPICS": "true"}


def assert_raw(text: str, pattern: str) -> None:
    """Compare the whole text with a regular expression in which TS stands for a timestamp."""
    assert re.fullmatch(pattern.replace("TS", TS), text), text


@pytest.fixture(scope="module")
def required() -> Iterator[Server]:
    """A Daphne that requires a token."""
    with running_server(CHATROOM_AUTH="required", **SETTINGS) as server:
        yield server
        assert "eyJ" not in server.log()  # no token is ever logged


def subscribe(client: Client, topic: str) -> Any:
    """Return the answer to a subscription: ``ack`` or an error code."""
    answer = client.ask(type="subscribe", topic=topic)
    return answer.get("error", {}).get("code", answer["type"])


# --- Ways in ---


@pytest.mark.parametrize("command", [DAPHNE, UVICORN], ids=["daphne", "uvicorn"])
def test_ways_in(start_server: StartServer, command: tuple[str, ...]) -> None:
    """A token comes in a header, in a subprotocol or in the first message."""
    server = start_server(*command, CHATROOM_AUTH="required", **SETTINGS)
    mine = token(subscribe=["orders"])
    ways: list[dict[str, Any]] = [
        {"headers": {"Authorization": f"Bearer {mine}"}},
        {"headers": {"authorization": f"bearer  {mine}"}},
        {"subprotocols": ["chatroom.v1", f"chatroom.bearer.{mine}"]},
        {"subprotocols": [f"chatroom.bearer.{mine}", "chatroom.v1", "other"]},
    ]
    for way in ways:
        client = server.connect(**way)
        assert subscribe(client, "orders") == "ack"
        assert client.subprotocol == ("chatroom.v1" if "subprotocols" in way else None)
    client = server.connect()
    assert subscribe(client, "orders") == "UNAUTHORIZED"
    assert client.ask(type="auth", token=mine)["type"] == "ack"
    assert subscribe(client, "orders") == "ack"


def test_first_present_way_counts(required: Server) -> None:
    """The header counts before the subprotocol."""
    client = required.connect(
        headers={"Authorization": f"Bearer {token('1', subscribe=['a'])}"},
        subprotocols=["chatroom.v1", f"chatroom.bearer.{token('2', subscribe=['b'])}"],
    )
    assert subscribe(client, "a") == "ack"
    assert subscribe(client, "b") == "FORBIDDEN"


def test_other_credentials_are_none(required: Server) -> None:
    """A header of another scheme is no token."""
    client = required.connect(headers={"Authorization": "Basic dXNlcjpwYXNz"})
    assert subscribe(client, "a") == "UNAUTHORIZED"


@pytest.mark.parametrize("offered", [[], ["chatroom.v1"], ["other"], ["other", "chatroom.v1"]])
def test_subprotocol(server: Server, offered: list[str]) -> None:
    """The server selects its subprotocol if it is offered, with or without authentication."""
    selected = "chatroom.v1" if "chatroom.v1" in offered else None
    assert server.connect(subprotocols=offered).subprotocol == selected


def test_token_that_is_offered_twice(required: Server) -> None:
    """A subprotocol that is offered twice is refused, and nothing is repeated."""
    bearer_protocol = f"chatroom.bearer.{token()}"
    with pytest.raises(InvalidStatus) as refused:
        required.connect(subprotocols=[bearer_protocol, bearer_protocol])
    response = refused.value.response
    assert response.status_code == 400
    assert json.loads(response.body)["error"]["message"] == "a subprotocol is offered twice"
    assert "eyJ" not in response.reason_phrase


def test_two_headers_are_no_token(required: Server) -> None:
    """A client with two tokens in its headers has none that counts."""
    client = required.connect(headers={"Authorization": f"Bearer {token()}, Bearer {token()}"})
    assert client.receive_close() == (3500, "invalid token")


def test_token_is_never_selected(required: Server) -> None:
    """A client that offers nothing but its token gets no subprotocol."""
    client = required.connect(subprotocols=[f"chatroom.bearer.{token(subscribe=['a'])}"])
    assert client.subprotocol is None
    assert subscribe(client, "a") == "ack"


# --- Frames ---


def test_frames_of_authentication(required: Server) -> None:
    """The fields stand in the order of the contract."""
    client = required.connect()
    client.send(type="subscribe", topic="orders", request_id="s")
    assert_raw(
        client.receive_text(),
        r'\{"type":"error","request_id":"s","topic":"orders","error":\{"code":"UNAUTHORIZED",'
        r'"message":"authenticate first"\},TS\}',
    )
    client.send(type="auth", token=token(subscribe=["orders"]), request_id="a1")
    assert_raw(
        client.receive_text(),
        r'\{"type":"ack","request_id":"a1","status":"ok",TS,"client_id":"[0-9a-f-]{36}",'
        r'"user":"42","expires_in":(86400|86399)\}',
    )
    client.send(type="auth", token=token(ttl=50), request_id="a2")
    client.receive_text()
    assert_raw(
        client.receive_text(), r'\{"type":"info","msg":"token_expiring",TS,"expires_in":(50|49)\}'
    )


def test_user_of_events(required: Server) -> None:
    """An event names the authenticated user last; the publisher gets no copy."""
    reader = required.connect(headers=bearer(subscribe=["orders"]))
    writer = required.connect(headers=bearer("ä", publish=["orders"], subscribe=["orders"]))
    subscribe(reader, "orders")
    subscribe(writer, "orders")
    writer.send(type="publish", topic="orders", message={"id": UUID, "payload": 99.5})
    assert_text(
        reader.receive_text(),
        f'{{"type":"event","topic":"orders","message":{{"id":"{UUID}","payload":99.5}},TS,'
        '"user":"ä"}',
    )
    assert writer.receive()["type"] == "ack"
    writer.assert_nothing_came()


def bearer(sub: str = "42", **claims: Any) -> dict[str, str]:
    """Return the header with a token."""
    return {"Authorization": f"Bearer {token(sub, **claims)}"}


# --- Refusals ---


@pytest.mark.parametrize(
    ("text", "closed", "message"),
    [
        ("x", (3500, "invalid token"), "the token is not a JSON Web Token"),
        (token(secret="c" * 32), (3500, "invalid token"), "the token's signature is wrong"),
        (token(ttl=-1), (3005, "expired"), "the token has expired"),
    ],
)
def test_bad_token(required: Server, text: str, closed: tuple[int, str], message: str) -> None:
    """A bad token is answered with UNAUTHORIZED and the reason, and then a close frame."""
    clients = [
        required.connect(headers={"Authorization": f"Bearer {text}"}),
        required.connect(subprotocols=["chatroom.v1", f"chatroom.bearer.{text}"]),
        required.connect(),
    ]
    clients[2].send_all(
        [
            {"type": "auth", "token": text, "request_id": "a"},
            {"type": "subscribe", "topic": "orders"},
        ]
    )
    for client in clients:
        assert client.receive()["error"] == {"code": "UNAUTHORIZED", "message": message}
        assert client.receive_close() == closed


def test_rights(required: Server) -> None:
    """What the token does not list is forbidden, whether the topic exists or not."""
    client = required.connect(headers=bearer(subscribe=["orders", "user.42.*"], publish=["p"]))
    assert subscribe(client, "orders") == "ack"
    assert subscribe(client, "user.42.inbox") == "ack"
    assert subscribe(client, "user.43.inbox") == "FORBIDDEN"
    assert client.publish("p")["type"] == "ack"
    refusal = client.ask(
        type="publish", topic="orders", message={"id": UUID, "payload": 1}, request_id="r"
    )
    assert (refusal["error"]["code"], refusal["request_id"], refusal["topic"]) == (
        *("FORBIDDEN", "r", "orders"),
    )
    assert subscribe(client, "p") == "FORBIDDEN"
    assert subscribe(client, "missing") == "FORBIDDEN"


def test_stale_client(start_server: StartServer) -> None:
    """A client that does not authenticate in time is closed with 3502; others stay."""
    server = start_server(CHATROOM_AUTH="required", CHATROOM_AUTH_TIMEOUT="0.5", **SETTINGS)
    member = server.connect(headers=bearer(subscribe=["orders"]))
    stranger = server.connect()
    assert stranger.ask(type="ping")["type"] == "pong"
    assert stranger.receive_close() == (3502, "stale")
    assert subscribe(member, "orders") == "ack"


def test_anonymous_client(start_server: StartServer) -> None:
    """Where a token is optional, a client without one reads what is open to everyone."""
    server = start_server(
        CHATROOM_AUTH="optional", CHATROOM_ANONYMOUS_SUBSCRIBE="news,open.*", **SETTINGS
    )
    reader = server.connect()
    assert subscribe(reader, "news") == "ack"
    assert subscribe(reader, "open.1") == "ack"
    assert subscribe(reader, "orders") == "UNAUTHORIZED"
    assert reader.publish("news")["error"]["code"] == "UNAUTHORIZED"
    writer = server.connect(headers=bearer(publish=["news"]))
    writer.publish("news")
    assert reader.receive()["user"] == "42"
    bad = server.connect(headers={"Authorization": "Bearer x"})
    assert bad.receive_close() == (3500, "invalid token")


# --- Renewal and expiry ---


def test_renewal(required: Server) -> None:
    """A new token of the same user takes over; another one changes nothing."""
    client = required.connect(headers=bearer(subscribe=["a", "b"]))
    subscribe(client, "a")
    subscribe(client, "b")
    other = client.ask(type="auth", token=token("43"), request_id="r")
    assert (other["error"]["code"], other["request_id"]) == ("FORBIDDEN", "r")
    assert client.ask(type="auth", token="x")["error"]["code"] == "UNAUTHORIZED"
    assert client.ask(type="auth", token=token(ttl=-1))["error"]["code"] == "UNAUTHORIZED"
    assert client.ask(type="auth", token=token(subscribe=["b"]))["type"] == "ack"
    assert_text(client.receive_text(), '{"type":"info","topic":"a","msg":"permission_revoked",TS}')
    assert subscribe(client, "a") == "FORBIDDEN"
    assert client.ask(type="unsubscribe", topic="b")["type"] == "ack"


def test_expiry_in_the_handshake_is_announced_at_once(required: Server) -> None:
    """A token that expires within a minute is announced before the client sends anything."""
    client = required.connect(headers=bearer(ttl=20))
    notice = client.receive()
    assert (notice["msg"], notice["expires_in"] <= 20) == ("token_expiring", True)


def test_rotation(start_server: StartServer) -> None:
    """Tokens with the previous secret stay valid after a change of the secret."""
    server = start_server(
        CHATROOM_AUTH="required",
        CHATROOM_JWT_PREVIOUS_SECRET=SECRET,
        **{**SETTINGS, "CHATROOM_JWT_SECRET": "n" * 32},
    )
    for secret in (SECRET, "n" * 32):
        client = server.connect(headers=bearer(secret=secret, subscribe=["a"]))
        assert subscribe(client, "a") == "ack"


# --- Off ---


def test_authentication_is_off(server: Server) -> None:
    """By default tokens are not looked at, and ``auth`` is refused."""
    client = server.connect(headers={"Authorization": "Bearer x"})
    server.create_topic("orders")
    assert subscribe(client, "orders") == "ack"
    refusal = client.ask(type="auth", token="x", request_id="a")
    assert refusal["error"] == {"code": "BAD_REQUEST", "message": "authentication is off"}


# --- Settings ---

BAD_SETTINGS = [
    ({"AUTH": "required"}, "CHATROOM_AUTH must be none, because required needs JWT_SECRET, "),
    ({"JWT_SECRET": "sesame"}, "CHATROOM_JWT_SECRET must be a secret of at least 32 bytes"),
    (
        {"JWT_PUBLIC_KEY": "-----BEGIN PUBLIC KEY-----\nsesame"},
        "CHATROOM_JWT_PUBLIC_KEY is not a public key in PEM format",
    ),
    (
        {"AUTH": "required", "AUTHORIZER": "tests.live.client.Client"},
        "CHATROOM_AUTHORIZER tests.live.client.Client has no method may_subscribe",
    ),
]


@pytest.mark.parametrize(("settings", "message"), BAD_SETTINGS)
def test_bad_setting_stops_the_start(settings: dict[str, str], message: str) -> None:
    """An invalid setting stops the start with one line, which shows no secret."""
    environment = {f"CHATROOM_{name}": value for name, value in settings.items()}
    status, output = run(*DAPHNE, **environment)
    assert status == 1
    assert output.startswith(f"chatroom: {message}"), output
    assert output.count("\n") == 1
    assert "sesame" not in output
