"""A function for each type of command.

To add a command, declare its structure in `pubsub.protocol.messages`, and add a function to
`EXECUTE` here. The function executes the command without awaiting, puts the reply into the outbox,
and returns its cost beyond `fairness.COMMAND`. If it raises a `PubSubError`, the client gets an
``error``.
"""

from collections.abc import Callable
from typing import Any

from pubsub import fairness
from pubsub.core.broker import Broker
from pubsub.core.client import Client
from pubsub.protocol.messages import Command, Ping, Publish, Subscribe, Unsubscribe
from pubsub.protocol.replies import encode_ack, encode_pong


def subscribe(broker: Broker, client: Client, command: Subscribe) -> int:
    """Subscribe and acknowledge; the replay follows, ahead of the live events."""
    replay = broker.subscribe(client, command.topic, last_n=command.last_n)
    client.outbox.put_reply(encode_ack(command.topic, command.request_id))
    if replay is None:
        return 0
    client.outbox.put_replay(replay)
    return replay.remaining * fairness.REPLAYED_EVENT


def unsubscribe(broker: Broker, client: Client, command: Unsubscribe) -> int:
    """End the subscription and acknowledge."""
    broker.unsubscribe(client, command.topic)
    client.outbox.put_reply(encode_ack(command.topic, command.request_id))
    return 0


def publish(broker: Broker, client: Client, command: Publish) -> int:
    """Deliver the message and acknowledge."""
    message = command.message
    publication = broker.publish(command.topic, message.id, message.payload, publisher=client)
    client.outbox.put_reply(encode_ack(command.topic, command.request_id, publication.time))
    return publication.subscribers


def ping(broker: Broker, client: Client, command: Ping) -> int:
    """Answer with a pong."""
    client.outbox.put_reply(encode_pong(command.request_id))
    return 0


EXECUTE: dict[type[Command], Callable[[Broker, Client, Any], int]] = {
    Subscribe: subscribe,
    Unsubscribe: unsubscribe,
    Publish: publish,
    Ping: ping,
}
