"""The outbox: its bounds, its policies, and what it tells of its losses."""

import asyncio

import pytest

from pubsub.core.frame import Frame
from pubsub.core.limits import Limits, Overflow
from pubsub.core.outbox import Outbox
from tests.core.support import describe_loss, event, reply

ALL = 1 << 20


def make(
    queue_size: int = 3, overflow: Overflow = Overflow.DROP_NEWEST, **options: object
) -> Outbox:
    """Return an outbox with room for a few frames."""
    queue_bytes = options.pop("queue_bytes", ALL)
    limits = Limits(queue_size=queue_size, overflow=overflow, queue_bytes=queue_bytes)  # type: ignore[arg-type]
    return Outbox(limits, describe_loss=describe_loss, **options)  # type: ignore[arg-type]


def texts(frames: list[Frame]) -> list[str]:
    """Return the frames' texts."""
    return [frame.text for frame in frames]


def offer(outbox: Outbox, payloads: str, topic: str = "t") -> None:
    """Offer one event for each letter."""
    for payload in payloads:
        outbox.offer(event(payload, topic))


def test_takes_what_fits_in_order() -> None:
    """Oldest first, all at once or in pieces of so many bytes, but at least one frame."""
    outbox = make(10)
    offer(outbox, "abcdef")
    assert outbox.bytes_waiting == 18
    assert texts(outbox.take_nowait(1)) == ["a"]
    assert texts(outbox.take_nowait(6)) == ["b", "c"]
    assert texts(outbox.take_nowait(8)) == ["d", "e"]
    assert texts(outbox.take_nowait(ALL)) == ["f"]
    assert outbox.take_nowait(ALL) == []
    assert outbox.bytes_waiting == 0


def test_first_frame_is_announced() -> None:
    """Once, until the outbox is empty again."""
    calls: list[None] = []
    outbox = make(on_frames=lambda: calls.append(None))
    offer(outbox, "ab")
    assert len(calls) == 1
    outbox.take_nowait(ALL)
    outbox.put_reply(reply("r"))
    assert len(calls) == 2


def test_drop_newest_tells_the_loss_where_the_gap_is() -> None:
    """One notice for each topic, behind what was queued and before what follows."""
    dropped: list[str] = []
    outbox = make(on_drop=dropped.append)
    offer(outbox, "abc")
    assert outbox.full()
    offer(outbox, "de", "t")
    offer(outbox, "f", "u")
    assert dropped == ["t", "t", "u"]
    assert texts(outbox.take_nowait(1)) == ["a"]
    assert texts(outbox.take_nowait(ALL)) == ["b", "c", "t lost 2", "u lost 1"]
    offer(outbox, "g")
    assert texts(outbox.take_nowait(ALL)) == ["g"]


def test_losses_are_told_anew_for_each_gap() -> None:
    """Each notice counts what was lost since the one before."""
    outbox = make(1)
    seen: list[str] = []
    for _ in range(2):
        offer(outbox, "abc")
        seen += texts(outbox.take_nowait(ALL)) + texts(outbox.take_nowait(ALL))
    assert seen == ["a", "t lost 2"] * 2


def test_drop_oldest_keeps_the_newest_events_and_all_replies() -> None:
    """The notice comes first, where the events are missing."""
    outbox = make(overflow=Overflow.DROP_OLDEST)
    outbox.put_reply(reply("r"))
    offer(outbox, "abcd")
    assert texts(outbox.take_nowait(ALL)) == ["t lost 2", "r", "c", "d"]


def test_drop_oldest_drops_the_newest_when_only_replies_wait() -> None:
    """Replies are never dropped."""
    outbox = make(2, Overflow.DROP_OLDEST)
    outbox.put_reply(reply("r"))
    outbox.put_reply(reply("s"))
    offer(outbox, "a")
    assert texts(outbox.take_nowait(ALL)) == ["t lost 1", "r", "s"]


