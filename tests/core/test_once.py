"""Messages that are delivered once although they are published repeatedly."""

import pytest

from pubsub.core import once
from pubsub.core.broker import Broker
from pubsub.core.publication import Publication
from tests.core.support import join, make_broker, read, reply


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now


def make(clock: Clock, **config: int) -> Broker:
    """Return a broker that remembers ids for ten seconds, with the topics ``t`` and ``u``."""
    broker = make_broker(once_seconds=10, clock=clock, **config)
    broker.create_topic("t")
    broker.create_topic("u")
    return broker


def publish(broker: Broker, message_id: str, topic: str = "t", *, once: bool = True) -> Publication:
    """Publish a message whose payload is its id."""
    return broker.publish(topic, message_id, message_id, once=once)


def test_a_repetition_is_not_delivered() -> None:
    """The same id is delivered once, in whichever case it is written."""
    broker = make(Clock(), history_size=5)
    client = join(broker, "t")
    first, second, again = (publish(broker, each) for each in ("a", "b", "A"))
    assert read(client) == ["a", "b"]
    assert [each.duplicate for each in (first, second, again)] == [False, False, True]
    assert (again.offset, again.subscribers, again.id) == (1, 1, "A")
    assert again.time >= first.time
    assert broker.statistics().messages == 2


def test_only_repetitions_within_a_topic_and_with_once() -> None:
    """Ids are compared in each topic by itself, and only among publications with ``once``."""
    broker = make(Clock())
    client = join(broker, "t", "u")
    publish(broker, "a", once=False)
    publish(broker, "a")
    publish(broker, "a", once=False)
    publish(broker, "a", "u")
    assert read(client) == ["a"] * 4
    assert publish(broker, "a").duplicate


def test_ids_are_forgotten() -> None:
    """An id counts for ``once_seconds`` after its first publication, and not until a sweep."""
    clock = Clock()
    broker = make(clock)
    publish(broker, "a")
    clock.now += 9
    assert publish(broker, "a").duplicate
    publish(broker, "b")
    clock.now += 1
    assert not publish(broker, "a").duplicate
    assert publish(broker, "b").duplicate
    assert not broker.forget_expired()
    assert publish(broker, "a").duplicate


def test_ids_of_a_deleted_topic() -> None:
    """A topic that is created anew remembers nothing."""
    broker = make(Clock())
    publish(broker, "a")
    broker.delete_topic("t", reply("deleted"))
    broker.create_topic("t")
    assert not publish(broker, "a").duplicate


def test_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest ids are forgotten, first of one topic, and then of all."""
    monkeypatch.setattr(once, "MAX_IDS_PER_TOPIC", 2)
    broker = make(Clock())
    for each in "abc":
        publish(broker, each)
    assert not publish(broker, "a").duplicate  # and it takes the place of b
    assert publish(broker, "c").duplicate
    monkeypatch.setattr(once, "MAX_IDS", 4)
    publish(broker, "x", "u")
    publish(broker, "y", "u")
    assert "4 remembered" in repr(broker._recent_ids)
    broker.create_topic("v")
    publish(broker, "z", "v")
    assert publish(broker, "a").duplicate
    assert not publish(broker, "c").duplicate


def test_a_busy_topic_takes_no_room_from_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a topic has forgotten, or was deleted with it, no longer counts among all ids."""
    monkeypatch.setattr(once, "MAX_IDS_PER_TOPIC", 2)
    monkeypatch.setattr(once, "MAX_IDS", 4)
    broker = make(Clock())
    publish(broker, "x", "u")
    for each in "abcd":
        publish(broker, each)
    assert publish(broker, "x", "u").duplicate
    broker.delete_topic("t", reply("deleted"))
    assert "1 remembered" in repr(broker._recent_ids)


def test_expired_ids_are_released_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks is told whether there is more to release."""
    monkeypatch.setattr(once, "FORGOTTEN_AT_ONCE", 2)
    clock = Clock()
    broker = make(clock)
    for each in "abcd":
        publish(broker, each)
    assert not broker.forget_expired()
    clock.now += 10
    assert broker.forget_expired()
    assert broker.forget_expired()
    assert not broker.forget_expired()
