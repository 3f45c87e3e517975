"""A function for each type of command.

To add a command, declare its structure in `pubsub.protocol.messages`, and add a function to both
tables here. The function executes the command without awaiting, puts the reply into the outbox,
and returns its cost beyond `fairness.COMMAND`. If it raises a `PubSubError`, the client gets an
``error``.
"""

from collections.abc import Callable
from typing import Any, Protocol

from msgspec import UNSET, UnsetType

from pubsub import fairness
from pubsub.cluster.cluster import Cluster
from pubsub.connection.pipeline import Pipeline
from pubsub.connection.session import Session
from pubsub.core.broker import Broker
from pubsub.core.client import Client
from pubsub.core.notices import Notice
from pubsub.core.publication import Position
from pubsub.core.topic import NOTHING_PAST, Recover
from pubsub.protocol import messages
from pubsub.protocol.errors import BadRequest
from pubsub.protocol.messages import (
    AskHistory,
    AskPresence,
    Auth,
    Command,
    Ping,
    Publish,
    Subscribe,
    Unsubscribe,
)
from pubsub.protocol.replies import (
    encode_ack,
    encode_history,
    encode_pong,
    encode_presence,
    encode_published,
    encode_subscribed,
)


class Issuer(Protocol):
    """The connection from which a command comes."""

    broker: Broker
    client: Client
    session: Session

    @property
    def cluster(self) -> Cluster:
        """The other processes, in a cluster."""

    @property
    def pipeline(self) -> Pipeline:
        """The client's publications that are on their way, in a cluster."""


Execute = Callable[[Issuer, Any], int]


def subscribe(issuer: Issuer, command: Subscribe) -> int:
    """Subscribe and acknowledge; who is there and the replay follow, ahead of the live events."""
    client, topic, request_id = issuer.client, command.topic, command.request_id
    recover = None if command.recover is UNSET else _position_to_recover(command.recover)
    subscribed = issuer.broker.subscribe(
        client, topic, last_n=command.last_n, recover=recover, presence=command.presence
    )
    if subscribed is NOTHING_PAST:
        client.outbox.put_reply(encode_ack(topic, request_id))
        return 0
    client.outbox.put_reply(encode_subscribed(topic, request_id, subscribed, client.id))
    cost = subscribed.replayed * fairness.REPLAYED_EVENT
    cost += subscribed.passed * fairness.PASSED_EVENT
    if subscribed.presence is not None:
        cost += answer_presence(client, subscribed.presence)
    if subscribed.replay is not None:
        client.outbox.put_replay(subscribed.replay)
    return cost


def answer_presence(client: Client, notice: Notice, request_id: str | UnsetType = UNSET) -> int:
    """Send a client who is there; return the cost."""
    client.outbox.put_reply(encode_presence(notice, request_id))
    return len(notice.members or ()) * fairness.LISTED_MEMBER


def _position_to_recover(asked: messages.Recover) -> Recover:
    client_id = None if asked.client_id is UNSET else asked.client_id
    return Recover(Position(asked.epoch, asked.offset), client_id)


def unsubscribe(issuer: Issuer, command: Unsubscribe) -> int:
    """End the subscription and acknowledge."""
    client = issuer.client
    issuer.broker.unsubscribe(client, command.topic)
    client.outbox.put_reply(encode_ack(command.topic, command.request_id))
    return 0


def publish(issuer: Issuer, command: Publish, user: str | None = None) -> int:
    """Deliver the message and acknowledge."""
    client, message = issuer.client, command.message
    publication = issuer.broker.publish(
        command.topic,
        message.id,
        message.payload,
        publisher=client,
        user=user,
        once=command.once,
    )
    topic, request_id = command.topic, command.request_id
    if publication.offset is None and not publication.duplicate:
        client.outbox.put_reply(encode_ack(topic, request_id, publication.time))
    else:
        client.outbox.put_reply(encode_published(topic, request_id, publication))
    return publication.subscribers


def ping(issuer: Issuer, command: Ping) -> int:
    """Answer with a pong."""
    issuer.client.outbox.put_reply(encode_pong(command.request_id))
    return 0


def refuse_auth(issuer: Issuer, command: Auth) -> int:
    """Refuse a token that nobody asked for."""
    raise BadRequest("authentication is off")


def history(issuer: Issuer, command: AskHistory) -> int:
    """Answer with past messages."""
    since = None if command.since is UNSET else Position(command.since.epoch, command.since.offset)
    page = issuer.broker.history(command.topic, since=since, limit=command.limit)
    reply = encode_history(command.topic, command.request_id, page)
    issuer.client.outbox.put_reply(reply)
    return len(page.frames) * fairness.REPLAYED_EVENT + reply.size // fairness.HISTORY_BYTES


def presence(issuer: Issuer, command: AskPresence) -> int:
    """Answer with the members of the topic."""
    return answer_presence(issuer.client, issuer.broker.presence(command.topic), command.request_id)


# With access control:


def authenticate(issuer: Issuer, command: Auth) -> int:
    """Take the token, and acknowledge or disconnect."""
    issuer.session.authenticate(command.token, command.request_id)
    return fairness.TOKEN


def subscribe_if_allowed(issuer: Issuer, command: Subscribe) -> int:
    """Subscribe if the client may read the topic."""
    issuer.session.require("subscribe", command.topic)
    return subscribe(issuer, command)


def unsubscribe_if_identified(issuer: Issuer, command: Unsubscribe) -> int:
    """Unsubscribe if the client is authenticated, or need not be."""
    issuer.session.require_identity()
    return unsubscribe(issuer, command)


def publish_if_allowed(issuer: Issuer, command: Publish) -> int:
    """Publish in the user's name if the client may publish to the topic."""
    identity = issuer.session.require("publish", command.topic)
    return publish(issuer, command, identity.user)


def history_if_allowed(issuer: Issuer, command: AskHistory) -> int:
    """Answer with past messages if the client may read the topic."""
    issuer.session.require("subscribe", command.topic)
    return history(issuer, command)


def presence_if_allowed(issuer: Issuer, command: AskPresence) -> int:
    """Answer with the members if the client may read the topic."""
    issuer.session.require("subscribe", command.topic)
    return presence(issuer, command)


OPEN: dict[type[Command], Execute] = {
    Subscribe: subscribe,
    Unsubscribe: unsubscribe,
    Publish: publish,
    Ping: ping,
    Auth: refuse_auth,
    AskHistory: history,
    AskPresence: presence,
}
"""What commands do where everyone may do everything."""

GUARDED: dict[type[Command], Execute] = {
    Subscribe: subscribe_if_allowed,
    Unsubscribe: unsubscribe_if_identified,
    Publish: publish_if_allowed,
    Ping: ping,
    Auth: authenticate,
    AskHistory: history_if_allowed,
    AskPresence: presence_if_allowed,
}
"""What commands do where access is controlled."""
