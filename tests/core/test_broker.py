"""The broker: delivery, refusals and what is counted."""

import threading

import pytest

from pubsub.core.broker import TIMED_EVERY, Broker
from pubsub.core.client import Client, Publisher
from pubsub.core.errors import (
    InvalidTopicName,
    LimitExceeded,
    NotSubscribed,
    ReentrantCall,
    TopicExists,
    TopicNotFound,
    WrongThread,
)
from pubsub.core.options import GivenOptions, Overflow
from pubsub.core.publication import Publication
from tests.core.support import join, make_broker, one_slice, publish, read, reply


def test_every_subscriber_but_the_publisher_gets_each_message_once() -> None:
    """A message reaches each subscriber of its topic once, except the publisher."""
    broker = make_broker()
    broker.create_topic("t")
    broker.create_topic("u")
    publisher, other, elsewhere = join(broker, "t"), join(broker, "t"), join(broker, "u")
    assert publish(broker, "t", "a", publisher=publisher) == 1
    assert publish(broker, "t", "b", publisher=elsewhere) == 2
    assert publish(broker, "t", "c") == 2
    assert (read(publisher), read(other), read(elsewhere)) == (["b", "c"], ["a", "b", "c"], [])


def test_topics() -> None:
    """A topic is created once and deleted once; deletion notifies its subscribers."""
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
    for call in (
        lambda: broker.delete_topic("t", reply("gone")),
        lambda: broker.subscribe(client, "t"),
        lambda: publish(broker, "t", "a"),
    ):
        with pytest.raises(TopicNotFound) as refused:
            call()
        assert (refused.value.topic, str(refused.value)) == ("t", "topic does not exist")


def test_invalid_names_are_not_reported_as_missing_topics() -> None:
    """An invalid topic name is reported as such, not as a missing topic."""
    broker = make_broker()
    client = join(broker)
    for call in (
        lambda: broker.subscribe(client, "a b"),
        lambda: broker.unsubscribe(client, "a b"),
        lambda: publish(broker, "a b", "a"),
    ):
        with pytest.raises(InvalidTopicName):
            call()


def test_unsubscribe() -> None:
    """Unsubscribing ends the subscription and requires that there is one."""
    broker = make_broker()
    broker.create_topic("t")
    client = join(broker, "t")
    broker.unsubscribe(client, "t")
    assert publish(broker, "t", "a") == 0
    with pytest.raises(NotSubscribed):
        broker.unsubscribe(client, "t")


def test_limits() -> None:
    """Exceeding a limit is refused; a missing topic is reported before an exceeded limit."""
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
    """Subscribing and publishing create missing topics, under the rules of `create_topic`."""
    broker = make_broker(auto_create_topics=True, max_topics=2)
    client = join(broker, "t")
    assert publish(broker, "t", "a") == 1
    assert publish(broker, "u", "b") == 0
    assert broker.subscriber_counts() == {"t": 1, "u": 0}
    full = make_broker(auto_create_topics=True, max_subscriptions=1)
    for name, refusal in (("u", LimitExceeded), ("a b", InvalidTopicName)):
        with pytest.raises(refusal):
            join(full, "t", name)
    assert full.subscriber_counts() == {"t": 2}
    with pytest.raises(LimitExceeded):
        broker.subscribe(client, "v")
    with pytest.raises(InvalidTopicName):
        publish(broker, "a b", "a")


def replayed(broker: Broker, client: Client, topic: str, last_n: int) -> list[str]:
    """Subscribe a client and return the events of its replay."""
    replay = broker.subscribe(client, topic, last_n=last_n).replay
    return [] if replay is None else [frame.text for frame in replay.take(1 << 20)]


