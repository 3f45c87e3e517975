"""Presence over a connection: the commands, who a client is, and how it left."""

import asyncio
import logging
from typing import Any

import pytest

from pubsub import fairness
from pubsub.auth.access import Access
from pubsub.auth.configuration import Auth
from pubsub.core.options import GivenOptions, TopicRules
from pubsub.protocol.codes import Close
from tests.auth.support import token
from tests.connection.support import MemoryTransport, Room, open_room, publication, turn
from tests.connection.test_session import User, access, auth, kinds, until

ASK = {"type": "presence", "topic": "t", "request_id": "p"}
PRESENCE = TopicRules({"t": GivenOptions(presence=True, history=10)})


def subscribe(**options: Any) -> dict[str, Any]:
    """Return the command of a watcher."""
    return {"type": "subscribe", "topic": "t", "presence": True, **options}


def with_tokens(**settings: Any) -> Access:
    """Return an access control in which a client may stay anonymous."""
    return access(Auth.OPTIONAL, anonymous_subscribe=("*",), **settings)


def bearer(user: str = "42", **claims: Any) -> str:
    """Return a token with which a user may subscribe to everything."""
    return token(user, subscribe=["*"], **claims)


def members(room: Room) -> list[tuple[str | None, bytes, int]]:
    """Return the members that are users."""
    notice = room.runtime.broker.presence("t")
    return [
        (member.who.user, member.info, member.clients)
        for member in notice.members or ()
        if member.who.user
    ]


async def test_order_of_a_subscription() -> None:
    """The acknowledgement comes first, then who is there, and then past events."""
    async with open_room(topics=PRESENCE) as room:
        publisher, _ = await room.connect()
        publisher.receive(publication())
        transport, connection = await room.connect()
        transport.receive(subscribe(last_n=5, request_id="s"))
        await turn()
        ack, presence, event = transport.sent
        assert (ack["type"], ack["request_id"], event["type"]) == ("ack", "s", "event")
        assert list(presence) == ["type", "topic", "ts", "clients", "users", "members"]
        assert presence["members"] == [{"client_id": connection.client.id}]


async def test_command() -> None:
    """The command is answered with all members, whether the client is subscribed or not."""
    async with open_room(topics=PRESENCE) as room:
        transport, _ = await room.connect()
        transport.receive(ASK)
        await turn()
        (answer,) = transport.sent
        assert (answer["type"], answer["request_id"], answer["members"]) == ("presence", "p", [])


async def test_members_are_charged() -> None:
    """Listing many members costs more than an acknowledgement."""
    async with open_room(topics=PRESENCE) as room:
        for _ in range(3):
            transport, connection = await room.connect()
            transport.receive({"type": "subscribe", "topic": "t"})
        budget = connection._budget
        transport.receive(ASK)
        assert budget - connection._budget == fairness.COMMAND + 3 * fairness.LISTED_MEMBER


async def test_topic_without_presence() -> None:
    """Where there is no presence, asking for it is a bad request and makes no subscription."""
    async with open_room() as room:
        room.runtime.broker.create_topic("t")
        transport, _ = await room.connect()
        transport.receive(subscribe(request_id="s"), ASK)
        await turn()
        assert kinds(transport) == ["BAD_REQUEST"] * 2
        assert [each["request_id"] for each in transport.sent] == ["s", "p"]
        assert room.runtime.broker.subscriber_counts() == {"t": 0}


async def test_changes_are_told_after_the_interval() -> None:
    """A watcher is told of a user that joins, with what the token says, by the event loop."""
    async with open_room(with_tokens(), topics=PRESENCE, presence_interval=0.001) as room:
        transport, _ = await room.connect()
        transport.receive(subscribe())
        other, _ = await room.connect(token=bearer(info={"name": "Ann"}))
        other.receive({"type": "subscribe", "topic": "t"})
        await until(transport, 3)
        change = transport.sent[-1]
        assert (change["clients"], change["users"], change["left"]) == (2, 1, [])
        assert change["joined"] == [{"user": "42", "info": {"name": "Ann"}, "clients": 1}]


async def test_rights() -> None:
    """Asking for presence needs the right to subscribe."""
    async with open_room(access(), topics=PRESENCE) as room:
        transport, _ = await room.connect(token=token(subscribe=["other"]))
        transport.receive(ASK, subscribe())
        await turn()
        assert kinds(transport) == ["FORBIDDEN"] * 2


