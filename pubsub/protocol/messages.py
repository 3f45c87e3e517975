"""The messages of both directions as typed structures, with fields in their order on the wire."""

import re
from typing import Annotated, get_args

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from pubsub.core.errors import TOPIC_NAME_RULE
from pubsub.core.names import MAX_NAME_LENGTH, NAME_PATTERN
from pubsub.core.options import MAX_HISTORY, GivenOptions, Overflow

MAX_REQUEST_ID_LENGTH = 128

DEFAULT_HISTORY = 100
"""Messages that `AskHistory` gets if it does not say how many."""

RequestId = Annotated[str, Meta(max_length=MAX_REQUEST_ID_LENGTH)]

MESSAGE_ID_PATTERN = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z"
"""A UUID in its canonical form (RFC 9562 §4), of any version and in either case."""

MessageId = Annotated[
    str, Meta(pattern=MESSAGE_ID_PATTERN, description="a UUID in its canonical form")
]

_match_message_id = re.compile(MESSAGE_ID_PATTERN).match


def is_message_id(text: str) -> bool:
    """Return whether the text is a UUID in canonical form."""
    return _match_message_id(text) is not None


def check_message_id(message_id: str) -> str:
    """Return the id of a message unchanged.

    Raises:
        ValueError: It is not a UUID in canonical form.
    """
    if not is_message_id(message_id):
        raise ValueError(f"message_id must be a UUID in its canonical form, not {message_id!r}")
    return message_id


TopicName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_NAME_LENGTH,
        pattern=NAME_PATTERN,
        description=TOPIC_NAME_RULE.removeprefix("must be "),
    ),
]
"""The rule for topic names, as far as a schema can express it.

Commands carry a plain string instead: the broker checks the names of topics that do not exist.
"""


class Message(Struct):
    """What subscribers get: an id that the publisher chose, and a payload that is never decoded."""

    id: MessageId
    payload: Raw


class Command(Struct, tag_field="type"):
    """Base class of everything that a client may send."""


class Since(Struct):
    """A position in a topic that keeps history."""

    epoch: str
    offset: Annotated[int, Meta(ge=0)]


class Recover(Since):
    """The position after which a returning subscriber wants every message."""

    client_id: str | UnsetType = UNSET


class Subscribe(Command, tag="subscribe"):
    """Subscribe to a topic, optionally with a replay of its last messages or of missed ones."""

    topic: str
    last_n: Annotated[int, Meta(ge=0)] = 0
    recover: Recover | UnsetType = UNSET
    presence: bool = False
    request_id: RequestId | UnsetType = UNSET


class Unsubscribe(Command, tag="unsubscribe"):
    """End a subscription."""

    topic: str
    request_id: RequestId | UnsetType = UNSET


class Publish(Command, tag="publish"):
    """Send a message to the subscribers of a topic."""

    topic: str
    message: Message
    once: bool = False
    request_id: RequestId | UnsetType = UNSET


class Ping(Command, tag="ping"):
    """Ask for a pong, optionally with the process that sends it."""

    request_id: RequestId | UnsetType = UNSET
    process: bool = False


class Auth(Command, tag="auth"):
    """Present a token, or renew it before it expires."""

    token: str
    request_id: RequestId | UnsetType = UNSET


class AskHistory(Command, tag="history"):
    """Ask for past messages of a topic that keeps history."""

    topic: str
    since: Since | UnsetType = UNSET
    limit: Annotated[int, Meta(ge=1, le=MAX_HISTORY)] = DEFAULT_HISTORY
    request_id: RequestId | UnsetType = UNSET


class AskPresence(Command, tag="presence"):
    """Ask who is subscribed to a topic."""

    topic: str
    request_id: RequestId | UnsetType = UNSET


class Identified(Struct):
    """The only field that is read from a message that is rejected without being decoded."""

    request_id: RequestId | UnsetType = UNSET


AnyCommand = Subscribe | Unsubscribe | Publish | Ping | Auth | AskHistory | AskPresence
"""The one list of commands; all others are derived from it."""

COMMANDS: tuple[type[AnyCommand], ...] = get_args(AnyCommand)

COMMAND_TYPES: tuple[str, ...] = tuple(str(command.__struct_config__.tag) for command in COMMANDS)
"""The valid values of the field ``type`` of a command."""


class Reply(Struct, tag_field="type", omit_defaults=True):
    """Base class of everything that the server sends."""


