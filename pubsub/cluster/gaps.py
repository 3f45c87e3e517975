"""How subscribers are notified of events that were lost between processes."""

from pubsub.core.errors import TopicNotFound
from pubsub.core.publication import Frame
from pubsub.core.shared import SharedBroker
from pubsub.core.topic import Topic
from pubsub.protocol.replies import encode_relay_gap


def tell_count(broker: SharedBroker, name: str, lost: int, *, since: float) -> None:
    """Notify a topic's subscribers that ``lost`` events were lost.

    Args:
        broker: The broker.
        name: The topic. If it does not exist here, or keeps history, nobody is notified.
        lost: The number of events.
        since: When the last event before the loss arrived, by the clock of the broker. For a
            client that has not been subscribed for so long, the number is a bound.
    """
    topic = _topic(broker, name)
    if topic is None:
        return
    exact: Frame | None = None
    bound: Frame | None = None
    for client, outbox in topic.subscribers.items():
        is_bound = client.topics[name] >= since
        if is_bound:
            notice = bound = bound or encode_relay_gap(name, at_most=lost)
        else:
            notice = exact = exact or encode_relay_gap(name, dropped=lost)
        outbox.put_gap(notice, topic.counters, lost, is_bound=is_bound)


def tell_bound(broker: SharedBroker, name: str, at_most: int) -> None:
    """Notify a topic's subscribers that at most so many events were lost."""
    topic = _topic(broker, name)
    if topic is not None and topic.subscribers:
        notice = encode_relay_gap(name, at_most=at_most)
        for outbox in topic.subscribers.values():
            outbox.put_gap(notice, topic.counters, at_most, is_bound=True)


def tell_kept(broker: SharedBroker, name: str, at_most: int) -> None:
    """Notify the subscribers of a topic with history that at most so many events were lost."""
    topic = broker.find(name)
    if topic is not None and topic.subscribers:
        notice = encode_relay_gap(name, at_most=at_most)
        for outbox in topic.subscribers.values():
            outbox.put_gap(notice, topic.counters, at_most, is_bound=True)


def _topic(broker: SharedBroker, name: str) -> Topic | None:
    try:
        topic = broker.topic(name)
    except TopicNotFound:
        return None
    return topic if topic.history is None else None
