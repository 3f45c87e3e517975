"""Sessions: credentials, rights, renewal and expiry, without a socket."""

import asyncio
import json
import logging
from typing import Any

import pytest

from pubsub.auth.access import Access
from pubsub.auth.configuration import AccessConfiguration, Auth
from pubsub.auth.identity import Identity, Patterns
from pubsub.connection import session as sessions
from pubsub.connection.connection import Connection
from pubsub.protocol.codes import Close
from pubsub.transport.asgi import ASGITransport
from tests.auth.support import SECRET, TTL, token
from tests.connection import support
from tests.connection.support import MemoryTransport, open_room, publication, turn


def access(auth: Auth = Auth.REQUIRED, authorizer: Any = None, **settings: Any) -> Access:
    """Return the access control of a room."""
    if authorizer is None:
        settings["jwt_secret"] = SECRET
    else:
        settings["authorizer"] = "tests.Authorizer"
    return Access(AccessConfiguration(auth=auth, **settings), authorizer)


def subscribe(topic: str = "t") -> dict[str, Any]:
    """Return a subscription with a request id."""
    return {"type": "subscribe", "topic": topic, "request_id": f"to {topic}"}


def auth(text: str) -> dict[str, Any]:
    """Return the command that presents a token."""
    return {"type": "auth", "token": text, "request_id": "a"}


def kinds(transport: MemoryTransport) -> list[str]:
    """Return what was sent: the types, the error codes and the kinds of notice."""
    return [
        message["error"]["code"] if "error" in message else message.get("msg", message["type"])
        for message in transport.sent
    ]


async def test_token_where_access_is_not_controlled() -> None:
    """Where everyone may do everything, a token is refused, and nothing else is."""
    async with open_room() as room:
        transport, _ = await room.connect()
        transport.receive(auth(token()), subscribe())
        await turn()
        assert kinds(transport) == ["BAD_REQUEST", "ack"]
        assert transport.sent[0]["error"]["message"] == "authentication is off"


# --- Without credentials ---


async def test_unauthenticated_client_may_only_ping_and_authenticate() -> None:
    """Where a token is required, every other command gets UNAUTHORIZED until there is one."""
    async with open_room(access()) as room:
        transport, _ = await room.connect()
        unsubscribe = {"type": "unsubscribe", "topic": "t"}
        transport.receive(subscribe(), publication(), unsubscribe, {"type": "ping"})
        transport.receive(auth(token(subscribe=["t"])), subscribe(), unsubscribe)
        await turn()
        assert kinds(transport) == [*["UNAUTHORIZED"] * 3, "pong", *["ack"] * 3]
        assert transport.sent[0]["error"]["message"] == "authenticate first"
        assert (transport.sent[0]["topic"], transport.sent[0]["request_id"]) == ("t", "to t")


async def test_anonymous_client_may_read_what_is_open() -> None:
    """Where a token is optional, a client without one may read the open topics, nothing else."""
    async with open_room(access(Auth.OPTIONAL, anonymous_subscribe=("news",))) as room:
        transport, _ = await room.connect()
        transport.receive(subscribe("news"), subscribe("t"), publication("news"))
        await turn()
        assert kinds(transport) == ["ack", "UNAUTHORIZED", "UNAUTHORIZED"]


async def test_client_that_does_not_authenticate_is_disconnected() -> None:
    """A client that has no token after the timeout is closed with 3502."""
    async with open_room(access(auth_timeout=0.001)) as room:
        transport, _ = await room.connect()
        await transport.wait_closed()
        assert transport.closed_with is Close.STALE


async def test_authenticated_client_is_not_stale() -> None:
    """Authenticating stops the clock of the timeout."""
    async with open_room(access()) as room:
        transport, connection = await room.connect()
        timeout = connection.session._timer
        transport.receive(auth(token()))
        await turn()
        assert timeout.cancelled()
        assert kinds(transport) == ["ack"]


