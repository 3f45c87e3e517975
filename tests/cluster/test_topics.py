"""The topics of a room that several processes share."""

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Callable

import pytest

from pubsub.cluster.names import key_of
from pubsub.cluster.topics import topics as module
from pubsub.cluster.topics.records import Record, encode
from pubsub.core.configuration import Configuration
from pubsub.core.errors import (
    InvalidTopicName,
    LimitExceeded,
    PubSubError,
    TopicExists,
    TopicNotFound,
)
from pubsub.core.options import NOT_GIVEN, GivenOptions, Overflow, TopicOptions, TopicRules
from pubsub.logs import events
from pubsub.relay.base import Snapshot
from pubsub.relay.errors import Unavailable
from tests.cluster.support import turns
from tests.cluster.topic_room import Network, Process, notices, processes

KEPT = GivenOptions(history=10)


async def fate(process: Process, name: str, given: GivenOptions = KEPT) -> str:
    """Create a topic, and return what came of it."""
    try:
        await process.topics.create(name, given)
    except PubSubError as error:
        return type(error).__name__
    return "created"


async def test_a_topic_is_created_everywhere() -> None:
    """A new topic has the same complete options and the same epoch in every process."""
    first, *others = await processes(Network())
    options = GivenOptions(history=5, presence=True, overflow=Overflow.CATCH_UP)
    await first.topics.create("orders", options)
    assert first.names == ["orders"]
    await turns()
    for other in others:
        topic = other.broker.topic("orders")
        assert topic.options == first.broker.topic("orders").options
        assert topic.options.history == 5
        assert topic.epoch == first.topics.epoch_of("orders") == other.topics.epoch_of("orders")


async def test_every_topic_has_an_epoch() -> None:
    """A topic without history has an epoch as well, and a missing topic has none."""
    first, second, _ = await processes(Network())
    await first.topics.create("news")
    await turns()
    assert first.topics.epoch_of("news") == second.topics.epoch_of("news") != None  # noqa: E711
    assert first.topics.epoch_of("orders") is None


async def test_one_of_many_creations_succeeds() -> None:
    """Of many simultaneous creations of one topic exactly one succeeds."""
    room = await processes(Network())
    fates = await asyncio.gather(*(fate(room[i % 3], "orders") for i in range(30)))
    assert Counter(fates) == {"created": 1, "TopicExists": 29}
    assert {process.topics.epoch_of("orders") for process in room} == {
        room[0].topics.epoch_of("orders")
    }


async def test_a_topic_that_exists_is_known() -> None:
    """When a creation fails because another process was faster, this process has the topic."""
    first, second, _ = await processes(Network())
    late: list[tuple[str, bytes | None, int]] = []
    second.on_change = lambda *change: late.append(change)  # type: ignore[method-assign]
    await first.topics.create("orders")
    creation = asyncio.create_task(second.topics.create("orders"))
    await turns()
    assert not creation.done()
    second.topics.on_change(*late.pop())
    with pytest.raises(TopicExists):
        await creation
    assert second.names == ["orders"]


async def test_invalid_names_are_refused() -> None:
    """The rule for names applies, connected or not."""
    process = Process(Network())
    with pytest.raises(InvalidTopicName):
        await process.topics.create("a b")


async def test_the_limit_is_exact() -> None:
    """However many processes create topics at once, there are exactly as many as allowed."""
    network = Network()
    room = await processes(network, max_topics=7)
    fates = await asyncio.gather(*(fate(room[i % 3], f"t{i}") for i in range(30)))
    assert Counter(fates) == {"created": 7, "LimitExceeded": 23}
    await turns()
    assert [len(process.names) for process in room] == [7, 7, 7]
    assert len((await room[0].relay.snapshot()).entries) == 7


async def test_a_refused_topic_leaves_no_log() -> None:
    """The logs of topics that were refused are forgotten."""
    room = await processes(Network(), max_topics=3)
    await asyncio.gather(*(fate(room[i % 3], f"t{i % 5}") for i in range(15)))
    await turns()
    begun = {log for process in room for log in process.begun}
    forgotten = {log for process in room for log in process.forgotten}
    assert begun - forgotten == {(name, room[0].topics.epoch_of(name)) for name in room[0].names}


def when_beyond(process: Process, do: Callable[[], object]) -> None:
    """Do something as soon as the second entry of the registry is known to a process."""

    def on_change(key: str, value: bytes | None, revision: int) -> None:
        process.topics.on_change(key, value, revision)
        if revision == 2:
            do()

    process.on_change = on_change  # type: ignore[method-assign]


