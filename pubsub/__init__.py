"""Publish/subscribe over WebSockets, for Django.

From ordinary Django code, in any thread of the server's process::

    import pubsub

    pubsub.publish("orders", {"order_id": "ORD-123"})

After a change of what a user may do::

    pubsub.permissions_changed(user)

With a relay (``CHATROOM["RELAY"]``), all of this works in any process of the project: a worker of a
task queue, ``manage.py shell``, a cron job, a site under WSGI. The first call makes a connection.

On an event loop, await the form that begins with ``a``: ``await pubsub.apublish(…)``.
"""

from typing import Any

from pubsub.core.errors import (
    BrokerNotRunning,
    InvalidTopicName,
    LimitExceeded,
    MustAwait,
    PubSubError,
    TopicExists,
    TopicNotFound,
)
from pubsub.protocol.errors import Unavailable

__all__ = [
    "BrokerNotRunning",
    "InvalidTopicName",
    "LimitExceeded",
    "MustAwait",
    "PubSubError",
    "TopicExists",
    "TopicNotFound",
    "Unavailable",
    "__version__",
    "acreate_topic",
    "adelete_topic",
    "apermissions_changed",
    "apublish",
    "create_topic",
    "delete_topic",
    "permissions_changed",
    "publish",
]

__version__ = "0.1.0"

# What is imported in the functions needs Django's settings, and importing pubsub does not.

_PUBLISH_INSTEAD = "publish over REST to the one that does"
_CALL_INSTEAD = "call this in the one that does"


def publish(topic: str, payload: Any, *, message_id: str | None = None, once: bool = False) -> int:
    """Publish a message to a topic, from any thread.

    On the event loop that serves the clients, the message is published at once. In any other
    thread (a view, a signal handler, a task), the call waits until the loop has published it.
    Messages from one thread keep the order of the calls.

    Args:
        topic: The topic's name.
        payload: Anything that msgspec can encode as JSON; a `msgspec.Raw` is used unchanged.
        message_id: A UUID in its canonical form; by default a new one.
        once: Publish nothing if a message with this id was published with ``once`` in the last
            ``CHATROOM["ONCE_SECONDS"]``. So a task that is retried publishes once.

    Returns:
        The number of subscribers; for a repetition, that of the first publication. Those of other
        processes count as of a few seconds ago.

    Raises:
        pubsub.TopicNotFound: The topic does not exist.
        pubsub.InvalidTopicName: The name breaks the rule for topic names.
        pubsub.BrokerNotRunning: This process serves no clients, and there is no relay.
        pubsub.Unavailable: The topic keeps history, and other processes are out of reach.
        pubsub.MustAwait: The topic keeps history, there is a relay, and this is the event loop.
        TypeError: JSON cannot represent the payload.
        ValueError: ``message_id`` is not a UUID.
        TimeoutError: The event loop did not publish the message within 10 seconds.
    """
    from pubsub import calls

    operation = calls.publish(topic, payload, message_id, once=once)
    return calls.run(operation, otherwise=_PUBLISH_INSTEAD)


async def apublish(
    topic: str, payload: Any, *, message_id: str | None = None, once: bool = False
) -> int:
    """Publish a message to a topic, from any event loop; see `publish`."""
    from pubsub import calls

    operation = calls.publish(topic, payload, message_id, once=once)
    return await calls.arun(operation, otherwise=_PUBLISH_INSTEAD)


def create_topic(
    name: str,
    *,
    history: int | None = None,
    history_seconds: float | None = None,
    presence: bool | None = None,
    overflow: str | None = None,
) -> None:
    """Create a topic, from any thread.

    What is not given is as in ``CHATROOM["TOPICS"]`` or, without a rule there, as in the other
    settings.

    Args:
        name: The topic's name.
        history: Messages that the topic keeps.
        history_seconds: Seconds for which it keeps them.
        presence: Whether subscribers may ask who is there.
        overflow: What a full outbox does with its events.

    Raises:
        pubsub.TopicExists: It exists already.
        pubsub.InvalidTopicName: The name breaks the rule for topic names.
        pubsub.LimitExceeded: There are too many topics.
        pubsub.BrokerNotRunning, pubsub.Unavailable, pubsub.MustAwait, TimeoutError: As for
            `publish`; with a relay, for every topic.
        ValueError: An option has an invalid value.
    """
    from pubsub import calls

    given = calls.options(history, history_seconds, presence, overflow)
    calls.run(calls.create_topic(name, given), otherwise=_CALL_INSTEAD)


async def acreate_topic(
    name: str,
    *,
    history: int | None = None,
    history_seconds: float | None = None,
    presence: bool | None = None,
    overflow: str | None = None,
) -> None:
    """Create a topic, from any event loop; see `create_topic`."""
    from pubsub import calls

    given = calls.options(history, history_seconds, presence, overflow)
    await calls.arun(calls.create_topic(name, given), otherwise=_CALL_INSTEAD)


def delete_topic(name: str) -> None:
    """Delete a topic, from any thread. Its subscribers are notified and stay connected.

    Raises:
        pubsub.TopicNotFound: The topic does not exist.
        pubsub.BrokerNotRunning, pubsub.Unavailable, pubsub.MustAwait, TimeoutError: As for
            `create_topic`.
    """
    from pubsub import calls

    calls.run(calls.delete_topic(name), otherwise=_CALL_INSTEAD)


async def adelete_topic(name: str) -> None:
    """Delete a topic, from any event loop; see `delete_topic`."""
    from pubsub import calls

    await calls.arun(calls.delete_topic(name), otherwise=_CALL_INSTEAD)


def permissions_changed(user: Any) -> None:
    """Ask the authorizer again what a user may do, for each of the user's connections.

    When this returns, no earlier answer is used any more. Subscriptions that are no longer allowed
    then end with ``permission_revoked``, each as soon as the authorizer has answered; a user who
    was deleted or deactivated is disconnected with 3503, and a connection for which the authorizer
    fails with 1011. Connections with a token are left alone, because their rights are in the token.

    Call it after the change is committed (see `django.db.transaction.on_commit`): the authorizer
    sees the database as others do. On the event loop that serves the clients it takes effect at
    once; any other thread waits for the loop, but not for the answers.

    Args:
        user: A user of the Django project, or the primary key of one.

    Raises:
        pubsub.BrokerNotRunning: This process serves no clients, and there is no relay.
        pubsub.Unavailable: Another process did not answer. Call this again.
        pubsub.MustAwait: There is a relay, and this is the event loop.
        TimeoutError: The event loop did not respond within 10 seconds.
    """
    from pubsub import calls
    from pubsub.auth.django import name_of

    calls.run(calls.recheck(name_of(user)), otherwise=_CALL_INSTEAD)


async def apermissions_changed(user: Any) -> None:
    """Ask again what a user may do, from any event loop; see `permissions_changed`."""
    from pubsub import calls
    from pubsub.auth.django import name_of

    await calls.arun(calls.recheck(name_of(user)), otherwise=_CALL_INSTEAD)
