"""The broker that shares its topics: events of topics with history, as it keeps them."""

from typing import Any

import pytest

from pubsub.core.options import Overflow, TopicOptions
from pubsub.core.publication import Position
from pubsub.core.shared import SharedBroker
from pubsub.core.topic import Recover
from tests.clock import Clock
from tests.core.support import join, make_shared_broker, read, reply


def make(*, recovery_limit: int = 1000, **options: Any) -> tuple[SharedBroker, Clock]:
    """Return a broker with the topic `t`."""
    clock = Clock()
    broker = make_shared_broker(recovery_limit=recovery_limit, clock=clock)
    broker.install("t", TopicOptions(history=10, **options), "epoch001")
    return broker, clock


def deliver(broker: SharedBroker, *offsets: int, age: float = 0.0) -> None:
    """Deliver events whose text is their offset."""
    for offset in offsets:
        event = str(offset).encode()
        broker.deliver_kept("t", event, offset=offset, publisher_id=None, user=None, age=age)


def recovered(broker: SharedBroker, offset: int) -> bool | None:
    """Return whether everything after an offset is still kept."""
    client = join(broker)
    since = Recover(Position("epoch001", offset))
    return broker.subscribe(client, "t", recover=since).recovered


def test_an_event_expires_at_its_age() -> None:
    """An event that was accepted some time ago expires earlier than one that is new."""
    broker, clock = make(history_seconds=60)
    deliver(broker, 5, age=50)
    deliver(broker, 9)
    clock.now += 10
    assert [frame.offset for frame in broker.history("t", limit=10).frames] == [9]
    clock.now += 50
    assert broker.history("t", limit=10).frames == []


def test_an_age_means_nothing_without_a_limit() -> None:
    """Where events do not expire, an old one is kept as well."""
    broker, _ = make()
    deliver(broker, 5, age=1e9)
    assert len(broker.history("t", limit=10).frames) == 1


def test_forgetting_what_is_kept() -> None:
    """Forgotten events count as evicted up to an offset, and later ones follow it."""
    broker, _ = make()
    client = join(broker, "t")
    deliver(broker, 2, 5)
    broker.forget_kept("t", 7)
    assert broker.history("t", limit=10) == (("epoch001", 7), True, [])
    assert broker.statistics().history_bytes == 0
    deliver(broker, 9)
    assert (recovered(broker, 5), recovered(broker, 7)) == (False, True)
    assert read(client) == ["2", "5", "9"]


def test_repetitions_of_other_processes_are_counted() -> None:
    """A repetition that the shared order has found counts like one that was found here."""
    broker, _ = make()
    broker.count_repetition()
    assert broker.statistics().repetitions == 1


def test_the_publisher_gets_no_copy() -> None:
    """The client that published an event gets no copy, if it is of the user that published."""
    broker, _ = make()
    client, other = join(broker, "t"), join(broker, "t")
    for offset, user in ((1, None), (2, "42")):
        broker.deliver_kept("t", b"e", offset=offset, publisher_id=client.id, user=user)
    broker.deliver_kept("t", b"e", offset=3, publisher_id="elsewhere", user=None)
    assert (len(read(client)), len(read(other))) == (2, 3)


@pytest.mark.parametrize("user", [None, "42"])
@pytest.mark.parametrize("process", ["of the client", "another one"])
def test_a_replay_omits_what_the_client_did_not_get_live(user: str | None, process: str) -> None:
    """Own messages are omitted from a replay, and what others have published in one's name is not.

    That is so in the process of the client, and in another one, where it comes back.
    """
    broker, _ = make()
    client = join(broker)
    broker.identify(client, user)
    client_id = client.id if process == "of the client" else "elsewhere"
    broker.subscribe(client, "t")
    publishers = (None, "42", "4")
    for offset, publisher in enumerate(publishers, 1):
        event = str(publisher).encode()
        broker.deliver_kept("t", event, offset=offset, publisher_id=client_id, user=publisher)
    others = [str(publisher) for publisher in publishers if publisher != user]
    if process == "of the client":
        assert read(client) == others
        broker.unsubscribe(client, "t")
    else:
        client = join(broker)
        broker.identify(client, user)
    recover = Recover(Position("epoch001", 0), client_id)
    subscribed = broker.subscribe(client, "t", recover=recover)
    assert (subscribed.recovered, subscribed.replayed) == (True, 2)
    assert subscribed.replay is not None
    assert [frame.text for frame in subscribed.replay.take(1 << 20)] == others


def test_the_newest_events_omit_what_the_client_did_not_get_live() -> None:
    """With `last_n`, an event that another user has published in the client's name is replayed."""
    broker, _ = make()
    client = join(broker)
    broker.identify(client, "42")
    for offset, user in enumerate(("42", None, "43"), 1):
        event = str(user).encode()
        broker.deliver_kept("t", event, offset=offset, publisher_id=client.id, user=user)
    replay = broker.subscribe(client, "t", last_n=9).replay
    assert replay is not None
    assert [frame.text for frame in replay.take(1 << 20)] == ["None", "43"]