async def test_an_entry_beyond_the_limit_that_is_gone() -> None:
    """It is also refused when another process has deleted the entry first."""
    network = Network()
    first, second, _ = await processes(network, max_topics=1)
    when_beyond(second, lambda: network.change(key_of("b"), None))
    results = await asyncio.gather(
        first.topics.create("a"), second.topics.create("b"), return_exceptions=True
    )
    assert list(map(type, results)) == [type(None), LimitExceeded]


async def test_an_entry_beyond_the_limit_that_may_stay() -> None:
    """If the answer to its deletion is lost, it is unknown whether it becomes a topic later."""
    network = Network()
    first, second, _ = await processes(network, max_topics=1)
    when_beyond(second, lambda: setattr(second.relay, "unknown_fate", True))
    _, result = await asyncio.gather(
        first.topics.create("a"), second.topics.create("b"), return_exceptions=True
    )
    assert isinstance(result, Unavailable)
    assert result.unknown_fate


async def test_gaps_during_every_synchronization(monkeypatch: pytest.MonkeyPatch) -> None:
    """A synchronization that meets a gap again and again fails."""
    process = Process(Network())
    process.relay.connect()
    snapshot = process.relay.snapshot

    async def with_a_gap() -> Snapshot:
        taken = await snapshot()
        process.topics.on_change("a", None, taken.revision + 2)
        return taken

    monkeypatch.setattr(process.relay, "snapshot", with_a_gap)
    with pytest.raises(Unavailable):
        await process.topics.synchronize()
    assert not process.topics.is_synchronized


async def test_an_entry_beyond_the_limit_becomes_a_topic() -> None:
    """An entry whose creator died before it deleted it becomes a topic when there is room."""
    network = Network()
    first, second, _ = await processes(network, max_topics=1)
    donor = await Process(network, max_topics=2).connect()
    await first.topics.create("a")
    await turns()
    await donor.topics.create("b")
    await turns()
    assert (first.names, second.names) == (["a"], ["a"])
    late = await Process(network, max_topics=1).connect()
    assert late.names == ["a"]
    await second.topics.delete("a")
    await turns()
    assert first.names == second.names == late.names == ["b"]


async def test_a_log_begins_before_its_topic() -> None:
    """A topic with history is in the registry only after its log has begun; others have none."""
    network = Network()
    process = await Process(network).connect()
    before: list[int] = []
    process.before_log = lambda: before.append(network.revision)
    await process.topics.create("news")
    await process.topics.create("orders", KEPT)
    assert before == [1]
    assert process.begun == [("orders", process.topics.epoch_of("orders"))]


async def test_nothing_is_created_without_its_log() -> None:
    """When the log cannot be begun, nothing was changed, whatever became of the log."""
    network = Network()
    process = await Process(network).connect()

    def fail() -> None:
        raise Unavailable("no answer", unknown_fate=True)

    process.before_log = fail
    with pytest.raises(Unavailable) as error:
        await process.topics.create("orders", KEPT)
    assert not error.value.unknown_fate
    assert network.revision == 0


async def test_a_deletion_reaches_all_subscribers() -> None:
    """Subscribers in every process are notified of a deletion."""
    room = await processes(Network())
    await room[0].topics.create("orders", KEPT)
    await turns()
    epoch = room[0].topics.epoch_of("orders")
    clients = [process.subscribe("orders") for process in room]
    await room[1].topics.delete("orders")
    assert room[1].names == []
    await turns()
    assert [notices(client) for client in clients] == [[("topic_deleted", "orders")]] * 3
    assert [process.names for process in room] == [[], [], []]
    assert [process.removed for process in room] == [["orders"]] * 3
    assert room[1].forgotten == [("orders", epoch)]


async def test_one_of_many_deletions_succeeds() -> None:
    """Of many simultaneous deletions of one topic exactly one succeeds."""
    room = await processes(Network())
    await room[0].topics.create("orders")
    await turns()
    results = await asyncio.gather(
        *(process.topics.delete("orders") for process in room * 3), return_exceptions=True
    )
    assert Counter(map(type, results)) == {type(None): 1, TopicNotFound: 8}


