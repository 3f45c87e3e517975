"""Listings: order, prefixes, cursors, and slices of bounded work while the room changes."""

from collections.abc import Iterator

import pytest

from pubsub import fairness
from pubsub.core.broker import Broker
from pubsub.core.counters import TopicStatistics
from pubsub.core.errors import WrongThread
from pubsub.core.options import Overflow
from tests.core.support import join, make_broker, one_slice, publish, read, reply

IN_ONE_SLICE = fairness.LISTING_SLICE // (fairness.EXAMINED_ROW + fairness.LISTED_ROW)


def make_topics(*names: str) -> Broker:
    """Return a broker with these topics."""
    broker = make_broker()
    for name in names:
        broker.create_topic(name)
    return broker


def names_of(slices: Iterator[list[tuple[str, TopicStatistics]]]) -> list[str]:
    """Return the names of all topics of a listing."""
    return [name for topics in slices for name, _ in topics]


def test_topics_are_sorted_by_name() -> None:
    """Topics are listed by name, whatever the order of creation and deletion."""
    broker = make_topics("b", "d", "a", "c")
    broker.delete_topic("b", reply("gone"))
    broker.create_topic("aa")
    assert names_of(broker.topic_slices()) == ["a", "aa", "c", "d"]
    assert names_of(broker.topic_slices(after="aa")) == ["c", "d"]
    assert names_of(broker.topic_slices(after="b")) == ["c", "d"]
    assert names_of(broker.topic_slices(after="d")) == []


def test_prefix() -> None:
    """A prefix selects the names that begin with it, including a name that equals it."""
    broker = make_topics("a", "ab", "abc", "abé", "ab😀", "ac", "b")
    wanted = ["ab", "abc", "abé", "ab😀"]
    assert names_of(broker.topic_slices(prefix="ab")) == wanted
    assert names_of(broker.topic_slices(prefix="ab", after="a")) == wanted
    assert names_of(broker.topic_slices(prefix="ab", after="ab")) == wanted[1:]
    assert names_of(broker.topic_slices(prefix="ab", after="b")) == []
    assert names_of(broker.topic_slices(prefix="x")) == []
    assert (broker.count_topics("ab"), broker.count_topics("x"), broker.count_topics()) == (4, 0, 7)


def test_invisible_topics_are_not_listed() -> None:
    """Only topics that the one who asks may see are listed."""
    broker = make_topics("a", "b", "c")
    asked: list[str] = []
    slices = broker.topic_slices(visible=lambda name: asked.append(name) or name != "b")
    assert names_of(slices) == ["a", "c"]
    assert asked == ["a", "b", "c"]


def test_a_slice_of_topics_is_bounded() -> None:
    """A slice has a bounded number of topics, and so many fewer are only looked at."""
    broker = make_topics(*(f"{number:04}" for number in range(2 * IN_ONE_SLICE + 1)))
    assert [len(topics) for topics in broker.topic_slices()] == [IN_ONE_SLICE, IN_ONE_SLICE, 1]
    looked_at = 0

    def visible(name: str) -> bool:
        nonlocal looked_at
        looked_at += 1
        return False

    assert next(broker.topic_slices(visible=visible)) == []
    assert looked_at <= fairness.LISTING_SLICE // fairness.EXAMINED_ROW


