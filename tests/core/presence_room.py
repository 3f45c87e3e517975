"""A room with presence, whose time passes when a test says so."""

from typing import Any

from pubsub.core.broker import Broker
from pubsub.core.client import Client
from pubsub.core.members import Members
from pubsub.core.notices import Notice, Who
from pubsub.core.options import GivenOptions, TopicOptions
from pubsub.core.publication import Frame
from pubsub.core.shared import SharedBroker
from tests.clock import Clock
from tests.core.support import join, make_broker, make_shared_broker, reply

INTERVAL = 1.0
LINGER = 5.0


class Room:
    """A broker with one topic, ``t``, that has presence, and all notices that it has encoded."""

    def __init__(self, **config: Any) -> None:
        self.time = Clock(100.0)
        self.notices: list[Notice] = []
        self.broker = self.make_broker(
            clock=self.time,
            call_later=self.time.call_later,
            describe_presence=self.describe,
            **{"presence_interval": INTERVAL, "presence_linger": LINGER, **config},
        )

    def make_broker(self, **arguments: Any) -> Broker:
        """Return a broker with the topic."""
        broker = make_broker(**arguments)
        broker.create_topic("t", GivenOptions(presence=True))
        return broker

    def describe(self, notice: Notice) -> Frame:
        """Encode a notice as its number."""
        self.notices.append(notice)
        return reply(str(len(self.notices) - 1))

    def connect(self, user: str | None = None, info: bytes | None = None) -> Client:
        """Connect a client of this user."""
        client = join(self.broker)
        self.broker.identify(client, user, info)
        return client

    def join(self, user: str | None = None, info: bytes | None = None) -> Client:
        """Connect and subscribe a client that does not ask for presence."""
        client = self.connect(user, info)
        self.broker.subscribe(client, "t")
        return client

    def watch(self, user: str | None = None) -> Client:
        """Connect and subscribe a client that asks for presence."""
        client = self.connect(user)
        self.ask(client)
        return client

    def ask(self, client: Client) -> Notice:
        """Subscribe a client, which may be subscribed already, and return who is there."""
        notice = self.broker.subscribe(client, "t", presence=True).presence
        assert notice is not None
        return notice

    def lose(self, client: Client) -> None:
        """Lose the connection of a client."""
        self.broker.disconnect(client, lost=True)

    def read(self, client: Client) -> list[Notice]:
        """Take everything queued for a client, and return the notices."""
        texts = [frame.text for frame in client.outbox.take_nowait(1 << 20)]
        return [self.notices[int(text)] for text in texts if text.isdecimal()]

    def elapse(self, seconds: float = INTERVAL) -> None:
        """Let time pass."""
        self.time.elapse(seconds)

    def present(self) -> list[str]:
        """Return the members at present."""
        return names(self.broker.presence("t"))


class SharedRoom(Room):
    """A room whose broker shares its topics, and the members whose changes it has exported."""

    broker: SharedBroker

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        self.exported: list[Who] = []
        self.broker.export_presence(lambda topic, who: self.exported.append(who))

    def make_broker(self, **arguments: Any) -> SharedBroker:
        """Return a broker with the topic."""
        broker = make_shared_broker(**arguments)
        broker.install("t", TopicOptions(presence=True), "")
        return broker

    @property
    def members(self) -> Members:
        """The members of the topic."""
        presence = self.broker.topic("t").presence
        assert presence is not None
        return presence.members


def name(who: Who) -> str:
    """Return the user, or the id of the client."""
    found = who.client_id if who.user is None else who.user
    assert found is not None
    return found


def names(notice: Notice) -> list[str]:
    """Return all members of a notice."""
    assert notice.members is not None
    return [name(member.who) for member in notice.members]


def changes(notice: Notice) -> tuple[list[str], list[str]]:
    """Return who has joined and who has left."""
    assert notice.joined is not None
    assert notice.left is not None
    return [name(member.who) for member in notice.joined], [name(who) for who in notice.left]