def test_disconnect_calls_back_once() -> None:
    """The first event that does not fit ends the connection; the others are counted."""
    overflows: list[None] = []
    dropped: list[str] = []
    outbox = make(
        1, Overflow.DISCONNECT, on_overflow=lambda: overflows.append(None), on_drop=dropped.append
    )
    offer(outbox, "abc")
    assert (len(overflows), dropped) == (1, ["t", "t"])


def test_bytes_are_bounded_too() -> None:
    """One frame may pass the bound; then the outbox is full until something leaves."""
    outbox = make(100, queue_bytes=10)
    outbox.offer(event("x" * 8))
    assert outbox.full()
    offer(outbox, "a")
    assert texts(outbox.take_nowait(ALL)) == ["x" * 8]
    assert texts(outbox.take_nowait(ALL)) == ["t lost 1"]


def test_an_empty_outbox_takes_a_frame_of_any_size() -> None:
    """Or it could never be delivered."""
    outbox = make(queue_bytes=1)
    outbox.offer(event("x" * 100))
    assert outbox.qsize() == 1


def test_replies_pass_the_bound() -> None:
    """They are never dropped, however full the outbox is."""
    outbox = make(1)
    for number in range(5):
        outbox.put_reply(reply(str(number)))
    assert texts(outbox.take_nowait(ALL)) == ["0", "1", "2", "3", "4"]


def test_a_replay_leaves_room_for_live_events() -> None:
    """Behind a replay of any length there is as much room as without one."""
    outbox = make(2)
    outbox.put_replay([event(str(number)) for number in range(10)])
    offer(outbox, "abc")
    assert texts(outbox.take_nowait(ALL)) == [*"0123456789", "a", "b"]
    assert texts(outbox.take_nowait(ALL)) == ["t lost 1"]
    offer(outbox, "de")
    assert outbox.full()


async def test_wait_for_room() -> None:
    """It lasts until frames are taken out, and not at all where there is room."""
    outbox = make(1)
    await outbox.wait_for_room()
    offer(outbox, "a")
    waiting = asyncio.ensure_future(outbox.wait_for_room())
    await asyncio.sleep(0)
    assert not waiting.done()
    outbox.take_nowait(ALL)
    await waiting


async def test_cancelled_wait_for_room() -> None:
    """Leaves nothing that a later take would stumble over."""
    outbox = make(1)
    offer(outbox, "a")
    waiting = asyncio.ensure_future(outbox.wait_for_room())
    await asyncio.sleep(0)
    waiting.cancel()
    outbox.take_nowait(ALL)
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_get_waits_for_a_frame() -> None:
    """As with any asyncio.Queue, for a reader that wants one frame at a time."""
    outbox = make(1)
    getting = asyncio.ensure_future(outbox.get())
    await asyncio.sleep(0)
    offer(outbox, "ab")
    assert (await getting).text == "a"
    assert (await outbox.get()).text == "t lost 1"
    outbox.put_nowait(reply("r"))
    assert outbox.get_nowait().text == "r"
    with pytest.raises(asyncio.QueueEmpty):
        outbox.get_nowait()


async def test_closed() -> None:
    """Everything is forgotten, nothing more is taken, and nobody waits any longer."""
    dropped: list[str] = []
    outbox = make(1, on_drop=dropped.append)
    offer(outbox, "a")
    waiting = asyncio.ensure_future(outbox.wait_for_room())
    await asyncio.sleep(0)
    outbox.close()
    await waiting
    assert outbox.closed
    offer(outbox, "b")
    outbox.put_reply(reply("r"))
    outbox.put_replay([event("c")])
    offer(outbox, "d")
    assert outbox.take_nowait(ALL) == []
    offer(outbox, "e")
    assert (outbox.qsize(), dropped) == (0, [])


def test_a_reply_is_no_event() -> None:
    """To offer one, and so to allow that it is dropped, is a mistake of the caller."""
    outbox = make(1)
    offer(outbox, "a")
    with pytest.raises(ValueError, match="may not be dropped"):
        outbox.offer(reply("r"))


def test_repr() -> None:
    """It tells how it is doing."""
    outbox = make(1)
    offer(outbox, "ab")
    assert repr(outbox) == "<Outbox 1 frames, 3 bytes, 1 losses>"