def test_a_new_epoch() -> None:
    """A new epoch begins with an empty history, and subscribers get the notice of it."""
    broker, _ = make()
    client = join(broker, "t")
    deliver(broker, 7)
    broker.begin_again("t", "epoch002", reply("again"))
    deliver(broker, 3)
    assert read(client) == ["7", "again", "3"]
    page = broker.history("t", limit=10)
    assert (page.position, len(page.frames)) == (("epoch002", 3), 1)


def test_accepted_messages_are_counted_where_they_were_accepted() -> None:
    """A message counts once, by a client or not, and not at all if its topic is gone."""
    broker, _ = make()
    deliver(broker, 1)
    for name, by_client in (("t", True), ("t", False), ("u", True)):
        broker.count_accepted(name, by_client=by_client)
    statistics = broker.statistics()
    assert (statistics.messages, statistics.client_publications) == (2, 1)


def page(broker: SharedBroker, offset: int, limit: int = 10) -> tuple[bool, list[int]]:
    """Return whether a page after an offset is complete, and the offsets in it."""
    found = broker.history("t", since=Position("epoch001", offset), limit=limit)
    return found.complete, [frame.offset for frame in found.frames]


def test_recovery_over_holes() -> None:
    """A position that no message has is recovered like any other, if what follows is kept."""
    broker, _ = make()
    deliver(broker, *range(100, 1300, 100))
    assert broker.topic("t").position == ("epoch001", 1200)
    found = [recovered(broker, offset) for offset in (199, 200, 201, 1200, 1201)]
    assert found == [False, True, True, True, False]


def test_recovery_limit_counts_messages() -> None:
    """The limit is a number of messages, not of offsets."""
    broker, _ = make(recovery_limit=2)
    deliver(broker, 100, 200, 300)
    assert (recovered(broker, 150), recovered(broker, 99)) == (True, False)


def test_pages_over_holes() -> None:
    """A page is complete if no message is missing, whatever offsets are."""
    broker, _ = make()
    deliver(broker, *range(100, 1300, 100))
    assert page(broker, 1050) == (True, [1100, 1200])
    assert page(broker, 200, limit=2) == (True, [300, 400])
    assert page(broker, 199, limit=1) == (False, [300])
    assert page(broker, 5000, limit=1) == (False, [300])


def test_a_loss_has_the_offsets_of_what_was_lost() -> None:
    """Events that a full outbox drops are reported with the offsets that all processes share."""
    broker, _ = make()
    client = join(broker, "t")
    queued = broker.config.queue_size
    deliver(broker, *range(10, 10 * queued + 50, 10))
    lost = read(client)[-1]
    assert lost == f"t lost 4, {10 * queued + 10} to {10 * queued + 40}"


def test_catching_up_ends_with_the_epoch() -> None:
    """What a slow subscriber has missed of a lost order is reported before the new one begins."""
    broker, _ = make(overflow=Overflow.CATCH_UP)
    client = join(broker, "t")
    queued = broker.config.queue_size
    deliver(broker, *range(10, 10 * queued + 30, 10))
    broker.begin_again("t", "epoch002", reply("again"))
    deliver(broker, 1)
    lost = f"t lost 2, {10 * queued + 10} to {10 * queued + 20}"
    assert read(client)[queued:] == [lost, "again", "1"]


def test_a_loss_is_reported_before_the_epoch_ends() -> None:
    """What was lost of the old order is reported before the notice, and the rest separately."""
    broker, _ = make()
    client = join(broker, "t")
    queued = broker.config.queue_size
    deliver(broker, *range(10, 10 * queued + 30, 10))
    broker.begin_again("t", "epoch002", reply("again"))
    deliver(broker, 1, 2)
    lost = f"t lost 2, {10 * queued + 10} to {10 * queued + 20}"
    assert read(client)[queued:] == [lost, "again", "t lost 2, 1 to 2"]


def test_the_oldest_events_are_reported_before_the_epoch_ends() -> None:
    """Events that made room for others of the old order are reported with their offsets."""
    broker, _ = make(overflow=Overflow.DROP_OLDEST)
    client = join(broker, "t")
    queued = broker.config.queue_size
    deliver(broker, *range(10, 10 * queued + 30, 10))
    broker.begin_again("t", "epoch002", reply("again"))
    deliver(broker, 1)
    found = read(client)
    assert found[:3] == ["t lost 3", "t lost 2, 10 to 20", "60"]
    assert found[-2:] == ["again", "1"]


def test_events_of_two_epochs_that_are_lost_together() -> None:
    """A loss that may be of both orders has no offsets; those after the notice has left have."""
    broker, _ = make(overflow=Overflow.DROP_OLDEST)
    client = join(broker, "t")
    queued = broker.config.queue_size
    deliver(broker, *range(10, 10 * queued + 10, 10))
    broker.begin_again("t", "epoch002", reply("again"))
    deliver(broker, *range(1, queued + 11))
    found = read(client)
    assert found[:2] == [f"t lost {queued + 11}", "again"]
    deliver(broker, *range(1001, queued + 1003))
    assert read(client)[0] == "t lost 2, 1001 to 1002"


def test_a_new_epoch_for_a_client_that_has_gone() -> None:
    """A closed outbox takes no notice of a new epoch."""
    broker, _ = make(overflow=Overflow.DROP_OLDEST)
    client = join(broker, "t")
    client.outbox.close()
    broker.begin_again("t", "epoch002", reply("again"))
    assert read(client) == []
