"""The broker: who gets what, what it refuses, and what it counts."""

import threading

import pytest

from pubsub.core.broker import Broker
from pubsub.core.client import Client
from pubsub.core.errors import (
    ForeignThread,
    InvalidTopicName,
    LimitExceeded,
    NotSubscribed,
    TopicExists,
    TopicNotFound,
)
from pubsub.core.limits import Overflow
from tests.core.support import event, join, make_broker, read, reply


def test_every_subscriber_but_the_publisher_gets_each_message_once() -> None:
    """And nobody who subscribes to another topic only."""
    broker = make_broker()
    broker.create_topic("t")
    broker.create_topic("u")
    publisher, other, elsewhere = join(broker, "t"), join(broker, "t"), join(broker, "u")
    assert broker.publish("t", event("a"), publisher=publisher) == 1
    assert broker.publish("t", event("b"), publisher=elsewhere) == 2
    assert broker.publish("t", event("c")) == 2
    assert (read(publisher), read(other), read(elsewhere)) == (["b", "c"], ["a", "b", "c"], [])


def test_topics() -> None:
    """Created once, deleted once; the subscribers of a deleted one are told, and stay."""
    broker = make_broker()
    broker.create_topic("t")
    with pytest.raises(TopicExists):
        broker.create_topic("t")
    with pytest.raises(InvalidTopicName):
        broker.create_topic("a b")
    client = join(broker, "t")
    broker.delete_topic("t", reply("gone"))
    assert read(client) == ["gone"]
    assert broker.client_count == 1
    for missing in (
        lambda: broker.delete_topic("t", reply("gone")),
        lambda: broker.subscribe(client, "t"),
        lambda: broker.publish("t", event("a")),
    ):
        with pytest.raises(TopicNotFound) as refused:
            missing()
        assert (refused.value.topic, str(refused.value)) == ("t", "topic does not exist")


def test_impossible_names_are_told_from_missing_topics() -> None:
    """The client has made a mistake of another kind."""
    broker = make_broker()
    client = join(broker)
    for impossible in (
        lambda: broker.subscribe(client, "a b"),
        lambda: broker.unsubscribe(client, "a b"),
        lambda: broker.publish("a b", event("a")),
    ):
        with pytest.raises(InvalidTopicName):
            impossible()


def test_unsubscribe() -> None:
    """Ends the subscription; there must be one."""
    broker = make_broker()
    broker.create_topic("t")
    client = join(broker, "t")
    broker.unsubscribe(client, "t")
    assert broker.publish("t", event("a")) == 0
    with pytest.raises(NotSubscribed):
        broker.unsubscribe(client, "t")


def test_limits() -> None:
    """One topic, one subscription too many; a missing topic is the better answer."""
    broker = make_broker(max_topics=2, max_subscriptions=1)
    broker.create_topic("t")
    broker.create_topic("u")
    with pytest.raises(LimitExceeded, match="no more than 2 topics are allowed"):
        broker.create_topic("v")
    client = join(broker, "t")
    broker.subscribe(client, "t")
    with pytest.raises(LimitExceeded, match="subscriptions") as refused:
        broker.subscribe(client, "u")
    assert (refused.value.resource, refused.value.limit) == ("subscriptions", 1)
    with pytest.raises(TopicNotFound):
        broker.subscribe(client, "v")


def test_topics_are_created_on_demand_when_allowed() -> None:
    """By subscribe and by publish, under the same rules as by request."""
    broker = make_broker(auto_create_topics=True, max_topics=2)
    client = join(broker, "t")
    assert broker.publish("t", event("a")) == 1
    assert broker.publish("u", event("b")) == 0
    assert broker.subscriber_counts() == {"t": 1, "u": 0}
    full = make_broker(auto_create_topics=True, max_subscriptions=1)
    for name, refusal in (("u", LimitExceeded), ("a b", InvalidTopicName)):
        with pytest.raises(refusal):
            join(full, "t", name)
    assert full.subscriber_counts() == {"t": 2}
    with pytest.raises(LimitExceeded):
        broker.subscribe(client, "v")
    with pytest.raises(InvalidTopicName):
        broker.publish("a b", event("a"))


def replayed(broker: Broker, client: Client, topic: str, last_n: int) -> list[str]:
    """Subscribe a client, and return the past events that it gets."""
    replay = broker.subscribe(client, topic, last_n=last_n)
    return [] if replay is None else [frame.text for frame in replay.take(1 << 20)]


def test_replay() -> None:
    """Of a topic that keeps messages, to a new subscriber, but not of its own and not twice."""
    broker = make_broker(history_size=3)
    broker.create_topic("t")
    broker.create_topic("none", history_size=0)
    publisher = join(broker)
    for payload in "abcd":
        broker.publish("t", event(payload), publisher=publisher if payload == "c" else None)
    late = join(broker)
    assert replayed(broker, late, "t", 2) == ["c", "d"]
    assert replayed(broker, late, "t", 2) == []
    assert replayed(broker, publisher, "t", 9) == ["b", "d"]
    assert replayed(broker, join(broker), "t", 0) == []
    assert replayed(broker, late, "none", 9) == []


