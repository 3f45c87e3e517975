"""The commands that need other processes, in place of those of `pubsub.connection.commands`.

Whatever can be executed without them still is, in the same way and at once.
"""

from msgspec import UNSET

from pubsub.connection import commands
from pubsub.connection.commands import Execute, Issuer
from pubsub.connection.postponed import Postponed
from pubsub.connection.session import Action
from pubsub.protocol.messages import (
    AskHistory,
    AskPresence,
    Command,
    Ping,
    Publish,
    Subscribe,
)
from pubsub.protocol.replies import encode_ack, encode_pong, encode_published


def subscribe(issuer: Issuer, command: Subscribe) -> int:
    """Subscribe, once this process gets what others publish to the topic."""
    topic, cluster = command.topic, issuer.cluster
    since = 0 if command.recover is UNSET else command.recover.offset
    _require(issuer, "subscribe", topic)
    if cluster.is_prepared(topic, since):
        return commands.subscribe(issuer, command)

    async def wait() -> int:
        await cluster.prepare(topic, since)
        _require(issuer, "subscribe", topic)
        return commands.subscribe(issuer, command)

    raise Postponed(wait)


def publish(issuer: Issuer, command: Publish) -> int:
    """Deliver the message to the subscribers of all processes and acknowledge."""
    user = _require(issuer, "publish", command.topic)
    cluster, client, message = issuer.cluster, issuer.client, command.message
    topic, request_id = command.topic, command.request_id
    if cluster.publishes_at_once(topic):
        publication = issuer.broker.publish(
            topic, message.id, message.payload, publisher=client, user=user, once=command.once
        )
        if cluster.is_connected and not publication.duplicate:
            client.outbox.put_reply(encode_ack(topic, request_id, publication.time))
        else:
            reply = encode_published(topic, request_id, publication, scope=cluster.scope)
            client.outbox.put_reply(reply)
        return publication.subscribers

    async def wait() -> int | None:
        if not cluster.shares_order(topic):
            await cluster.find_or_create(topic)
            return None
        publication = await cluster.publish_kept(
            topic, message.id, message.payload, publisher=client, user=user, once=command.once
        )
        client.outbox.put_reply(encode_published(topic, request_id, publication))
        return publication.subscribers

    raise Postponed(wait)


def ping(issuer: Issuer, command: Ping) -> int:
    """Answer with a pong, and with the id of this process if it was asked for."""
    process = issuer.cluster.process_id if command.process else UNSET
    issuer.client.outbox.put_reply(encode_pong(command.request_id, process=process))
    return 0


def history(issuer: Issuer, command: AskHistory) -> int:
    """Answer with past messages, including those that other processes have just accepted."""
    topic, cluster = command.topic, issuer.cluster
    _require(issuer, "subscribe", topic)
    if not cluster.must_catch_up(topic):
        return commands.history(issuer, command)

    async def wait() -> int:
        await cluster.catch_up(topic)
        _require(issuer, "subscribe", topic)
        return commands.history(issuer, command)

    raise Postponed(wait)


def presence(issuer: Issuer, command: AskPresence) -> int:
    """Answer with the members of the topic in all processes."""
    topic, cluster = command.topic, issuer.cluster
    _require(issuer, "subscribe", topic)
    if cluster.knows_members(topic):
        return commands.presence(issuer, command)

    async def wait() -> int:
        notice = await cluster.presence_of(topic)
        _require(issuer, "subscribe", topic)
        return commands.answer_presence(issuer.client, notice, command.request_id)

    raise Postponed(wait)


def _require(issuer: Issuer, action: Action, topic: str) -> str | None:
    """Return the user of the client, if access control allows it what it asks for."""
    if issuer.session is None:
        return None
    return issuer.session.require(action, topic).user


_COMMANDS: dict[type[Command], Execute] = {
    Subscribe: subscribe,
    Publish: publish,
    Ping: ping,
    AskHistory: history,
    AskPresence: presence,
}

OPEN = commands.OPEN | _COMMANDS
"""What commands do in a cluster where everyone may do everything."""

GUARDED = commands.GUARDED | _COMMANDS
"""What commands do in a cluster where access is controlled."""