async def test_invalid_name_without_credentials() -> None:
    """A client that has to authenticate first gets UNAUTHORIZED, and no invalid name back."""
    async with open_room(access()) as room:
        transport, _ = await room.connect()
        transport.receive({"type": "subscribe", "topic": "x" * 60_000})
        await turn()
        assert kinds(transport) == ["UNAUTHORIZED"]
        assert "topic" not in transport.sent[0]


@pytest.mark.parametrize(
    ("name", "rights", "code"),
    [
        ("x" * 129, "*", "BAD_REQUEST"),
        ("x" * 129, "t", "BAD_REQUEST"),
        ("a b", "*", "BAD_REQUEST"),
        ("a b", "t", "FORBIDDEN"),
    ],
)
async def test_invalid_name_with_a_token(name: str, rights: str, code: str) -> None:
    """What the token does not cover is FORBIDDEN, unless the name is too long to be looked at."""
    async with open_room(access()) as room:
        transport, _ = await room.connect(token=token(subscribe=[rights], publish=[rights]))
        transport.receive({"type": "subscribe", "topic": name}, publication(name))
        await turn()
        assert kinds(transport) == [code] * 2
        assert not any("topic" in error for error in transport.sent)


class Unmatched(Patterns):
    """Rights of which nothing may be compared with a name."""

    def cover(self, topic: str) -> bool:
        """Fail the test."""
        raise AssertionError


async def test_too_long_name_is_not_matched() -> None:
    """A name that is too long costs no comparison with the patterns of a token."""
    async with open_room(access()) as room:
        transport, connection = await room.connect(token=token())
        connection.session.identity = Identity("42", subscribe=Unmatched())
        transport.receive({"type": "subscribe", "topic": "x" * 60_000})
        await turn()
        assert kinds(transport) == ["BAD_REQUEST"]


async def test_history_and_presence_need_the_rights_of_a_subscription() -> None:
    """Who may not subscribe may neither see past messages nor who is there."""
    questions = [{"type": kind, "topic": "t"} for kind in ("history", "presence")]
    async with open_room(access(), history_size=5) as room:
        room.runtime.broker.create_topic("t")
        stranger, _ = await room.connect()
        stranger.receive(*questions)
        outsider, _ = await room.connect(token=token(subscribe=["u"]))
        outsider.receive(*questions)
        reader, _ = await room.connect(token=token(subscribe=["t"]))
        reader.receive(*questions)
        await turn()
        assert kinds(stranger) == ["UNAUTHORIZED"] * 2
        assert kinds(outsider) == ["FORBIDDEN"] * 2
        assert kinds(reader) == ["history", "BAD_REQUEST"]  # the topic has no presence


# --- The first token ---


async def test_token_in_the_handshake() -> None:
    """A valid token in the handshake is not answered, and its rights apply at once."""
    async with open_room(access()) as room:
        transport, connection = await room.connect(token=token(subscribe=["t"], publish=["p"]))
        assert transport.sent == []
        assert connection.session.identity.user == "42"
        transport.receive(subscribe(), subscribe("other"), publication("p"), publication())
        await turn()
        assert kinds(transport) == ["ack", "FORBIDDEN", "ack", "FORBIDDEN"]
        assert "subscribing" in transport.sent[1]["error"]["message"]
        assert "publishing" in transport.sent[3]["error"]["message"]


@pytest.mark.parametrize(
    ("text", "reason", "message"),
    [
        ("x", Close.INVALID_TOKEN, "the token is not a JSON Web Token"),
        (token(ttl=-1), Close.EXPIRED, "the token has expired"),
    ],
)
async def test_bad_first_token(text: str, reason: Close, message: str) -> None:
    """A bad token, in the handshake or in the first ``auth``, ends the connection."""
    async with open_room(access()) as room:
        first, _ = await room.connect(token=text)
        second, _ = await room.connect()
        second.receive(auth(text), subscribe())
        for transport in (first, second):
            (refusal,) = transport.sent
            assert refusal["error"] == {"code": "UNAUTHORIZED", "message": message}
            assert transport.closed_with is reason
        assert second.sent[0]["request_id"] == "a"
        assert room.runtime.broker.client_count == 0


