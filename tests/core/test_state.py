"""What a broker holds: lookups, totals and counters."""

import pytest

from pubsub.core.options import Overflow
from tests.core.support import join, make_broker, one_slice, publish, read, reply


def test_topics_are_found_without_an_error() -> None:
    """A topic that may not exist is looked up without an exception."""
    broker = make_broker()
    broker.create_topic("a")
    assert broker.find("a") is broker.topic("a")
    assert broker.find("b") is None


def test_statistics() -> None:
    """Statistics cover each topic, and totals that include deleted topics."""
    broker = make_broker(queue_size=2)
    broker.create_topic("t")
    broker.create_topic("u")
    join(broker, "t")
    client = join(broker, "t", "u")
    for payload in "abc":
        publish(broker, "t", payload)
    read(client)
    publish(broker, "u", "d")
    before = broker.statistics()
    topic = dict(one_slice(broker.topic_slices()))["t"]
    assert (topic.messages, topic.subscribers, topic.delivered, topic.dropped) == (3, 2, 4, 2)
    assert (before.topics, before.clients, before.subscribers) == (2, 2, 3)
    assert (before.messages, before.delivered, before.dropped) == (4, 5, 2)
    assert before.uptime >= 0
    broker.delete_topic("t", reply("gone"))
    after = broker.statistics()
    assert list(broker.subscriber_counts()) == ["u"]
    assert (after.messages, after.delivered, after.dropped) == (4, 5, 2)
    assert (after.topics, after.subscribers) == (1, 1)


@pytest.mark.parametrize("overflow", [Overflow.DROP_NEWEST, Overflow.DROP_OLDEST])
def test_totals(overflow: Overflow) -> None:
    """Whatever a subscriber is offered is delivered or dropped; a lost replay is dropped, too."""
    broker = make_broker(queue_size=2, overflow=overflow, history_size=2)
    for topic in "tu":
        broker.create_topic(topic)
    publisher = join(broker, "t", "u")
    join(broker, "t")
    late = join(broker)
    publish(broker, "t", "a")
    replay = broker.subscribe(late, "t", last_n=1).replay
    assert replay is not None
    late.outbox.put_replay(replay)
    for payload in "bcd":
        publish(broker, "t", payload, publisher)
    publish(broker, "u", "e")
    read(late)
    broker.delete_topic("t", reply("gone"))
    totals = broker.statistics()
    assert (totals.topics, totals.subscribers) == (1, 1)
    assert (totals.messages, totals.offered) == (5, 2 + 3 * 2 + 1)
    assert (totals.delivered, totals.dropped - totals.dropped_from_history) == (5, 4)
    assert totals.dropped_from_history == 1
    assert totals.history_evicted == 0
    assert totals.history_bytes > 0


def test_subscriptions_name_the_clients() -> None:
    """Subscriptions are listed by the ids that the server gave the clients."""
    broker = make_broker()
    broker.create_topic("t")
    broker.create_topic("u")
    one, two = join(broker), join(broker, "u", "t")
    assert broker.subscriptions() == {one.id: [], two.id: ["u", "t"]}