def test_statistics() -> None:
    """Of each topic, and of all of them, deleted ones included."""
    broker = make_broker(queue_size=2)
    broker.create_topic("t")
    broker.create_topic("u")
    join(broker, "t")
    client = join(broker, "t", "u")
    for payload in "abc":
        broker.publish("t", event(payload))
    read(client)
    broker.publish("u", event("d"))
    before = broker.statistics()
    topic = before.topics["t"]
    assert (topic.messages, topic.subscribers, topic.delivered, topic.dropped) == (3, 2, 4, 2)
    assert (before.clients, before.subscribers) == (2, 3)
    assert (before.messages, before.delivered, before.dropped) == (4, 5, 2)
    assert before.uptime >= 0
    broker.delete_topic("t", reply("gone"))
    after = broker.statistics()
    assert list(after.topics) == ["u"]
    assert (after.messages, after.delivered, after.dropped) == (4, 5, 2)
    assert after.subscribers == 1


def test_events_dropped_after_their_topic_was_deleted_are_counted() -> None:
    """With drop_oldest an event may be evicted by one of another topic."""
    broker = make_broker(queue_size=1, overflow=Overflow.DROP_OLDEST)
    broker.create_topic("t")
    broker.create_topic("u")
    client = join(broker, "t", "u")
    broker.publish("t", event("a"))
    broker.unsubscribe(client, "t")
    broker.delete_topic("t", reply("gone"))
    broker.publish("u", event("b"))
    statistics = broker.statistics()
    assert (statistics.delivered, statistics.dropped) == (1, 1)
    assert read(client) == ["t lost 1", "b"]


def test_a_new_topic_does_not_answer_for_an_old_one_of_its_name() -> None:
    """What is dropped of a deleted topic counts in the totals only."""
    broker = make_broker(queue_size=2, overflow=Overflow.DROP_OLDEST)
    broker.create_topic("t")
    broker.create_topic("u")
    client = join(broker, "t", "u")
    broker.publish("t", event("a"))
    broker.delete_topic("t", reply("gone"))
    broker.create_topic("t")
    broker.publish("u", event("b"))
    statistics = broker.statistics()
    new = statistics.topics["t"]
    assert (new.delivered, new.dropped) == (0, 0)
    assert (statistics.delivered, statistics.dropped) == (1, 1)
    assert read(client) == ["t lost 1", "gone", "b"]


def test_deleting_a_topic_ends_its_replays() -> None:
    """The client is told what it does not get, and nothing of the topic is kept for it."""
    broker = make_broker(history_size=3)
    topic = broker.create_topic("t")
    for payload in "abc":
        broker.publish("t", event(payload))
    client = join(broker)
    replay = broker.subscribe(client, "t", last_n=3)
    assert replay is not None
    client.outbox.put_replay(replay)
    assert [frame.text for frame in client.outbox.take_nowait(1)] == ["a"]
    broker.delete_topic("t", reply("gone"))
    assert topic.history is not None
    assert len(topic.history) == 0
    assert read(client) == ["t lost 2", "gone"]
    statistics = broker.statistics()
    assert (statistics.delivered, statistics.dropped) == (0, 2)


def test_disconnect_leaves_nothing() -> None:
    """And may be called twice."""
    broker = make_broker()
    broker.create_topic("t")
    client = join(broker, "t")
    broker.disconnect(client)
    broker.disconnect(client)
    assert broker.subscriptions() == {}
    assert broker.subscriber_counts() == {"t": 0}
    assert client.outbox.closed


def test_subscriptions_name_the_clients() -> None:
    """By the ids that the server gave them."""
    broker = make_broker()
    broker.create_topic("t")
    broker.create_topic("u")
    one, two = join(broker), join(broker, "u", "t")
    assert broker.subscriptions() == {one.id: [], two.id: ["u", "t"]}


def test_other_threads_are_refused() -> None:
    """Until they take over."""
    broker = make_broker()
    outcome: list[object] = []

    def use() -> None:
        try:
            broker.create_topic("t")
        except ForeignThread as error:
            outcome.append(str(error))
        broker.take_ownership()
        outcome.append(broker.create_topic("t").name)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert outcome == ["the broker belongs to another thread; use pubsub.publish()", "t"]
    with pytest.raises(ForeignThread):
        broker.statistics()


def test_repr() -> None:
    """They tell how they are doing."""
    broker = make_broker()
    broker.create_topic("t")
    client = join(broker, "t")
    assert repr(broker) == "<Broker 1 topics, 1 clients>"
    assert repr(client) == f"<Client {client.id}, 1 topics, <Outbox 0 frames, 0 bytes, 0 losses>>"
