"""The messages of both directions as typed structures, in the order in which fields stand."""

from typing import Annotated

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

MAX_REQUEST_ID_LENGTH = 128

RequestId = Annotated[str, Meta(max_length=MAX_REQUEST_ID_LENGTH)]

MESSAGE_ID_PATTERN = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z"
"""A UUID in its canonical form (RFC 9562 §4), of any version and in either case."""

MessageId = Annotated[str, Meta(pattern=MESSAGE_ID_PATTERN)]


class Message(Struct):
    """What subscribers get: an id of the publisher's choice, and a payload that nobody decodes."""

    id: MessageId
    payload: Raw


class Command(Struct, tag_field="type"):
    """Anything that a client may send."""


class Subscribe(Command, tag="subscribe"):
    """Ask for the messages of a topic, and for a replay of the last ones."""

    topic: str
    last_n: Annotated[int, Meta(ge=0)] = 0
    request_id: RequestId | UnsetType = UNSET


class Unsubscribe(Command, tag="unsubscribe"):
    """End a subscription."""

    topic: str
    request_id: RequestId | UnsetType = UNSET


class Publish(Command, tag="publish"):
    """Send a message to the subscribers of a topic."""

    topic: str
    message: Message
    request_id: RequestId | UnsetType = UNSET


class Ping(Command, tag="ping"):
    """Ask for a ``pong``."""

    request_id: RequestId | UnsetType = UNSET


class Identified(Struct):
    """What is read of a message that is refused unseen."""

    request_id: RequestId | UnsetType = UNSET


AnyCommand = Subscribe | Unsubscribe | Publish | Ping

COMMAND_TYPES = ("subscribe", "unsubscribe", "publish", "ping")


class Reply(Struct, tag_field="type", omit_defaults=True):
    """Anything that the server sends."""


class Ack(Reply, tag="ack", kw_only=True):
    """A command was carried out."""

    request_id: str | UnsetType = UNSET
    topic: str
    # An ack has no other status; a default would be left out (omit_defaults).
    status: str
    ts: str


class Event(Reply, tag="event", kw_only=True):
    """A message of a topic."""

    topic: str
    message: Message
    ts: str


class ErrorDetail(Struct):
    """What went wrong: a code for programs and a sentence for people."""

    code: str
    message: str


class Error(Reply, tag="error", kw_only=True):
    """A command was refused, or events were lost."""

    request_id: str | UnsetType = UNSET
    topic: str | UnsetType = UNSET
    error: ErrorDetail
    dropped: int | UnsetType = UNSET
    ts: str


class Pong(Reply, tag="pong", kw_only=True):
    """The answer to a ``ping``."""

    request_id: str | UnsetType = UNSET
    ts: str


class Info(Reply, tag="info", kw_only=True):
    """News of a topic that nobody asked for."""

    topic: str
    msg: str
    ts: str


class NewTopic(Struct):
    """The body of ``POST /topics``."""

    name: str
    history: int | None = None


class Publication(Struct):
    """The body of ``POST /topics/{name}/messages``; without an id the server makes one."""

    payload: Raw
    id: MessageId | UnsetType = UNSET