async def test_ack_of_a_token() -> None:
    """The acknowledgement says who the client is, and for how long."""
    async with open_room(access()) as room:
        transport, connection = await room.connect()
        transport.receive(auth(token()))
        await turn()
        ack = transport.sent[0]
        assert list(ack) == [
            *("type", "request_id", "status", "ts", "client_id", "user", "expires_in")
        ]
        assert ack["client_id"] == connection.client.id
        assert (ack["request_id"], ack["user"]) == ("a", "42")
        assert TTL - 10 <= ack["expires_in"] <= TTL


async def test_connection_that_is_closed_before_it_starts() -> None:
    """A client that connects while the server stops is not authenticated any more."""
    async with open_room(access()) as room:
        room.runtime.drain.active = True
        transport, connection = await room.connect(token="x")
        assert transport.closed_with is Close.SHUTDOWN
        assert connection.session.identity is None


# --- Renewal ---


async def test_renewal_ends_what_the_new_token_does_not_cover() -> None:
    """A new token of the same user takes the place of the old one."""
    async with open_room(access()) as room:
        transport, _ = await room.connect(token=token(subscribe=["a", "b"]))
        transport.receive(subscribe("a"), subscribe("b"), auth(token(subscribe=["b", "c"])))
        transport.receive(subscribe("a"), subscribe("c"))
        await turn()
        assert kinds(transport) == [
            *["ack"] * 3,
            *("permission_revoked", "FORBIDDEN", "ack"),
        ]
        assert transport.sent[3]["topic"] == "a"
        assert room.runtime.broker.subscriber_counts() == {"a": 0, "b": 1, "c": 1}


async def test_bad_renewal_changes_nothing() -> None:
    """A bad token, or one of another user, is refused, and the session stays as it was."""
    async with open_room(access()) as room:
        transport, _ = await room.connect(token=token(subscribe=["t"]))
        transport.receive(auth("x"), auth(token(ttl=-1)), auth(token("43")), subscribe())
        await turn()
        assert kinds(transport) == ["UNAUTHORIZED", "UNAUTHORIZED", "FORBIDDEN", "ack"]
        assert transport.closed_with is None


async def test_anonymous_client_may_authenticate() -> None:
    """An anonymous client may present a token; what that does not cover ends."""
    async with open_room(access(Auth.OPTIONAL, anonymous_subscribe=("*",))) as room:
        transport, _ = await room.connect()
        transport.receive(subscribe("a"), auth(token(publish=["a"])), publication("a"))
        await turn()
        assert kinds(transport) == ["ack", "ack", "permission_revoked", "ack"]


# --- Expiry ---


async def test_notice_before_the_expiry() -> None:
    """A token that expires soon is announced at once, and another one stops the clock."""
    async with open_room(access()) as room:
        transport, connection = await room.connect(token=token(ttl=30))
        await turn()
        (notice,) = transport.sent
        assert list(notice) == ["type", "msg", "ts", "expires_in"]
        assert notice["msg"] == "token_expiring"
        assert 28 <= notice["expires_in"] <= 30
        first = connection.session._timer
        transport.receive(auth(token()))
        await turn()
        assert first.cancelled()


async def test_notice_and_close_at_their_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """The notice comes before the expiry and the close frame 3005 after it."""
    monkeypatch.setattr(sessions, "NOTICE_SECONDS", 599.99)
    monkeypatch.setattr(sessions, "GRACE_SECONDS", -599.98)
    async with open_room(access()) as room:
        transport, _ = await room.connect(token=token(ttl=601))
        await transport.wait_closed()
        assert kinds(transport) == ["token_expiring"]
        assert transport.closed_with is Close.EXPIRED


async def test_timers_end_with_the_connection() -> None:
    """A lost connection leaves no timer behind."""
    async with open_room(access()) as room:
        transport, connection = await room.connect(token=token())
        timer = connection.session._timer
        transport.lose()
        await turn()
        assert timer.cancelled()


