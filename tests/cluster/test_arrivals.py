"""Events of other processes share the event loop with clients, within bounds."""

import asyncio
import logging
from functools import partial
from typing import Any

import pytest

from pubsub.cluster.channels.arrivals import Arrivals
from pubsub.cluster.channels.batches import Item
from pubsub.core.client import Client
from pubsub.core.options import TopicOptions
from pubsub.core.shared import SharedBroker
from pubsub.fairness import RELAYED_EVENT
from tests.cluster.channel_room import Process, Room, told, turns
from tests.core.support import read, reply

COST = RELAYED_EVENT + 1
"""Work of an event with one subscriber."""


async def overloaded(*topics: str, **bounds: int) -> tuple[Room, Process, Process]:
    """Return a room, and two of its processes, of which the second can do little in a turn."""
    room = Room(*topics)
    one = await room.start()
    return room, one, await room.start(arrivals=partial(Arrivals, **bounds))


def items(*payloads: str) -> list[Item]:
    """Return events of the topic ``t``."""
    return [Item("t", None, None, payload.encode()) for payload in payloads]


async def subscriber() -> tuple[Process, Client]:
    """Return a process with the topic ``t``, and its subscriber."""
    process = await Room().start()
    return process, await process.join("t")


def arrived(client: Client) -> int:
    """Return how many events wait in the client's outbox."""
    return client.outbox.qsize()


async def test_budget_of_a_turn() -> None:
    """What exceeds the budget of a turn is delivered in the next turns."""
    process, client = await subscriber()
    arrivals = Arrivals(process.broker, budget=2 * COST)
    arrivals.add(items(*"12345"))
    counts = [arrived(client)]
    for _ in range(3):
        await asyncio.sleep(0)
        counts.append(arrived(client))
    assert counts == [2, 4, 5, 5]


async def test_budget_of_all_that_arrives_in_a_turn() -> None:
    """The budget is for all processes together, and is there again in the next turn."""
    process, client = await subscriber()
    arrivals = Arrivals(process.broker, budget=2 * COST)
    arrivals.add(items("1"))
    arrivals.add(items("2"))
    arrivals.add(items("3"))
    assert arrived(client) == 2
    await turns()
    assert arrived(client) == 3
    arrivals.add(items("4", "5", "6"))
    assert arrived(client) == 5


async def test_order_of_what_waits() -> None:
    """What arrives later never overtakes, and a call comes where it was asked for."""
    process, client = await subscriber()
    arrivals = Arrivals(process.broker, budget=COST)
    calls = []
    arrivals.after(lambda: calls.append(arrived(client)))
    arrivals.add(items("1", "2"))
    arrivals.after(lambda: calls.append(arrived(client)))
    arrivals.add(items("3"))
    assert calls == [0]
    await turns()
    assert calls == [0, 2]
    assert arrived(client) == 3


async def test_additions_of_a_call() -> None:
    """What a call adds comes behind everything that waits already."""
    process, client = await subscriber()
    arrivals = Arrivals(process.broker, budget=3 * COST)
    arrivals.add(items(*"123"))
    arrivals.add(items("4"))
    arrivals.after(lambda: arrivals.add(items("6")))
    arrivals.add(items("5"))
    await turns()
    assert told(client) == list("123456")


async def test_budget_after_calls_that_add() -> None:
    """Calls that add something leave the budget of each turn as it is, however many they are."""
    process, client = await subscriber()
    arrivals = Arrivals(process.broker, budget=COST)
    for _ in range(5):
        arrivals.add(items("1"))
        arrivals.after(lambda: arrivals.add(items("2")))
    counts = [arrived(client)]
    for _ in range(10):
        await asyncio.sleep(0)
        counts.append(arrived(client))
    assert counts == [*range(1, 11), 10]


class Unreliable:
    """A broker that cannot deliver the event ``bad``, in front of one that can deliver others."""

    def __init__(self, broker: SharedBroker) -> None:
        self.find = broker.find
        self._deliver = broker.deliver

    def deliver(self, name: str, event: bytes, **fields: Any) -> int:
        """Deliver an event, unless it is ``bad``."""
        if event == b"bad":
            raise RuntimeError("this event fails")
        return self._deliver(name, event, **fields)


async def test_event_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """An event that cannot be delivered is logged, and holds up no other."""
    process, client = await subscriber()
    arrivals = Arrivals(Unreliable(process.broker), budget=2 * COST)
    with caplog.at_level(logging.ERROR):
        arrivals.add(items("bad", "1", "2", "3", "bad", "4"))
        await turns()
        arrivals.add(items("5"))
    assert told(client) == list("12345")
    assert len(caplog.records) == 2