def test_replay() -> None:
    """A new subscriber gets the kept messages once, without those that it published itself."""
    broker = make_broker(history_size=3)
    broker.create_topic("t")
    broker.create_topic("none", GivenOptions(history=0))
    publisher = join(broker)
    for payload in "abcd":
        publish(broker, "t", payload, publisher=publisher if payload == "c" else None)
    late = join(broker)
    assert replayed(broker, late, "t", 2) == ["c", "d"]
    assert replayed(broker, late, "t", 2) == []
    assert replayed(broker, publisher, "t", 9) == ["b", "d"]
    assert replayed(broker, join(broker), "t", 0) == []
    assert replayed(broker, late, "none", 9) == []


def test_publications_count_by_publisher() -> None:
    """Messages of connected clients are counted apart, and every sixteenth is timed."""
    broker = make_broker()
    broker.create_topic("t")
    client = join(broker)
    for _ in range(TIMED_EVERY + 1):
        publish(broker, "t", "a", client)
    publish(broker, "t", "b")
    with pytest.raises(TopicNotFound):
        publish(broker, "none", "c")
    statistics = broker.statistics()
    assert (statistics.client_publications, statistics.messages) == (
        TIMED_EVERY + 1,
        TIMED_EVERY + 2,
    )
    assert broker.publish_seconds.cumulative()[-1] == 2
    assert broker.publish_seconds.total > 0


def test_events_dropped_after_their_topic_was_deleted_are_counted() -> None:
    """An event that is evicted after its topic was deleted counts in the totals."""
    broker = make_broker(queue_size=1, overflow=Overflow.DROP_OLDEST)
    broker.create_topic("t")
    broker.create_topic("u")
    client = join(broker, "t", "u")
    publish(broker, "t", "a")
    broker.unsubscribe(client, "t")
    broker.delete_topic("t", reply("gone"))
    publish(broker, "u", "b")
    statistics = broker.statistics()
    assert (statistics.delivered, statistics.dropped) == (1, 1)
    assert read(client) == ["t lost 1", "b"]


def test_a_new_topic_does_not_inherit_the_losses_of_a_deleted_one() -> None:
    """Losses of a deleted topic count in the totals, not in a new topic of the same name."""
    broker = make_broker(queue_size=2, overflow=Overflow.DROP_OLDEST)
    broker.create_topic("t")
    broker.create_topic("u")
    client = join(broker, "t", "u")
    publish(broker, "t", "a")
    broker.delete_topic("t", reply("gone"))
    broker.create_topic("t")
    publish(broker, "u", "b")
    statistics = broker.statistics()
    new = dict(one_slice(broker.topic_slices()))["t"]
    assert (new.delivered, new.dropped) == (0, 0)
    assert (statistics.delivered, statistics.dropped) == (1, 1)
    assert read(client) == ["t lost 1", "gone", "b"]


def test_deleting_a_topic_ends_its_replays() -> None:
    """Deleting a topic frees its history and reports the rest of each replay as lost."""
    broker = make_broker(history_size=3)
    broker.create_topic("t")
    for payload in "abc":
        publish(broker, "t", payload)
    client = join(broker)
    replay = broker.subscribe(client, "t", last_n=3).replay
    assert replay is not None
    client.outbox.put_replay(replay)
    assert [frame.text for frame in client.outbox.take_nowait(1)] == ["a"]
    broker.delete_topic("t", reply("gone"))
    assert broker.statistics().history_bytes == 0
    assert read(client) == ["t lost 2, 2 to 3", "gone"]
    statistics = broker.statistics()
    assert (statistics.delivered, statistics.dropped) == (0, 2)


def test_disconnect_leaves_nothing() -> None:
    """Disconnecting a client removes all its subscriptions and may be repeated."""
    broker = make_broker()
    broker.create_topic("t")
    client = join(broker, "t")
    broker.disconnect(client)
    broker.disconnect(client)
    assert broker.subscriptions() == {}
    assert broker.subscriber_counts() == {"t": 0}
    assert client.outbox.closed