# --- Events ---


async def test_events_name_their_user() -> None:
    """An event of an authenticated user says who published it, last."""
    async with open_room(access()) as room:
        reader, _ = await room.connect(token=token(subscribe=["t"]))
        writer, _ = await room.connect(token=token('4"2', publish=["t"]))
        reader.receive(subscribe())
        writer.receive(publication())
        await turn()
        event = reader.sent[-1]
        assert list(event) == ["type", "topic", "message", "ts", "user"]
        assert event["user"] == '4"2'
        room.runtime.broker.publish("t", "id", b"1")
        await turn()
        assert "user" not in reader.sent[-1]


# --- Users of the Django project ---


class User:
    """A user of the project."""

    pk = 42
    is_authenticated = True


class Authorizer:
    """Lets users do what a test says, and pauses where it says so."""

    def __init__(self) -> None:
        self.allowed = {"t"}
        self.broken = "broken"
        self.questions: list[tuple[str, str]] = []
        self.users: list[Any] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def may_subscribe(self, user: Any, topic: str) -> bool:
        """Answer after a while."""
        self.questions.append(("subscribe", topic))
        allowed = topic in self.allowed
        await self.gate.wait()
        if topic == self.broken:
            raise ZeroDivisionError("the project has a bug")
        return allowed

    def may_publish(self, user: Any, topic: str) -> bool:
        """Answer in a thread."""
        self.questions.append(("publish", topic))
        self.users.append(user)
        return topic in self.allowed and user.pk == 42

    def may_manage(self, user: Any, topic: str) -> bool:
        """Is not asked over a WebSocket."""
        return False


async def until(transport: MemoryTransport, count: int) -> None:
    """Wait until so many messages have been sent; threads may have to finish first."""
    while len(transport.sent) < count:  # noqa: ASYNC110  # a memory transport has no event
        await asyncio.sleep(0.001)


async def test_authorizer_decides_once() -> None:
    """The project is asked once for each action and topic of a connection."""
    authorizer = Authorizer()
    async with open_room(access(authorizer=authorizer)) as room:
        transport, connection = await room.connect(user=User())
        assert connection.session.identity.user == "42"
        transport.receive(subscribe(), publication(), subscribe(), publication(), subscribe("x"))
        transport.receive({"type": "ping"})
        await until(transport, 6)
        assert kinds(transport) == [*["ack"] * 4, "FORBIDDEN", "pong"]
        assert authorizer.questions == [("subscribe", "t"), ("publish", "t"), ("subscribe", "x")]


async def test_authorizer_is_asked_about_valid_names_only() -> None:
    """A name that no topic can have is BAD_REQUEST, and neither asked about nor kept."""
    authorizer = Authorizer()
    async with open_room(access(authorizer=authorizer)) as room:
        transport, connection = await room.connect(user=User())
        transport.receive({"type": "subscribe", "topic": "x" * 60_000}, publication("a b"))
        await until(transport, 2)
        assert kinds(transport) == ["BAD_REQUEST"] * 2
        assert authorizer.questions == []
        assert connection.session._answers == {}


async def test_only_the_asking_client_waits() -> None:
    """While the project decides for one client, its messages wait and others are served."""
    authorizer = Authorizer()
    authorizer.gate.clear()
    async with open_room(access(authorizer=authorizer)) as room:
        waiting, _ = await room.connect(user=User())
        other, _ = await room.connect(user=User())
        waiting.receive(subscribe(), {"type": "ping"})
        other.receive({"type": "ping"})
        await turn()
        assert (waiting.sent, kinds(other)) == ([], ["pong"])
        assert not waiting.reading
        authorizer.gate.set()
        await until(waiting, 2)
        assert kinds(waiting) == ["ack", "pong"]
        assert waiting.reading