async def test_a_topic_that_was_created_anew_is_deleted() -> None:
    """A deletion that meets a newer topic of the same name deletes that one."""
    network = Network()
    first, second, _ = await processes(network)
    await first.topics.create("orders")
    await turns()
    value, revision = network.registry[key_of("orders")]
    network.change(key_of("orders"), None)
    network.change(key_of("orders"), value)
    await second.topics.delete("orders")
    assert second.names == []
    assert network.registry[key_of("orders")][0] is None
    assert revision == 1


async def test_a_missing_topic_cannot_be_deleted() -> None:
    """Deleting a topic that does not exist is an error."""
    process = await Process(Network()).connect()
    with pytest.raises(TopicNotFound):
        await process.topics.delete("orders")


async def test_nothing_changes_without_the_network() -> None:
    """Without the network, creating and deleting is refused at once."""
    network = Network()
    first, second, _ = await processes(network)
    await first.topics.create("orders")
    await turns()
    second.relay.disconnect()
    for change in (second.topics.create("news"), second.topics.delete("orders")):
        with pytest.raises(Unavailable) as error:
            await change
        assert not error.value.unknown_fate
    assert second.names == first.names == ["orders"]
    assert not second.topics.is_synchronized


async def test_a_process_that_does_not_know_the_topics_refuses() -> None:
    """A change by a process that has not synchronized in time is refused, and nothing changes."""
    network = Network()
    process = Process(network, patience=0.01)
    process.relay.connect()
    with pytest.raises(Unavailable) as error:
        await process.topics.create("orders")
    assert not error.value.unknown_fate
    assert network.revision == 0


async def test_a_change_waits_for_the_synchronization() -> None:
    """A change by a process that is about to synchronize takes effect afterwards."""
    process = Process(Network())
    process.relay.connect()
    creation = asyncio.create_task(process.topics.create("orders"))
    await turns()
    assert not creation.done()
    await process.topics.synchronize()
    await creation
    assert process.names == ["orders"]


async def test_a_change_that_does_not_come_back() -> None:
    """A change that was made but does not come back from the registry in time has no known fate."""
    network = Network()
    process = await Process(network, patience=0.01).connect()
    process.on_change = lambda *change: None  # type: ignore[method-assign]
    with pytest.raises(Unavailable) as error:
        await process.topics.create("orders")
    assert error.value.unknown_fate
    assert network.revision == 1


async def test_a_repetition_tells_the_truth() -> None:
    """After a change of unknown fate, a repetition says what became of it."""
    process = await Process(Network()).connect()
    for change, truth in (
        (process.topics.create, TopicExists),
        (process.topics.delete, TopicNotFound),
    ):
        process.relay.unknown_fate = True
        with pytest.raises(Unavailable) as error:
            await change("orders")
        assert error.value.unknown_fate
        with pytest.raises(truth):
            await change("orders")


async def test_a_missed_change_is_noticed() -> None:
    """After a gap in the revisions nothing is applied until the process has synchronized."""
    network = Network()
    first, second, _ = await processes(network)
    second.relay.is_connected = False
    await first.topics.create("a")
    second.relay.is_connected = True
    await first.topics.create("b")
    await first.topics.create("c")
    await turns()
    assert (second.names, second.requested) == ([], 1)
    assert not second.topics.is_synchronized
    await second.topics.synchronize()
    assert second.names == ["a", "b", "c"]
    await first.topics.create("d")
    await turns()
    assert second.names == ["a", "b", "c", "d"]


async def test_a_split_heals() -> None:
    """After a split a process has what the others made of the topics meanwhile."""
    first, second, _ = await processes(Network())
    for name in ("kept", "deleted", "anew"):
        await first.topics.create(name, KEPT)
    await turns()
    clients = {name: second.subscribe(name) for name in ("kept", "deleted", "anew")}
    second.relay.disconnect()
    await first.topics.delete("deleted")
    await first.topics.delete("anew")
    await first.topics.create("anew", KEPT)
    await first.topics.create("new")
    await turns()
    assert second.names == ["anew", "deleted", "kept"]
    await second.connect()
    assert second.names == first.names == ["anew", "kept", "new"]
    assert {name: notices(client) for name, client in clients.items()} == {
        "kept": [],
        "deleted": [("topic_deleted", "deleted")],
        "anew": [("topic_deleted", "anew")],
    }
    assert second.topics.epoch_of("anew") == first.topics.epoch_of("anew")
    assert second.broker.topic("anew").epoch == first.topics.epoch_of("anew")
    assert list(clients["kept"].topics) == ["kept"]
    assert second.removed == ["deleted", "anew"]