async def test_client_that_authenticates_later() -> None:
    """A client that presents a token becomes a member as a user; a new token renews its info."""
    async with open_room(with_tokens(), topics=PRESENCE) as room:
        transport, _ = await room.connect()
        transport.receive(subscribe())
        assert members(room) == []
        transport.receive(auth(bearer(info={"n": 1})))
        assert members(room) == [("42", b'{"n":1}', 1)]
        transport.receive(auth(bearer()))
        assert members(room) == [("42", b"{}", 1)]
        transport.receive(auth(token()))
        assert members(room) == []  # the permission was revoked, so the user has left


def lose(transport: MemoryTransport) -> None:
    """Lose the connection."""
    transport.lose()


def go_away(transport: MemoryTransport) -> None:
    """Close the connection as a page does that is left."""
    transport.close_code = 1001
    transport.lose()


def close_without_code(transport: MemoryTransport) -> None:
    """Close the connection without saying why."""
    transport.close_code = 1005
    transport.lose()


def unsubscribe(transport: MemoryTransport) -> None:
    """End the subscription."""
    transport.receive({"type": "unsubscribe", "topic": "t"})


@pytest.mark.parametrize(
    ("leave", "lingers"),
    [(lose, True), (close_without_code, True), (go_away, False), (unsubscribe, False)],
)
async def test_ways_to_leave(leave: Any, lingers: bool) -> None:
    """A user whose connection is lost lingers; one that closes it or unsubscribes has left."""
    async with open_room(with_tokens(), topics=PRESENCE) as room:
        transport, _ = await room.connect(token=bearer())
        transport.receive(subscribe())
        leave(transport)
        assert members(room) == ([("42", b"{}", 0)] if lingers else [])


@pytest.mark.parametrize("method", ["close", "flush_and_close"])
async def test_closed_by_the_server(method: str) -> None:
    """A user whose connection the server closes may come back, and lingers."""
    async with open_room(with_tokens(), topics=PRESENCE) as room:
        transport, connection = await room.connect(token=bearer())
        transport.receive(subscribe())
        getattr(connection, method)(Close.SHUTDOWN)
        assert members(room) == [("42", b"{}", 0)]


# --- Users of the Django project ---


class Describing:
    """An authorizer that also says who its users are."""

    def __init__(self, info: Any) -> None:
        self.answer = info
        self.asked = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def may_subscribe(self, user: Any, topic: str) -> bool:
        """Allow everything but one topic."""
        return topic != "secret"

    async def may_publish(self, user: Any, topic: str) -> bool:
        """Allow everything."""
        return True

    async def info(self, user: Any) -> Any:
        """Describe the user, after a while."""
        self.asked += 1
        answer = self.answer
        await self.gate.wait()
        return answer


async def test_authorizer_describes_users() -> None:
    """The authorizer is asked once for each connection, before its first subscription."""
    authorizer = Describing({"name": "Ann"})
    async with open_room(access(authorizer=authorizer), topics=PRESENCE) as room:
        transport, _ = await room.connect(user=User())
        transport.receive(publication(), {"type": "subscribe", "topic": "secret"})
        await until(transport, 2)
        assert authorizer.asked == 0
        transport.receive(subscribe(), {"type": "subscribe", "topic": "u"})
        await until(transport, 5)
        assert members(room) == [("42", b'{"name":"Ann"}', 1)]
        assert authorizer.asked == 1


async def test_description_that_changes() -> None:
    """After a change in the project the authorizer is asked again."""
    authorizer = Describing({"n": 1})
    async with open_room(access(authorizer=authorizer), topics=PRESENCE) as room:
        transport, connection = await room.connect(user=User())
        transport.receive(subscribe())
        await until(transport, 2)
        authorizer.answer = None
        connection.session.recheck()
        await asyncio.wait([connection.session._rechecking])
        assert members(room) == [("42", b"{}", 1)]


async def test_description_from_before_a_change() -> None:
    """What the authorizer said before a change is not shown."""
    authorizer = Describing({"n": 1})
    authorizer.gate.clear()
    async with open_room(access(authorizer=authorizer), topics=PRESENCE) as room:
        transport, connection = await room.connect(user=User())
        transport.receive(subscribe())
        await turn()
        authorizer.answer = {"n": 2}
        connection.session.recheck()
        authorizer.gate.set()
        await until(transport, 2)
        assert authorizer.asked == 2
        assert members(room) == [("42", b'{"n":2}', 1)]


async def test_invalid_description(caplog: pytest.LogCaptureFixture) -> None:
    """A description that cannot be shown is a bug of the project, like any other."""
    async with open_room(access(authorizer=Describing("Ann")), topics=PRESENCE) as room:
        transport, _ = await room.connect(user=User())
        transport.receive(subscribe())
        await until(transport, 1)
        assert kinds(transport) == ["INTERNAL"]
        assert members(room) == []
        (record,) = caplog.records
        assert record.levelno == logging.ERROR