async def test_client_that_leaves_while_it_waits() -> None:
    """A client that is lost while the project decides subscribes to nothing."""
    authorizer = Authorizer()
    authorizer.gate.clear()
    async with open_room(access(authorizer=authorizer)) as room:
        room.runtime.broker.create_topic("t")
        transport, connection = await room.connect(user=User())
        transport.receive(subscribe())
        await turn()
        deciding = connection._waiting
        transport.lose()
        await asyncio.wait([deciding])
        assert deciding.cancelled()
        assert room.runtime.broker.subscriber_counts() == {"t": 0}


async def test_client_that_is_closed_while_it_waits() -> None:
    """On any ASGI server, a client that is closed while the project decides leaves no task."""
    authorizer = Authorizer()
    authorizer.gate.clear()
    async with open_room(access(authorizer=authorizer)) as room:
        room.runtime.broker.create_topic("t")
        incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        sent: list[dict[str, Any]] = []

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        transport = ASGITransport(incoming.get, send, room.runtime.timeouts, room.runtime.traffic)
        connection = Connection(room.runtime, transport, user=User())
        task = asyncio.create_task(connection.run())
        for command in (subscribe(), subscribe("late")):
            incoming.put_nowait({"type": "websocket.receive", "text": json.dumps(command)})
        await support.until(lambda: authorizer.questions)
        connection.close(Close.FORCE_DISCONNECT)
        incoming.put_nowait({"type": "websocket.disconnect", "code": 3503})
        await asyncio.wait_for(task, 20)
        assert sent == [{"type": "websocket.close", "code": 3503, "reason": "force disconnect"}]
        assert authorizer.questions == [("subscribe", "t")]
        assert room.runtime.broker.subscriber_counts() == {"t": 0}


async def test_bug_in_the_authorizer(caplog: pytest.LogCaptureFixture) -> None:
    """An exception of the project is logged; the client gets INTERNAL and no right."""
    async with open_room(access(authorizer=Authorizer())) as room:
        transport, _ = await room.connect(user=User())
        transport.receive(subscribe("broken"), {"type": "ping"})
        await until(transport, 2)
        assert kinds(transport) == ["INTERNAL", "pong"]
        (record,) = caplog.records
        assert record.levelno == logging.ERROR


async def test_answers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client cannot make the server remember any number of answers."""
    monkeypatch.setattr(sessions, "MAX_ANSWERS", 2)
    async with open_room(access(authorizer=Authorizer())) as room:
        transport, connection = await room.connect(user=User())
        transport.receive(*(subscribe(str(number)) for number in range(5)))
        await until(transport, 5)
        assert len(connection.session._answers) == 1


async def test_changed_permissions_end_subscriptions() -> None:
    """After a change the project is asked again, and what is no longer allowed ends."""
    authorizer = Authorizer()
    authorizer.allowed = {"a", "b"}
    async with open_room(access(authorizer=authorizer)) as room:
        transport, connection = await room.connect(user=User())
        transport.receive(subscribe("a"), subscribe("b"))
        await until(transport, 2)
        authorizer.allowed = {"a"}
        connection.session.recheck()
        connection.session.recheck()  # takes the place of the first
        await until(transport, 3)
        assert kinds(transport) == ["ack", "ack", "permission_revoked"]
        assert room.runtime.broker.subscriber_counts() == {"a": 1, "b": 0}


async def test_permissions_that_change_during_a_question() -> None:
    """An answer from before a change is not used: the question is asked again."""
    authorizer = Authorizer()
    authorizer.gate.clear()
    async with open_room(access(authorizer=authorizer)) as room:
        transport, connection = await room.connect(user=User())
        transport.receive(subscribe())
        await turn()
        authorizer.allowed.clear()
        connection.session.recheck()
        authorizer.gate.set()
        await until(transport, 1)
        assert kinds(transport) == ["FORBIDDEN"]


async def test_bug_during_a_recheck(caplog: pytest.LogCaptureFixture) -> None:
    """A client whose rights cannot be determined is disconnected."""
    authorizer = Authorizer()
    async with open_room(access(authorizer=authorizer)) as room:
        transport, connection = await room.connect(user=User())
        transport.receive(subscribe())
        await until(transport, 1)
        authorizer.broken = "t"
        connection.session.recheck()
        await transport.wait_closed()
        assert transport.closed_with is Close.INTERNAL
        errors = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert len(errors) == 1


async def test_deleted_user_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who was deleted is disconnected at the next recheck."""

    async def nobody(user: Any) -> None:
        return None

    monkeypatch.setattr(sessions.django, "reload", nobody)
    async with open_room(access(authorizer=Authorizer())) as room:
        transport, connection = await room.connect(user=User())
        connection.session.recheck()
        await transport.wait_closed()
        assert transport.closed_with is Close.FORCE_DISCONNECT


