"""The users of a Django project with a database: sessions, authorizers and changed permissions."""

import socket
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.auth.support import token
from tests.live.client import UUID, Client
from tests.live.server import Server
from tests.live.template import run
from tests.live.test_protocol import assert_text
from tests.live.waiting import PATIENCE

APPLICATION = ("-m", "daphne", "-p", "0", "tests.live.host.signed_in:application")
NAMES = ("ann", "bob", "cid", "dan", "eve", "fay", "gil", "hal")


class Gate:
    """Where an authorizer waits for the answer of a test."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(PATIENCE)
        self.port = self._server.getsockname()[1]

    def wait_until_asked(self) -> socket.socket:
        """Return the socket of an authorizer that waits for ``y`` or ``n``."""
        return self._server.accept()[0]

    def close(self) -> None:
        """Ask for no more questions."""
        self._server.close()


class Club:
    """The project, its users, and what its authorizer waits for."""

    def __init__(
        self,
        authorizer: str,
        database: Path,
        application: tuple[str, ...] = APPLICATION,
        *,
        origins: str = "",
    ) -> None:
        self.gate = Gate()
        environment = {
            "CLUB_ORIGINS": origins,
            "CLUB_DATABASE": str(database),
            "CLUB_AUTHORIZER": authorizer,
            "CLUB_GATE": str(self.gate.port),
        }
        create = ("-m", "tests.live.host.club_database", *NAMES)
        assert run(*create, **environment) == (0, "")
        self.server = Server(
            *application, DJANGO_SETTINGS_MODULE="tests.live.host.club", **environment
        )

    def log_in(self, name: str) -> dict[str, str]:
        """Return the headers with the cookie of a new session."""
        _, headers, _ = self.server.raw_request("GET", f"/login/{name}")
        return {"Cookie": headers["Set-Cookie"].partition(";")[0]}

    def connect(self, name: str) -> Client:
        """Open a WebSocket in a session of a user."""
        return self.server.connect(headers=self.log_in(name))

    def subscriber(self, name: str, topic: str = "orders") -> Client:
        """Open a WebSocket and subscribe it."""
        client = self.connect(name)
        assert subscribe(client, topic) == "ack"
        return client

    def change(self, action: str, name: str) -> None:
        """Change what a user may do."""
        assert self.server.request("GET", f"/{action}/{name}")[0] == 200

    def close(self) -> None:
        """Stop the server, and check what it has logged."""
        with closing(self.gate), closing(self.server):
            assert self.server.stop() == 0
            assert self.server.complaints() == []


@pytest.fixture(scope="module", params=["Plain", "Asynchronous"])
def club(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Club]:
    """The project, with an authorizer of ordinary methods, and with one of coroutines."""
    with closing(Club(request.param, tmp_path_factory.mktemp("club") / "db.sqlite3")) as club:
        yield club


def subscribe(client: Client, topic: str) -> Any:
    """Return the answer to a subscription: ``ack`` or an error code."""
    answer = client.ask(type="subscribe", topic=topic)
    return answer.get("error", {}).get("code", answer["type"])


def publish(client: Client) -> Any:
    """Return the answer to a publication: ``ack`` or an error code."""
    answer = client.publish("orders", 1)
    return answer.get("error", {}).get("code", answer["type"])


REVOKED = '{"type":"info","topic":"orders","msg":"permission_revoked",TS}'


def test_session_of_a_member(club: Club) -> None:
    """The cookie of the handshake says who the client is, and the authorizer what it may do."""
    reader, writer = club.subscriber("ann"), club.connect("bob")
    _, user = club.server.request("GET", "/login/bob")
    assert publish(writer) == "ack"
    assert_text(
        reader.receive_text(),
        f'{{"type":"event","topic":"orders","message":{{"id":"{UUID}","payload":1}},TS,'
        f'"user":"{user["user"]}"}}',
    )
    assert subscribe(reader, "other") == "FORBIDDEN"


def test_user_without_rights(club: Club) -> None:
    """A user who is not a member may do nothing, whether the topic exists or not."""
    stranger = club.connect("stranger")
    assert subscribe(stranger, "orders") == "FORBIDDEN"
    assert subscribe(stranger, "missing") == "FORBIDDEN"
    assert publish(stranger) == "FORBIDDEN"
    assert stranger.ask(type="ping")["type"] == "pong"


def test_stream_in_a_session(club: Club) -> None:
    """A stream uses the session of its request, and ends when its user may not read it any more."""
    path = "/chat/events"
    assert club.server.stream("orders", path=path).error() == (401, "UNAUTHORIZED")
    cookie = club.log_in("hal")
    assert club.server.stream("other", path=path, headers=cookie).error() == (403, "FORBIDDEN")
    stream = club.server.stream("orders", path=path, headers=cookie)
    club.change("leave", "hal")
    assert [event.type for event in stream.receive_rest()] == ["ack", "info", ""]
    club.change("join", "hal")


@pytest.mark.parametrize("cookie", [None, "sessionid=wrong"])
def test_visitor_without_a_session(club: Club, cookie: str | None) -> None:
    """A visitor who has not logged in has to authenticate in another way."""
    visitor = club.server.connect(headers={"Cookie": cookie} if cookie else None)
    assert subscribe(visitor, "orders") == "UNAUTHORIZED"
    assert visitor.ask(type="auth", token=token("7", subscribe=["news"]))["type"] == "ack"
    assert subscribe(visitor, "news") == "ack"


def test_session_counts_before_a_token(club: Club) -> None:
    """The session is the first way in; a token of the same user takes over, and no other."""
    user = club.server.request("GET", "/login/ann")[1]["user"]
    bearer = {"Authorization": f"Bearer {token(user, subscribe=['news'])}"}
    client = club.server.connect(headers={**club.log_in("ann"), **bearer})
    assert subscribe(client, "orders") == "ack"
    assert client.ask(type="auth", token=token("x"))["error"]["code"] == "FORBIDDEN"
    assert client.ask(type="auth", token=token(user, subscribe=["news"]))["type"] == "ack"
    assert_text(client.receive_text(), REVOKED)
    assert subscribe(client, "news") == "ack"


def test_page_of_another_site(club: Club) -> None:
    """A page of another host cannot use the visitor's cookie."""
    own = f"http://127.0.0.1:{club.server.port}"
    cookie = club.log_in("ann")
    assert subscribe(club.server.connect(headers=cookie, origin=own), "orders") == "ack"
    with pytest.raises(Exception, match="HTTP 403"):
        club.server.connect(headers=cookie, origin="http://evil.example")