async def test_changes_during_a_synchronization() -> None:
    """Changes that arrive while the snapshot is read and adopted are applied on top of it."""
    network = Network()
    first = await Process(network).connect()
    for number in range(300):
        await first.topics.create(f"t{number}")
    late = Process(network)
    late.relay.connect()
    synchronization = asyncio.create_task(late.topics.synchronize())
    number = 0
    while not synchronization.done():
        await first.topics.delete(f"t{number}")
        await first.topics.create(f"n{number}")
        number += 1
    await synchronization
    await turns()
    assert number > 2
    assert late.names == first.names
    assert late.requested == 0


async def test_a_gap_during_a_synchronization() -> None:
    """When a change was missed while the snapshot was adopted, another one is read."""
    network = Network()
    first = await Process(network).connect()
    for number in range(300):
        await first.topics.create(f"t{number}")
    late = Process(network)
    late.relay.connect()
    synchronization = asyncio.create_task(late.topics.synchronize())
    await turns(3)
    late.relay.is_connected = False
    network.change(key_of("t0"), None)
    late.relay.is_connected = True
    network.change(key_of("t1"), None)
    await synchronization
    await turns()
    assert late.names == first.names
    assert len(late.names) == 298


async def test_too_many_changes_during_a_synchronization(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of changes that are kept during a synchronization is bounded."""
    monkeypatch.setattr(module, "MAX_PENDING", 2)
    network = Network()
    first = await Process(network).connect()
    for number in range(300):
        await first.topics.create(f"t{number}")
    late = Process(network)
    late.relay.connect()
    synchronization = asyncio.create_task(late.topics.synchronize())
    await turns(3)
    for number in range(100):
        network.change(key_of(f"t{number}"), None)
    await synchronization
    await turns()
    assert late.names == first.names
    assert len(late.names) == 200


async def test_a_connection_lost_during_a_synchronization() -> None:
    """A synchronization during which the connection was lost fails, and can be repeated."""
    network = Network()
    first = await Process(network).connect()
    for number in range(300):
        await first.topics.create(f"t{number}")
    late = Process(network)
    late.relay.connect()
    synchronization = asyncio.create_task(late.topics.synchronize())
    await turns(3)
    late.relay.disconnect()
    with pytest.raises(Unavailable):
        await synchronization
    assert not late.topics.is_synchronized
    await late.connect()
    assert late.topics.is_synchronized
    assert late.names == first.names


async def test_a_process_without_the_network_cannot_synchronize() -> None:
    """A synchronization without the network fails."""
    process = Process(Network())
    with pytest.raises(Unavailable):
        await process.topics.synchronize()
    assert not process.topics.is_synchronized


def lose(network: Network, room: list[Process]) -> None:
    """Restart the network with empty stores."""
    for process in room:
        process.relay.disconnect()
    network.lose_stores()


@pytest.mark.parametrize("options", [NOT_GIVEN, KEPT])
async def test_a_topic_that_was_deleted_after_a_loss_stays_deleted(options: GivenOptions) -> None:
    """A process that fills a lost registry later than others brings no deleted topic back."""
    network = Network()
    early, late = room = await processes(network, 2)
    for name in ("orders", "news"):
        await early.topics.create(name, options)
    await turns()
    client = late.subscribe("orders")
    lose(network, room)
    await early.connect()
    await early.topics.delete("orders")
    await late.connect()
    await turns()
    assert (early.names, late.names) == (["news"], ["news"])
    assert notices(client) == [("topic_deleted", "orders")]
    assert set(late.begun) == set(late.forgotten)


async def test_a_lost_registry_is_filled_again() -> None:
    """Every process brings back what it knows; topics with history begin again, others go on."""
    network = Network()
    room = await processes(network)
    await room[0].topics.create("news")
    await room[1].topics.create("orders", KEPT)
    await turns()
    epochs = [room[0].topics.epoch_of(name) for name in ("news", "orders")]
    clients = [process.subscribe("news", "orders") for process in room]
    lose(network, room)
    await asyncio.gather(*(process.connect() for process in room))
    await turns()
    assert [process.names for process in room] == [["news", "orders"]] * 3
    assert {process.topics.epoch_of("news") for process in room} == {epochs[0]}
    (epoch,) = {process.topics.epoch_of("orders") for process in room}
    assert {process.broker.topic("orders").epoch for process in room} == {epoch}
    assert epoch != epochs[1]
    assert [notices(client) for client in clients] == [[("position_reset", "orders")]] * 3
    assert [process.begun_again for process in room] == [["orders"]] * 3
    logs = {log for process in room for log in process.begun}
    assert ("orders", epoch) in logs - {log for process in room for log in process.forgotten}


async def test_processes_return_one_after_another_to_a_lost_registry() -> None:
    """A process that returns later takes the epochs that the first one chose."""
    network = Network()
    first, second, third = room = await processes(network)
    await first.topics.create("orders", KEPT)
    await turns()
    lose(network, room)
    await first.connect()
    await second.connect()
    newcomer = await Process(network).connect()
    await third.connect()
    assert len({process.topics.epoch_of("orders") for process in (*room, newcomer)}) == 1
    assert [process.removed for process in room] == [[], [], []]
    assert [process.begun_again for process in room] == [["orders"]] * 3


async def test_a_topic_that_a_newcomer_created_in_a_lost_registry() -> None:
    """A topic that was created from a configuration meanwhile is the same topic."""
    network = Network()
    first, *_ = room = await processes(network)
    await first.topics.create("orders", KEPT)
    await first.topics.create("news")
    await turns()
    client = first.subscribe("orders", "news")
    lose(network, room)
    rules = TopicRules({"orders": KEPT, "news": GivenOptions()})
    newcomer = await Process(network, topics=rules).connect()
    await first.connect()
    assert first.topics.epoch_of("orders") == newcomer.topics.epoch_of("orders")
    assert notices(client) == [("position_reset", "orders")]


async def test_a_registry_that_is_lost_while_it_is_filled() -> None:
    """When the network fails while the registry is filled again, the next time completes it."""
    network = Network()
    process = await Process(network).connect()
    for number in range(100):
        await process.topics.create(f"t{number}", KEPT)
    client = process.subscribe("t99")
    lose(network, [process])
    process.relay.connect()
    synchronization = asyncio.create_task(process.topics.synchronize())
    while network.revision < 50:
        await turns(1)
    process.relay.disconnect()
    with pytest.raises(Unavailable):
        await synchronization
    await process.connect()
    assert len((await process.relay.snapshot()).entries) == len(process.names) == 100
    assert notices(client) == [("position_reset", "t99")]


async def test_changes_that_wait_when_the_registry_is_lost() -> None:
    """The fate of a change that waits while the registry is lost is unknown."""
    network = Network()
    process = await Process(network).connect()
    process.on_change = lambda *change: None  # type: ignore[method-assign]
    creation = asyncio.create_task(process.topics.create("orders"))
    await turns()
    lose(network, [process])
    await process.connect()
    with pytest.raises(Unavailable) as error:
        await creation
    assert error.value.unknown_fate


async def test_changes_that_wait_during_a_split() -> None:
    """A change whose effect was missed during a split is complete after the synchronization."""
    process = await Process(Network()).connect()
    process.on_change = lambda *change: None  # type: ignore[method-assign]
    creation = asyncio.create_task(process.topics.create("orders"))
    await turns()
    assert not creation.done()
    process.relay.disconnect()
    await process.connect()
    await creation
    assert process.names == ["orders"]


async def test_a_registry_that_is_lost_without_an_interruption() -> None:
    """A process whose topic does not come back asks for a synchronization."""
    network = Network()
    process = await Process(network).connect()
    await process.topics.create("a")
    network.lose_stores()
    await process.topics.create("b")
    assert process.requested == 1
    await process.topics.synchronize()
    assert process.names == ["a", "b"]


async def test_lost_logs_begin_again() -> None:
    """When only the logs are lost, one process gives each topic with history a new epoch."""
    network = Network()
    room = await processes(network)
    await room[0].topics.create("news")
    await room[0].topics.create("orders", KEPT)
    await turns()
    news, orders = (room[0].topics.epoch_of(name) for name in ("news", "orders"))
    clients = [process.subscribe("news", "orders") for process in room]
    for process in room:
        process.relay.disconnect()
    network.log_store += 1
    await asyncio.gather(*(process.connect() for process in room))
    await turns()
    assert {process.topics.epoch_of("news") for process in room} == {news}
    (epoch,) = {process.topics.epoch_of("orders") for process in room}
    assert epoch != orders
    assert [notices(client) for client in clients] == [[("position_reset", "orders")]] * 3
    assert [process.begun_again for process in room] == [["orders"]] * 3


async def test_lost_logs_are_noticed_late() -> None:
    """A process that notices the loss of the logs last leaves those alone that are new already."""
    network = Network()
    first, second, _ = room = await processes(network)
    await first.topics.create("orders", KEPT)
    await turns()
    network.log_store += 1
    await first.topics.synchronize()
    await turns()
    epoch = first.topics.epoch_of("orders")
    assert epoch is not None
    second.logs.add(epoch)
    await second.topics.synchronize()
    await turns()
    assert {process.topics.epoch_of("orders") for process in room} == {epoch}


async def test_one_lost_log_begins_again_once() -> None:
    """However many processes notice that a log was lost, the topic begins again once."""
    room = await processes(Network())
    await room[0].topics.create("orders", KEPT)
    await turns()
    epoch = room[0].topics.epoch_of("orders")
    assert epoch is not None
    await asyncio.gather(*(process.topics.renew("orders", epoch) for process in room))
    await turns()
    assert [process.begun_again for process in room] == [["orders"]] * 3
    assert {process.topics.epoch_of("orders") for process in room} != {epoch}
    begun = [log for process in room for log in process.begun]
    forgotten = [log for process in room for log in process.forgotten]
    assert set(begun) - set(forgotten) == {("orders", room[0].topics.epoch_of("orders"))}


async def test_only_existing_topics_begin_again() -> None:
    """A topic that was deleted, or has begun again already, does not begin again."""
    network = Network()
    process = await Process(network).connect()
    await process.topics.create("orders", KEPT)
    await process.topics.renew("orders", "another")
    await process.topics.renew("news")
    assert network.revision == 1


async def test_a_topic_that_began_again_keeps_its_place() -> None:
    """At the limit, the order of creation counts, not that of later changes."""
    network = Network()
    first, second, _ = await processes(network, max_topics=2)
    await first.topics.create("a", KEPT)
    await first.topics.create("b")
    await turns()
    donor = await Process(network, max_topics=3).connect()
    await donor.topics.create("c")
    await first.topics.renew("a")
    await turns()
    assert first.names == second.names == ["a", "b"]
    assert (await Process(network, max_topics=2).connect()).names == ["a", "b"]


async def test_several_resets_missed() -> None:
    """A process that has missed several new epochs of a topic keeps its subscribers."""
    first, second, _ = await processes(Network())
    await first.topics.create("orders", KEPT)
    await turns()
    client = second.subscribe("orders")
    second.relay.disconnect()
    for _ in range(3):
        await first.topics.renew("orders")
    await second.connect()
    assert notices(client) == [("position_reset", "orders")]


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Return what is logged, by a log that has left out nothing so far."""
    events.event_log.cache_clear()
    caplog.set_level(logging.WARNING, "pubsub")
    return caplog


async def test_configured_topics_are_united(warnings: pytest.LogCaptureFixture) -> None:
    """Each process creates its configured topics that are missing; what exists is not changed."""
    network = Network()
    rules = [
        TopicRules({"a": KEPT, "b": GivenOptions()}),
        TopicRules({"a": GivenOptions(history=3), "c": GivenOptions()}),
    ]
    room = [Process(network, topics=each) for each in rules]
    await room[0].connect()
    assert not warnings.messages
    await room[1].connect()
    await turns()
    assert [process.names for process in room] == [["a", "b", "c"]] * 2
    assert room[1].broker.topic("a").options.history == 10
    assert warnings.messages == ["topic_options_differ count=1 topics=a"]


async def test_configured_topics_of_processes_that_start_together() -> None:
    """Processes with the same configuration that start at once create each topic once."""
    network = Network()
    rules = TopicRules({f"t{number}": KEPT for number in range(100)})
    room = [Process(network, topics=rules) for _ in range(3)]
    await asyncio.gather(*(process.connect() for process in room))
    await turns()
    assert [len(process.names) for process in room] == [100] * 3
    assert len((await room[0].relay.snapshot()).entries) == 100


async def test_configured_topics_are_created_once() -> None:
    """A configured topic that was deleted does not return with the next connection."""
    network = Network()
    process = await Process(network, topics=TopicRules({"a": KEPT})).connect()
    await process.topics.delete("a")
    process.relay.disconnect()
    await process.connect()
    assert process.names == []


async def test_configured_topics_beyond_the_limit(warnings: pytest.LogCaptureFixture) -> None:
    """A configured topic for which there is no room is reported in the log."""
    network = Network()
    first = await Process(network, max_topics=1).connect()
    await first.topics.create("a")
    second = await Process(network, max_topics=1, topics=TopicRules({"b": KEPT})).connect()
    assert second.names == ["a"]
    assert warnings.messages == ["configured_topic_refused reason=max_topics topic=b"]


async def test_stores_that_are_lost_without_a_reconnection() -> None:
    """A regular look requests a synchronization if the stores were lost, and only then."""
    network = Network()
    process = await Process(network).connect()
    await process.topics.create("a")
    await process.topics.check()
    assert process.requested == 0
    network.lose_stores()
    await process.topics.check()
    assert process.requested == 1
    await process.topics.synchronize()
    assert process.names == ["a"]
    assert list(network.registry) == [key_of("a")]
    await process.topics.check()
    process.relay.disconnect()
    await process.topics.check()
    assert process.requested == 1


@pytest.mark.parametrize(
    "record",
    [
        Record("a/b", TopicOptions(), "abcdefgh"),
        Record("a", TopicOptions(history=-1), "abcdefgh"),
        Record("a", TopicOptions(history=10**9), "abcdefgh"),
        Record("a", TopicOptions(history_seconds=math.nan), "abcdefgh"),
        Record("a", TopicOptions(history=1), "x.>"),
    ],
)
async def test_impossible_entries_are_ignored(
    record: Record, warnings: pytest.LogCaptureFixture
) -> None:
    """An entry that cannot be a topic makes none."""
    network = Network()
    process = await Process(network).connect()
    network.change(key_of(record.name), encode(record))
    await turns()
    assert process.names == []
    assert len(warnings.messages) == 1


@pytest.mark.parametrize("is_known", [True, False])
async def test_a_topic_in_place_of_an_invalid_entry(
    is_known: bool, warnings: pytest.LogCaptureFixture
) -> None:
    """An entry that cannot be read does not prevent the creation of its topic, or its deletion."""
    network = Network()
    first, second, _ = await processes(network)
    await first.topics.create("a")
    network.change(key_of("a"), b"\xc1")
    if is_known:
        await turns()
    else:
        await first.topics.synchronize()
    assert first.names == []
    await first.topics.create("a")
    await turns()
    assert first.names == second.names == ["a"]
    await second.topics.delete("a")
    await first.topics.create("a")
    assert first.names == ["a"]


async def test_foreign_entries_are_ignored(warnings: pytest.LogCaptureFixture) -> None:
    """Entries that are none of a topic are reported, and do no harm."""
    network = Network()
    process = await Process(network).connect()
    network.change("x", b"\xc1")
    network.change("y", next(iter((await _entries("a")).values()))[0])
    await process.topics.create("b")
    assert process.names == ["b"]
    assert [message.split()[:2] for message in warnings.messages] == [
        ["registry_entry_invalid", "key=x"],
        ["registry_entry_invalid", "key=y"],
    ]


async def _entries(*names: str) -> dict[str, tuple[bytes, int]]:
    process = await Process(Network()).connect()
    for name in names:
        await process.topics.create(name)
    return (await process.relay.snapshot()).entries


async def test_ten_thousand_topics() -> None:
    """Ten thousand topics are adopted in many turns of the event loop, and lost in many as well."""
    network = Network()
    count = Configuration().max_topics
    for number in range(count):
        record = Record(f"t{number}", TopicOptions(), "epoch")
        network.change(key_of(record.name), encode(record))
    late = Process(network)
    late.relay.connect()
    for expected in (count, 0):
        synchronization = asyncio.create_task(late.topics.synchronize())
        seen = set()
        while not synchronization.done():
            seen.add(late.broker.statistics().topics)
            await asyncio.sleep(0)
        await synchronization
        assert late.broker.statistics().topics == expected
        assert len(seen) > 50
        late.relay.is_connected = False
        for number in range(count):
            network.change(key_of(f"t{number}"), None)
        late.relay.is_connected = True


async def test_what_is_done_in_the_background_ends() -> None:
    """Stopping ends what goes on in the background."""
    process = await Process(Network()).connect()
    await process.topics.create("orders", KEPT)
    await process.topics.delete("orders")
    await process.topics.stop()
    assert repr(process.topics) == "<Topics at revision 2, synchronized>"