def test_other_threads_are_refused() -> None:
    """Calls from another thread are refused until that thread takes ownership."""
    broker = make_broker()
    outcome: list[object] = []

    def use() -> None:
        try:
            broker.create_topic("t")
        except WrongThread as error:
            outcome.append(str(error))
        broker.take_ownership()
        broker.create_topic("t")
        outcome.append(list(broker.subscriber_counts()))

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert outcome == ["the broker belongs to another thread; use pubsub.publish()", ["t"]]
    with pytest.raises(WrongThread):
        broker.statistics()


def test_repr() -> None:
    """The reprs show the counts of topics, clients and queued frames."""
    broker = make_broker()
    broker.create_topic("t")
    client = join(broker, "t")
    assert repr(broker) == "<Broker 1 topics, 1 clients>"
    assert repr(Publisher("x")) == "<Publisher x>"
    assert repr(client) == f"<Client {client.id}, 1 topics, <Outbox 0 frames, 0 bytes, 0 losses>>"


def test_callbacks_of_an_outbox_must_not_call_the_broker() -> None:
    """An outbox's callbacks run during a delivery, so they may not call the broker."""
    broker = make_broker(queue_size=1)
    broker.create_topic("t")
    calls = [
        lambda: broker.disconnect(client),
        lambda: publish(broker, "t", "nested"),
        lambda: broker.create_topic("u"),
    ]
    refused: list[str] = []

    def call_the_broker() -> None:
        for call in calls:
            with pytest.raises(ReentrantCall) as error:
                call()
            refused.append(str(error.value))

    client = broker.connect(on_frames=call_the_broker, on_full=call_the_broker, on_overflow=print)
    broker.subscribe(client, "t")
    other = join(broker, "t")
    assert publish(broker, "t", "a") == 2
    assert publish(broker, "t", "b") == 2
    assert refused == ["an outbox's callback may not call the broker; use call_soon()"] * 6
    assert read(other) == ["a", "t lost 1"]
    broker.disconnect(client)


def test_every_publication_is_announced_once() -> None:
    """Each publication is announced once, in order, after its subscribers have got the event."""
    announced: list[tuple[Publication, list[str]]] = []
    broker = make_broker(auto_create_topics=True, history_size=2)
    client = join(broker, "demanded")
    broker.announce_to(lambda publication: announced.append((publication, read(client))))
    broker.create_topic("t", GivenOptions(history=0))
    publish(broker, "t", "a", publisher=client)
    publish(broker, "demanded", "b")
    publish(broker, "demanded", "c")
    with pytest.raises(InvalidTopicName):
        publish(broker, "a b", "d")
    broker.delete_topic("t", reply("gone"))
    assert [(p.topic, p.payload, p.publisher_id, p.offset) for p, _ in announced] == [
        ("t", "a", client.id, None),
        ("demanded", "b", None, 1),
        ("demanded", "c", None, 2),
    ]
    assert [p.frame.text for p, _ in announced] == ["a", "b", "c"]
    assert [received for _, received in announced] == [[], ["b"], ["c"]]


def test_an_event_is_encoded_once() -> None:
    """An event is encoded once, and all subscribers share the frame."""
    encoded: list[Publication] = []

    def encode(publication: Publication) -> bytes:
        encoded.append(publication)
        return b"event"

    broker = make_broker(encode=encode)
    broker.create_topic("t")
    clients = [join(broker, "t") for _ in range(3)]
    publish(broker, "t", "a")
    (publication,) = encoded
    frames = {frame for client in clients for frame in client.outbox.take_nowait(1)}
    assert frames == {publication.frame}


def test_histories_are_bounded_together() -> None:
    """The byte bound covers the histories of all topics together."""
    broker = make_broker(history_size=1000, history_bytes=100_000)
    for number in range(10):
        broker.create_topic(str(number))
        for _ in range(50):
            publish(broker, str(number), "x" * 1000)
    statistics = broker.statistics()
    assert 90_000 < statistics.history_bytes <= 100_000
    assert statistics.history_evicted > 400