@pytest.fixture
def reloading(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Hold up the reloading of users until the event is set."""
    held = asyncio.Event()

    async def reload(user: Any) -> User:
        await held.wait()
        return User()

    monkeypatch.setattr(sessions.django, "reload", reload)
    return held


async def test_user_from_before_a_change_decides_nothing(reloading: asyncio.Event) -> None:
    """Questions wait until the user is loaded again, because it may have cached permissions."""
    authorizer = Authorizer()
    async with open_room(access(authorizer=authorizer)) as room:
        old = User()
        transport, connection = await room.connect(user=old)
        connection.session.recheck()
        connection.session.recheck()
        transport.receive(publication())
        await turn()
        assert authorizer.questions == []
        reloading.set()
        await until(transport, 1)
        assert len(authorizer.users) == 1
        assert old not in authorizer.users


async def test_change_during_a_reload(reloading: asyncio.Event) -> None:
    """A user that was loaded before another change decides nothing either."""
    authorizer = Authorizer()
    async with open_room(access(authorizer=authorizer)) as room:
        transport, connection = await room.connect(user=User())
        connection.session.recheck()
        transport.receive(publication())
        await turn()
        reloading.set()
        connection.session.recheck()
        await until(transport, 1)
        assert kinds(transport) == ["ack"]
        first, second = authorizer.users
        assert first is not second


async def test_question_of_a_deleted_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """The project is not asked about a user that it does not have any more."""
    reloads = iter([asyncio.Event().wait(), asyncio.sleep(0)])  # the first takes for ever

    async def nobody(user: Any) -> None:
        await next(reloads)

    monkeypatch.setattr(sessions.django, "reload", nobody)
    authorizer = Authorizer()
    async with open_room(access(authorizer=authorizer)) as room:
        transport, connection = await room.connect(user=User())
        connection.session.recheck()
        transport.receive(publication())
        await until(transport, 1)
        assert kinds(transport) == ["FORBIDDEN"]
        assert authorizer.questions == []


async def test_token_during_a_recheck(reloading: asyncio.Event) -> None:
    """A user who presents a token meanwhile has the rights of the token from then on."""
    authorizer = Authorizer()
    async with open_room(access(authorizer=authorizer, jwt_secret=SECRET)) as room:
        transport, connection = await room.connect(user=User())
        connection.session.recheck()
        await turn()
        transport.receive(auth(token(subscribe=["a"])))
        reloading.set()
        await turn()
        transport.receive(subscribe("a"))
        await turn()
        assert kinds(transport) == ["ack", "ack"]
        assert authorizer.questions == []


async def test_recheck_does_not_concern_tokens() -> None:
    """The rights of a token cannot change."""
    async with open_room(access()) as room:
        _, connection = await room.connect(token=token())
        connection.session.recheck()
        assert connection.session._rechecking is None


async def test_user_with_too_many_connections() -> None:
    """One connection too many of a user is closed with 3504, however it authenticates."""
    async with open_room(access(), max_connections_per_user=1) as room:
        await room.connect(token=token())
        at_once, _ = await room.connect(token=token(ttl=30))
        later, _ = await room.connect()
        later.receive(auth(token()), {"type": "ping"})
        await turn()
        for transport in (at_once, later):
            assert transport.closed_with is Close.CONNECTION_LIMIT
            assert transport.sent == []
