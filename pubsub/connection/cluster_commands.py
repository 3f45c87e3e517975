"""The commands that need other processes, in place of those of `pubsub.connection.commands`.

Whatever can be executed without them still is, in the same way and at once. Publications to topics
with history are on their way several at a time; any other command waits until they are answered.
"""

from msgspec import UNSET

from pubsub.auth.errors import AccessError
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
    cluster, topic = issuer.cluster, command.topic
    if cluster.appends_at_once(topic):
        return _append(issuer, command)
    _wait_for_turn(issuer)
    user = _require(issuer, "publish", topic)
    client, message, request_id = issuer.client, command.message, command.request_id
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

    async def wait() -> None:
        if cluster.shares_order(topic):
            await cluster.wait_until_ready()
        else:
            await cluster.find_or_create(topic)

    raise Postponed(wait)


def _append(issuer: Issuer, command: Publish) -> int:
    """Begin a publication to a topic with history, beside those that are on their way."""
    pipeline, topic, message = issuer.pipeline, command.topic, command.message
    if pipeline.is_full:
        raise Postponed(pipeline.wait_for_room)
    try:
        user = _require(issuer, "publish", topic)
    except AccessError:
        _wait_for_turn(issuer)
        raise
    payload = message.payload = message.payload.copy()  # so that nothing else of the text is kept
    publishing = issuer.cluster.publish_kept(
        topic, message.id, payload, publisher=issuer.client, user=user, once=command.once
    )
    pipeline.begin(command, publishing, memoryview(payload).nbytes)
    return 0


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


def _wait_for_turn(issuer: Issuer) -> None:
    """Postpone a command until the publications before it are answered.

    Raises:
        Postponed: Some are on their way.
    """
    if issuer.pipeline.is_busy:
        raise Postponed(issuer.pipeline.wait_until_idle)


def _in_turn(execute: Execute) -> Execute:
    """Return what executes a command after the publications before it."""

    def execute_in_turn(issuer: Issuer, command: Command) -> int:
        _wait_for_turn(issuer)
        return execute(issuer, command)

    return execute_in_turn


def _table(alone: dict[type[Command], Execute]) -> dict[type[Command], Execute]:
    """Return the commands of a cluster, for those of a single process."""
    in_turn = {kind: _in_turn(execute) for kind, execute in (alone | _COMMANDS).items()}
    return in_turn | {Publish: publish}


_COMMANDS: dict[type[Command], Execute] = {
    Subscribe: subscribe,
    Ping: ping,
    AskHistory: history,
    AskPresence: presence,
}

OPEN = _table(commands.OPEN)
"""What commands do in a cluster where everyone may do everything."""

GUARDED = _table(commands.GUARDED)
"""What commands do in a cluster where access is controlled."""
