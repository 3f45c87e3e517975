"""In-memory publish/subscribe over WebSockets, for Django.

From ordinary Django code, in any thread of the server's process::

    import pubsub

    pubsub.publish("orders", {"order_id": "ORD-123"})

After a change of what a user may do::

    pubsub.permissions_changed(user)
"""

from typing import Any

from pubsub.core.errors import BrokerNotRunning, InvalidTopicName, PubSubError, TopicNotFound

__all__ = [
    "BrokerNotRunning",
    "InvalidTopicName",
    "PubSubError",
    "TopicNotFound",
    "__version__",
    "permissions_changed",
    "publish",
]

__version__ = "0.1.0"


def publish(topic: str, payload: Any, *, message_id: str | None = None, once: bool = False) -> int:
    """Publish a message to a topic of this process, from any of its threads.

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
        The number of subscribers; for a repetition, that of the first publication.

    Raises:
        pubsub.TopicNotFound: The topic does not exist.
        pubsub.InvalidTopicName: The name breaks the rule for topic names.
        pubsub.BrokerNotRunning: This process serves no clients.
        TypeError: JSON cannot represent the payload.
        ValueError: ``message_id`` is not a UUID.
        TimeoutError: The event loop did not publish the message within 10 seconds.
    """
    from pubsub.runtime import get_runtime  # so that importing pubsub needs no Django

    return get_runtime().publish_from_any_thread(topic, payload, message_id=message_id, once=once)


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
        pubsub.BrokerNotRunning: This process serves no clients.
        TimeoutError: The event loop did not respond within 10 seconds.
    """
    from pubsub.auth.django import name_of
    from pubsub.runtime import get_runtime

    get_runtime().recheck_from_any_thread(name_of(user))