def test_any_page_may_not_use_a_session(tmp_path: Path) -> None:
    """Where pages of all origins may connect, those of others get no session of their visitor."""
    with closing(Club("Plain", tmp_path / "db.sqlite3", origins="*")) as club:
        own = f"http://127.0.0.1:{club.server.port}"
        cookie = club.log_in("ann")
        assert subscribe(club.server.connect(headers=cookie, origin=own), "orders") == "ack"
        stranger = club.server.connect(headers=cookie, origin="http://evil.example")
        assert subscribe(stranger, "orders") == "UNAUTHORIZED"


def test_only_the_asking_client_waits(club: Club) -> None:
    """While the authorizer thinks about one client, all others are served, even of one user."""
    asking, reader, writer = club.connect("ann"), club.subscriber("ann"), club.connect("bob")
    asking.send_all([{"type": "subscribe", "topic": "held"}, {"type": "ping", "request_id": "p"}])
    with club.gate.wait_until_asked() as question:
        assert publish(writer) == "ack"
        assert reader.receive()["type"] == "event"
        assert subscribe(club.connect("cid"), "orders") == "ack"
        assert not asking.has_input()
        question.send(b"y")
    assert asking.receive()["type"] == "ack"
    assert asking.receive()["request_id"] == "p"
    assert subscribe(asking, "held") == "ack"  # the answer is kept


def test_client_that_leaves_before_the_answer(club: Club) -> None:
    """A client that is lost while the authorizer thinks about it harms no one."""
    asking = club.connect("ann")
    asking.send(type="subscribe", topic="held")
    with club.gate.wait_until_asked() as question:
        asking.reset()
        assert subscribe(club.connect("bob"), "orders") == "ack"
        question.send(b"y")
    assert subscribe(club.connect("bob"), "orders") == "ack"


@pytest.mark.parametrize(
    ("action", "name"), [("leave", "cid"), ("leave-from-event-loop", "dan")], ids=["signal", "loop"]
)
def test_revoked_permission(club: Club, action: str, name: str) -> None:
    """All connections of the user lose the topic, and those of others do not."""
    leavers = [club.subscriber(name) for _ in range(2)]
    member = club.subscriber("ann")
    club.change(action, name)
    for client in leavers:
        assert_text(client.receive_text(), REVOKED)
        assert subscribe(client, "orders") == "FORBIDDEN"
    assert publish(club.connect("bob")) == "ack"
    assert member.receive()["type"] == "event"
    for client in leavers:
        client.assert_nothing_came()
    club.change("join", name)
    assert subscribe(leavers[0], "orders") == "ack"


def test_changed_permission_that_django_caches(club: Club) -> None:
    """The user is loaded again, because Django keeps the permissions of an object."""
    writer = club.connect("eve")
    assert publish(writer) == "ack"
    request = urllib.request.Request(f"http://127.0.0.1:{club.server.port}/silence/eve")
    request.add_header("Cookie", club.log_in("eve")["Cookie"])
    with urllib.request.urlopen(request, timeout=PATIENCE):
        pass
    assert publish(writer) == "FORBIDDEN"


@pytest.mark.parametrize(("action", "name"), [("deactivate", "fay"), ("delete", "gil")])
def test_user_who_is_gone(club: Club, action: str, name: str) -> None:
    """A user who was deactivated or deleted is disconnected."""
    client, other = club.subscriber(name), club.subscriber("ann")
    club.change(action, name)
    assert client.receive_close() == (3503, "force disconnect")
    other.assert_nothing_came()


def test_lost_database_connection(club: Club) -> None:
    """A connection to the database that is lost spoils no later answer."""
    client = club.connect("ann")
    for _ in range(2):
        assert subscribe(client, "dropped") == "ack"
        assert subscribe(client, "orders") == "ack"
        client = club.connect("bob")