class Ack(Reply, tag="ack", kw_only=True):
    """A command was carried out."""

    request_id: str | UnsetType = UNSET
    topic: str | UnsetType = UNSET
    # An ack has no other status; a default would be left out (omit_defaults).
    status: str
    ts: str
    # These answer `subscribe`, and `offset` also `publish`, if the topic keeps history.
    epoch: str | UnsetType = UNSET
    offset: int | UnsetType = UNSET
    client_id: str | UnsetType = UNSET
    # These answer `recover` and `once`.
    recovered: bool | UnsetType = UNSET
    replayed: int | UnsetType = UNSET
    duplicate: bool | UnsetType = UNSET
    # This answers `publish` while other processes are out of reach; it is "process" then.
    scope: str | UnsetType = UNSET
    # These answer `auth`, together with `client_id`.
    user: str | UnsetType = UNSET
    expires_in: int | UnsetType = UNSET


class Event(Reply, tag="event", kw_only=True):
    """A message of a topic."""

    topic: str
    message: Message
    ts: str
    offset: int | UnsetType = UNSET
    user: str | UnsetType = UNSET


class ErrorDetail(Struct):
    """What went wrong: a code for programs and a message for people."""

    code: str
    message: str


class Error(Reply, tag="error", kw_only=True):
    """A command was refused, or events were dropped."""

    request_id: str | UnsetType = UNSET
    topic: str | UnsetType = UNSET
    error: ErrorDetail
    # Whether the change may have been carried out nevertheless.
    unknown_fate: bool | UnsetType = UNSET
    dropped: int | UnsetType = UNSET
    # Instead of `dropped`, if the number of lost events can only be bounded.
    at_most: int | UnsetType = UNSET
    # The offsets between which the loss lies, if the topic keeps history.
    first: int | UnsetType = UNSET
    last: int | UnsetType = UNSET
    ts: str


class Pong(Reply, tag="pong", kw_only=True):
    """The answer to a ping."""

    request_id: str | UnsetType = UNSET
    ts: str
    # This answers `process`, if there are several.
    process: str | UnsetType = UNSET


class Info(Reply, tag="info", kw_only=True):
    """A notice about a topic or the connection."""

    topic: str | UnsetType = UNSET
    msg: str
    # The new position of a topic whose order was lost.
    epoch: str | UnsetType = UNSET
    offset: int | UnsetType = UNSET
    reconnect_in_ms: int | UnsetType = UNSET
    ts: str
    expires_in: int | UnsetType = UNSET


class KeptMessage(Struct, omit_defaults=True):
    """A past message of a topic that keeps history."""

    offset: int
    message: Message
    ts: str
    user: str | UnsetType = UNSET


class History(Reply, tag="history", kw_only=True):
    """Past messages of a topic, oldest first."""

    request_id: str | UnsetType = UNSET
    topic: str
    ts: str
    epoch: str
    offset: int
    complete: bool
    messages: list[KeptMessage]


class Member(Struct, omit_defaults=True):
    """A user, however many connections it has, or a client without one."""

    user: str | UnsetType = UNSET
    client_id: str | UnsetType = UNSET
    info: Raw | UnsetType = UNSET
    clients: int | UnsetType = UNSET


class Presence(Reply, tag="presence", kw_only=True):
    """Who is subscribed to a topic, or who has joined and left since the last notice."""

    request_id: str | UnsetType = UNSET
    topic: str
    ts: str
    clients: int
    users: int
    members: list[Member] | UnsetType = UNSET
    joined: list[Member] | UnsetType = UNSET
    left: list[Member] | UnsetType = UNSET
    truncated: bool | UnsetType = UNSET


REPLIES: tuple[type[Reply], ...] = (Ack, Event, Error, Pong, Info, History, Presence)
"""Everything that the server sends, in the order of the documentation."""


class NewTopic(Struct, forbid_unknown_fields=True):
    """The body of ``POST /topics``."""

    name: TopicName
    history: Annotated[int, Meta(ge=0, le=MAX_HISTORY)] | None = None
    history_seconds: Annotated[float, Meta(gt=0)] | None = None
    presence: bool | None = None
    overflow: Overflow | None = None

    @property
    def options(self) -> GivenOptions:
        """The options of the topic, as the broker takes them."""
        return GivenOptions(
            history=self.history,
            history_seconds=self.history_seconds,
            presence=self.presence,
            overflow=self.overflow,
        )


class Publication(Struct, forbid_unknown_fields=True):
    """The body of ``POST /topics/{name}/messages``; the server generates a missing id."""

    payload: Raw
    id: MessageId | UnsetType = UNSET
    once: bool = False