async def test_call_that_fails() -> None:
    """What waits behind a call that fails is delivered."""
    process, client = await subscriber()
    failures: list[Any] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: failures.append(context["exception"]))
    arrivals = Arrivals(process.broker, budget=COST)
    arrivals.add(items("1", "2"))
    arrivals.after(lambda: [][0])
    arrivals.add(items("3"))
    await turns()
    loop.set_exception_handler(None)
    assert told(client) == list("123")
    assert [type(failure) for failure in failures] == [IndexError]


async def test_topic_that_is_created_again() -> None:
    """Events that wait when their topic is deleted do not reach another one of the same name."""
    process, client = await subscriber()
    arrivals = Arrivals(process.broker, budget=COST)
    arrivals.add(items("1", "2", "3"))
    process.broker.remove("t", reply("gone"))
    process.broker.install("t", TopicOptions(), "another epoch")
    process.broker.subscribe(client, "t")
    arrivals.add(items("4"))
    await turns()
    assert read(client) == ["1", "gone", "4"]


async def test_topic_that_is_unknown_when_its_event_waits() -> None:
    """An event that is faster than the news of its topic is delivered if these come in time."""
    process, client = await subscriber()
    arrivals = Arrivals(process.broker, budget=COST)
    arrivals.add([*items("1"), Item("u", None, None, b"2")])
    process.broker.install("u", TopicOptions(), "epoch")
    process.broker.subscribe(client, "u")
    await turns()
    assert told(client) == ["1", "2"]


async def test_bound_of_work() -> None:
    """It is full when more work waits than the bound, and no longer when that is done."""
    process, _ = await subscriber()
    arrivals = Arrivals(process.broker, budget=COST, max_work=2 * COST)
    arrivals.add(items("1", "2", "3"))
    assert not arrivals.is_full
    arrivals.add(items("4"))
    assert arrivals.is_full
    await turns()
    assert not arrivals.is_full


async def test_bound_of_bytes() -> None:
    """It is full when more bytes wait than the bound, and empty when it was closed."""
    process, client = await subscriber()
    arrivals = Arrivals(process.broker, budget=COST, max_bytes=100)
    arrivals.add(items("1", "x" * 100))
    assert not arrivals.is_full
    arrivals.add(items("2"))
    assert arrivals.is_full
    arrivals.close()
    assert not arrivals.is_full
    await turns()
    assert arrived(client) == 1


async def test_overload_is_told() -> None:
    """What does not fit is lost, and told by its exact number between the events around it."""
    room, one, other = await overloaded(budget=COST, max_work=2 * COST)
    client = await other.join("t")
    for number in range(8):
        one.publish("t", str(number))
        one.channels.flush()
    await turns()
    await one.publish_each("t", "end")
    await room.pass_by(3)
    events = told(client)
    kept = [event for event in events if "lost" not in event]
    lost = len(events) - len(kept)
    assert lost == 1
    first = events.index(f"t lost {9 - len(kept)}")
    assert events[:first] == [str(number) for number in range(first)]
    assert events[-1] == "end"
    assert 4 <= len(kept) < 9


async def test_loss_is_told_in_its_place() -> None:
    """A loss is told after the events before it, even if these wait longer than the answer."""
    _, one, other = await overloaded(budget=COST)
    client = await other.join("t")
    one.publish("t", *"0123456789")
    one.channels.flush()
    await asyncio.sleep(0)
    other.relay.drops = 1
    for payload in ("lost", "a", "b"):
        one.publish("t", payload)
        one.channels.flush()
    await turns()
    assert told(client) == [*"0123456789", "t lost 1", "a", "b"]


async def test_overload_while_a_loss_is_told() -> None:
    """What waits behind a loss counts as well, so that it cannot be more than the bound."""
    room, one, other = await overloaded(budget=COST, max_work=2 * COST)
    client = await other.join("t")
    await one.publish_each("t", "0")
    other.relay.drops = 1
    for number in range(1, 20):
        one.publish("t", str(number))
        one.channels.flush()
    await turns()
    await room.pass_by(3)
    await one.publish_each("t", "end")
    await room.pass_by(3)
    events = told(client)
    kept = [event for event in events if "lost" not in event]
    lost = sum(int(event.split()[-1]) for event in events if "lost" in event)
    assert lost + len(kept) == 21
    assert (kept[0], kept[-1]) == ("0", "end")
    assert len(kept) < 9
