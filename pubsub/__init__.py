"""In-memory publish/subscribe over WebSockets, for Django.

From ordinary Django code, in any thread of the server's process::

    import pubsub

    pubsub.publish("orders", {"order_id": "ORD-123"})
"""

from typing import Any

from pubsub.core.errors import BrokerNotRunning, InvalidTopicName, PubSubError, TopicNotFound

__all__ = [
    "BrokerNotRunning",
    "InvalidTopicName",
    "PubSubError",
    "TopicNotFound",
    "__version__",
    "publish",
]

__version__ = "0.1.0"


def publish(topic: str, payload: Any, *, message_id: str | None = None) -> int:
    """Publish a message to a topic of this process, from any of its threads.

    On the event loop that serves the clients, the message is published at once. In any other
    thread (a view, a signal handler, a task), the call waits until the loop has published it.
    Messages from one thread keep the order of the calls.

    Args:
        topic: The topic's name.
        payload: Anything that msgspec can encode as JSON; a `msgspec.Raw` is used unchanged.
        message_id: A UUID in its canonical form; by default a new one.

    Returns:
        The number of subscribers.

    Raises:
        pubsub.TopicNotFound: The topic does not exist.
        pubsub.InvalidTopicName: The name breaks the rule for topic names.
        pubsub.BrokerNotRunning: This process serves no clients.
        TypeError: JSON cannot represent the payload.
        ValueError: ``message_id`` is not a UUID.
        TimeoutError: The event loop did not publish the message within 10 seconds.
    """
    from pubsub.runtime import get_runtime  # so that importing pubsub needs no Django

    return get_runtime().publish_from_any_thread(topic, payload, message_id=message_id)