def test_topics_may_change_between_slices() -> None:
    """A topic that exists all the time is listed once, whatever changes around it."""
    names = [f"{number:04}" for number in range(2 * IN_ONE_SLICE)]
    broker = make_topics(*names)
    slices = broker.topic_slices()
    found = [name for name, _ in next(slices)]
    for name in names[: IN_ONE_SLICE // 2]:
        broker.delete_topic(name, reply("gone"))
    broker.delete_topic(found[-1], reply("gone"))
    broker.create_topic("0000-new")
    broker.create_topic("9999")
    assert found + names_of(slices) == [*names, "9999"]


def test_clients_are_in_the_order_of_connection() -> None:
    """Clients are listed in the order of connection, from a given one or with a prefix."""
    broker = make_topics("t", "u")
    clients = [join(broker, *"ut"[:number]) for number in range(3)]
    rows = one_slice(broker.client_slices())
    assert [(each.id, each.topics) for each in rows] == [
        (clients[0].id, []),
        (clients[1].id, ["u"]),
        (clients[2].id, ["u", "t"]),
    ]
    assert one_slice(broker.client_slices(after=rows[1].joined)) == rows[2:]
    assert one_slice(broker.client_slices(prefix=clients[1].id)) == rows[1:2]
    broker.disconnect(clients[1])
    assert one_slice(broker.client_slices(after=rows[0].joined)) == rows[2:]
    late = join(broker)
    assert one_slice(broker.client_slices(after=rows[2].joined))[0].id == late.id


def test_positions_of_clients_grow_when_the_clock_is_set_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A client that connects later is listed later, even if the clock was set back."""
    times = iter([5, 3, 5, 9])
    monkeypatch.setattr("pubsub.core.broker.time.time_ns", lambda: next(times))
    broker = make_broker()
    clients = [join(broker) for _ in range(4)]
    assert [client.joined for client in clients] == [5, 6, 7, 9]


@pytest.mark.parametrize("overflow", [Overflow.DROP_NEWEST, Overflow.DROP_OLDEST])
def test_losses_of_a_client(overflow: Overflow) -> None:
    """A client's row has the frames that wait for it and all events that it lost."""
    broker = make_broker(queue_size=2, overflow=overflow)
    broker.create_topic("t")
    client = join(broker, "t")
    for text in "abcde":
        publish(broker, "t", text)
    (row,) = one_slice(broker.client_slices())
    assert (row.queued, row.dropped) == (2, 3)
    read(client)
    (row,) = one_slice(broker.client_slices())
    assert (row.queued, row.dropped) == (0, 3)


def test_lost_replays_of_a_client() -> None:
    """Events that the history evicts before they are replayed count as losses of the client."""
    broker = make_broker(history_size=3)
    broker.create_topic("t")
    for text in "abc":
        publish(broker, "t", text)
    client = join(broker)
    replay = broker.subscribe(client, "t", last_n=3).replay
    assert replay is not None
    client.outbox.put_replay(replay)
    broker.delete_topic("t", reply("gone"))
    assert read(client) == ["t lost 3, 1 to 3", "gone"]
    (row,) = one_slice(broker.client_slices())
    assert (row.queued, row.dropped) == (0, 3)
    assert broker.statistics().dropped == 3


def test_a_slice_of_clients_is_bounded_by_their_subscriptions() -> None:
    """The more topics clients have, the fewer of them are in a slice, but always at least one."""
    broker = make_broker(max_subscriptions=fairness.LISTING_SLICE)
    names = [f"t{number}" for number in range(fairness.LISTING_SLICE // 4)]
    for name in names:
        broker.create_topic(name)
    for _ in range(3):
        join(broker, *names)
    many = join(broker, *names)
    for number in range(fairness.LISTING_SLICE // 2):
        broker.create_topic(f"u{number}")
        broker.subscribe(many, f"u{number}")
    assert [len(clients) for clients in broker.client_slices()] == [2, 2]
    assert [len(clients) for clients in broker.client_slices(after=many.joined - 1)] == [1]


def test_clients_that_connect_meanwhile_are_not_listed() -> None:
    """A listing of clients ends with those that were connected when it began."""
    broker = make_broker()
    for _ in range(2 * IN_ONE_SLICE):
        join(broker)
    slices = broker.client_slices()
    before = len(next(slices))
    join(broker)
    assert before + sum(map(len, slices)) == 2 * IN_ONE_SLICE


def test_a_listing_belongs_to_the_thread_of_the_broker() -> None:
    """Another thread than the owner of the broker can neither begin a listing nor go on with it."""
    broker = make_topics("a")
    join(broker)
    topics, clients = broker.topic_slices(), broker.client_slices()
    next(topics), next(clients)
    broker._owner = 0
    for slices in (topics, clients, broker.topic_slices(), broker.client_slices()):
        with pytest.raises(WrongThread):
            next(slices)
    with pytest.raises(WrongThread):
        broker.count_topics()
