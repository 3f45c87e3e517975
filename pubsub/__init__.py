"""In-memory publish/subscribe over WebSockets, for Django.

From ordinary Django code, in any thread of the server's process::

    import pubsub

    pubsub.publish("orders", {"order_id": "ORD-123"})
"""

from typing import Any

__all__ = ["__version__", "publish"]

__version__ = "0.1.0"


def publish(topic: str, payload: Any, *, message_id: str | None = None) -> int:
    """Publish a message to a topic of this process, from any of its threads.

    Called in the event loop that serves the clients it publishes at once; called in another
    thread (a view, a signal handler, a task) it waits until that loop has done so. From one
    thread, messages keep the order of the calls.

    Args:
        topic: The topic's name.
        payload: Anything that msgspec can encode as JSON; a `msgspec.Raw` is taken as it is.
        message_id: A UUID in its canonical form; without one the message gets a new one.

    Returns:
        The number of subscribers.

    Raises:
        pubsub.core.errors.TopicNotFound, pubsub.core.errors.InvalidTopicName: There is no such
            topic; there can be none.
        pubsub.core.errors.BrokerNotRunning: This process serves no clients.
        TypeError: JSON has no form for the payload.
        ValueError: ``message_id`` is not a UUID.
        TimeoutError: The event loop did not get to it within 10 seconds.
    """
    from pubsub.runtime import get_runtime  # Django need not be set up to import the broker

    return get_runtime().publish_from_any_thread(topic, payload, message_id=message_id)
