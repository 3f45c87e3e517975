"""The bounded queue of frames that wait for one client, and what happens when it is full."""

import asyncio
from collections.abc import Callable
from typing import NoReturn

from pubsub.core.configuration import Configuration
from pubsub.core.counters import TopicCounters
from pubsub.core.history import History, KeptFrame
from pubsub.core.loss import Gap, Loss
from pubsub.core.options import Overflow
from pubsub.core.publication import Frame
from pubsub.core.replay import CatchUp, Replay

Losses = dict[tuple[str, History | None, Overflow, type[Loss]], Loss]
"""What was lost of each topic; a topic that was created again has offsets of its own."""


def _nothing() -> None:
    pass


def at_once(callback: Callable[[], None]) -> None:
    """Call ``callback`` at once."""
    callback()


def _ignore(policy: Overflow) -> None:
    pass


def _wake(waiters: list[asyncio.Future[None]]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)


class Outbox(asyncio.Queue[Frame]):
    """An `asyncio.Queue` with overflow policies, a bound in bytes, and a count of its losses.

    Events enter through `offer`, which never waits and never raises: when the queue and the socket
    are both full, the policy of the event's topic applies. Replies and notices enter through
    `put_reply` and are never dropped; their number is bounded because the read pump stops reading
    from a client whose outbox is full. The only reader is the write pump, through `take_nowait`.

    Dropped events are reported once there is room again: one notice for each topic, with the exact
    number, in the position of the gap and therefore before the next event of that topic.

    With the policy ``catch_up``, a cursor into the history of the topic takes the place of its
    events until all of them have left; see `CatchUp`. Whatever else waits does not wait for that:
    the cursor gives as much as is taken at a time, and moves to the end of the queue.

    The methods of `asyncio.Queue` keep their meaning: `put` waits for room, `put_nowait` raises
    `asyncio.QueueFull`, `get` waits for a frame. `join`, `task_done` and `shutdown` do not exist.

    The callbacks run in the middle of a publication. They must not raise, and they must not call
    the broker, which would raise `ReentrantCall`: to disconnect or to publish, defer the call with
    `loop.call_soon`.

    Args:
        config: The bounds.
        describe_loss: Builds the notice of a loss.
        on_frames: Called when a frame enters an empty outbox.
        schedule: Calls ``on_frames``, now or at the end of the tick; by default at once.
        on_full: Called before an event is dropped, to flush what the socket can take.
        on_overflow: Called with the policy of a topic for the first of its events that is dropped
            since the last notice.
    """

    # Large fan-outs are limited by cache misses, and slots keep the fields that `offer` reads next
    # to each other.
    __slots__ = (
        "_bytes",
        "_closed",
        "_cursors",
        "_describe_loss",
        "_evicted",
        "_getters",
        "_limit",
        "_lost",
        "_max_bytes",
        "_max_frames",
        "_maxsize",
        "_on_frames",
        "_on_full",
        "_on_overflow",
        "_putters",
        "_queue",
        "_replays",
        "_resets",
        "_schedule",
        "dropped",
    )

    def __init__(
        self,
        config: Configuration,
        *,
        describe_loss: Callable[[Loss], Frame],
        on_frames: Callable[[], None] = _nothing,
        schedule: Callable[[Callable[[], None]], None] = at_once,
        on_full: Callable[[], None] = _nothing,
        on_overflow: Callable[[Overflow], None] = _ignore,
    ) -> None:
        # `super().__init__` is not called: it creates three deques and an event, 2.5 KB for each
        # client, and every method that would use them is overridden here.
        self._maxsize = self._max_frames = self._limit = config.queue_size
        self._max_bytes = config.queue_bytes
        self._describe_loss = describe_loss
        self._on_frames = on_frames
        self._schedule = schedule
        self._on_full = on_full
        self._on_overflow = on_overflow
        self._queue: list[Frame | Replay] = []
        self._bytes = 0
        # Events that were dropped before and after those that wait.
        self._evicted: Losses | None = None
        self._lost: Losses | None = None
        self._replays = 0
        self._cursors: dict[TopicCounters, CatchUp] | None = None
        self._resets: dict[TopicCounters, Frame] | None = None
        self._getters: list[asyncio.Future[None]] | None = None
        self._putters: list[asyncio.Future[None]] | None = None
        self._closed = False
        self.dropped = 0
        """Events that the client lost."""

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    @property
    def bytes_waiting(self) -> int:
        """The size of all waiting frames."""
        return self._bytes

    @property
    def is_replaying(self) -> bool:
        """Whether past events are waiting, whose number the bounds do not limit."""
        return self._replays > 0

    def empty(self) -> bool:
        """Return whether no frame is waiting."""
        return not self._queue

    def full(self) -> bool:
        """Return whether a bound is reached, so that the next event needs a flush or is dropped."""
        return len(self._queue) >= self._max_frames or self._bytes >= self._max_bytes

    # --- Putting frames in ---

    def offer(self, frame: Frame) -> None:
        """Put an event, or apply the overflow policy of its topic.

        This is the innermost step of every publication. Its limit is 0 while an event could
        overtake a cursor or the notice of a loss, so that it needs no further check.
        """
        queue = self._queue
        if len(queue) >= self._limit or self._bytes >= self._max_bytes:
            self._offer_slowly(frame)
            return
        queue.append(frame)
        self._bytes += frame.size
        if len(queue) == 1:
            self._schedule(self._on_frames)
            if self._getters is not None:
                self._wake_getters(self._getters)

    def put_reply(self, frame: Frame) -> None:
        """Put a frame that is never dropped, even if the outbox is full."""
        if not self._closed:
            self._put(frame)

    def put_notice(self, frame: Frame) -> bool:
        """Put a frame unless the outbox is full and cannot be flushed; return whether it was put.

        Nothing is counted or reported if it was not: the caller has to make up for it.
        """
        if self.full():
            self._on_full()
            if self.full():
                return False
        self._put(frame)
        return True

    def put_gap(
        self, notice: Frame, counters: TopicCounters, events: int, *, is_bound: bool
    ) -> None:
        """Put the notice that events of a topic were lost on their way here.

        If the outbox is full and cannot be flushed, the policy of the topic applies, and a notice
        of all these events together follows when there is room again.

        Args:
            notice: The notice.
            counters: Those of the topic, which do not change: the events were never offered.
            events: The number of lost events.
            is_bound: Whether that is only the largest possible number.
        """
        if self.put_notice(notice) or self._closed:
            return
        if counters.overflow is Overflow.DROP_OLDEST:
            losses = self._evicted = self._evicted or {}
        else:
            losses = self._lost = self._lost or {}
            self._limit = 0
        gap = self._loss_in(losses, counters, None, Gap)
        gap.dropped += events
        gap.is_bound |= is_bound

    def put_replay(self, replay: Replay) -> None:
        """Put past events ahead of the live ones that follow."""
        if not self._closed:
            if self._lost is not None:
                self._report_lost(self._lost)  # before the next event of the topic
            self._put(replay)
            self._replays += 1

    def end_catch_up(self, counters: TopicCounters) -> None:
        """End a subscription: what it has still to catch up with leaves before what follows."""
        if self._cursors is not None and (cursor := self._cursors.get(counters)) is not None:
            cursor.close()
            self._forget(cursor)

    def put_reset(self, notice: Frame, counters: TopicCounters) -> None:
        """Put the notice that the offsets of a topic begin again; losses so far are reported first.

        While the notice waits, events of ``drop_oldest`` may be lost before and after it, which are
        reported together: without offsets, because these would be of different epochs.
        """
        if self._closed:
            return
        self.end_catch_up(counters)
        if self._evicted is not None:
            self._report_evicted(self._evicted)
        if self._lost is not None:
            self._report_lost(self._lost)
        if counters.overflow is Overflow.DROP_OLDEST:
            self._resets = self._resets or {}
            self._resets[counters] = notice
        self._put(notice)

    def put_nowait(self, frame: Frame) -> None:
        """Put a frame if there is room.

        Raises:
            asyncio.QueueFull: There is no room, or the outbox is closed.
        """
        if self.full():
            raise asyncio.QueueFull
        self._put(frame)

    async def put(self, frame: Frame) -> None:
        """Wait for room and put a frame; discard it if the outbox is closed."""
        await self.wait_for_room()
        self.put_reply(frame)

    async def wait_for_room(self) -> None:
        """Wait until the outbox is not full, or is closed."""
        while self.full() and not self._closed:
            if self._putters is None:
                self._putters = []
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._putters.append(waiter)
            await waiter

    # --- Taking frames out ---

    def take_nowait(self, max_bytes: int) -> list[Frame]:
        """Take the oldest frames, up to ``max_bytes`` bytes but at least one; ``[]`` if empty."""
        if self._evicted is not None:
            self._report_evicted(self._evicted)
        if self._bytes <= max_bytes and not self._replays:
            frames: list[Frame] = self._queue  # type: ignore[assignment]  # no Replay in it
            self._queue = []
            self._bytes = 0
        else:
            frames = self._take_some(max_bytes)
        if self._lost is not None:
            self._report_lost(self._lost)
        if self._putters is not None:
            self._wake_putters(self._putters)
        return frames

    def get_nowait(self) -> Frame:
        """Take one frame.

        Raises:
            asyncio.QueueEmpty: The outbox is empty.
        """
        frames = self.take_nowait(1)
        if not frames:
            raise asyncio.QueueEmpty
        return frames[0]

    async def get(self) -> Frame:
        """Wait for a frame and take it.

        Raises:
            asyncio.QueueEmpty: The outbox is closed, so no frame will arrive.
        """
        while not (self._queue or self._closed):
            if self._getters is None:
                self._getters = []
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._getters.append(waiter)
            await waiter
        return self.get_nowait()

    def _not_there(self) -> NoReturn:
        raise AttributeError("an outbox keeps no account of unfinished tasks; it has close()")

    join = task_done = shutdown = property(_not_there)

    def close(self) -> None:
        """Discard every frame, accept no more, and wake all waiters."""
        self._closed = True
        self._queue = []
        self._bytes = self._replays = 0
        self._evicted = self._lost = self._cursors = self._resets = None
        self._max_frames = self._limit = 0  # it counts as full
        # Break the cycle: the callbacks refer to the connection, which refers to this outbox.
        self._on_frames = self._on_full = _nothing
        self._on_overflow = _ignore
        if self._putters is not None:
            self._wake_putters(self._putters)
        if self._getters is not None:
            self._wake_getters(self._getters)

    # --- Internals ---

    def _put(self, item: Frame | Replay) -> None:
        self._bytes += item.size
        queue = self._queue
        queue.append(item)
        if len(queue) == 1:
            self._schedule(self._on_frames)
            if self._getters is not None:
                self._wake_getters(self._getters)

    def _wake_getters(self, getters: list[asyncio.Future[None]]) -> None:
        self._getters = None
        _wake(getters)

    def _wake_putters(self, putters: list[asyncio.Future[None]]) -> None:
        self._putters = None
        _wake(putters)

    def _take_some(self, room: int) -> list[Frame]:
        frames: list[Frame] = []
        taken = 0
        for first in self._queue:
            if isinstance(first, Replay):
                if frames and room <= 0:
                    break
                room = self._take_replayed(first, frames, room)
                if first.remaining:
                    if first.is_open:
                        self._queue.append(first)  # now it is the turn of the others
                        taken += 1
                    break
                self._replays -= 1
                if first.is_open:
                    self._forget(first)
            elif frames and first.size > room:
                break
            else:
                frames.append(first)
                room -= first.size
            self._bytes -= first.size
            taken += 1
        del self._queue[:taken]
        return frames

    def _take_replayed(self, replay: Replay, frames: list[Frame], room: int) -> int:
        loss = replay.skip_lost()
        if loss is not None:
            self.dropped += loss.dropped
            if replay.is_open:
                self._on_overflow(replay.counters.overflow)
            frames.append(self._describe_loss(loss))
            room -= frames[-1].size
        if not frames or room > 0:
            replayed = replay.take(room)
            frames += replayed
            room -= sum(frame.size for frame in replayed)
        return room

    def _offer_slowly(self, frame: Frame) -> None:
        if self._closed:
            return
        counters = frame.counters
        if counters is None:
            raise ValueError(f"{frame!r} is not an event and may not be dropped")
        if self._cursors is not None and isinstance(frame, KeptFrame):
            cursor = self._cursors.get(counters)
            if cursor is not None:
                cursor.extend(frame.number, frame.offset)
                return
        if self._makes_room_for(counters.overflow):
            self._put(frame)
        else:
            self._overflow(frame, counters)

    def _makes_room_for(self, policy: Overflow) -> bool:
        if self.full() or self._lost is not None:
            self._on_full()
        if policy is Overflow.DROP_OLDEST:
            while self.full() and self._evict_oldest_event():
                pass
            return not self.full()
        # Room that others gave up is not used before the loss is reported.
        return self._lost is None and not self.full()

    def _overflow(self, frame: Frame, counters: TopicCounters) -> None:
        if counters.overflow is Overflow.CATCH_UP and isinstance(frame, KeptFrame):
            cursor = CatchUp(frame.history, counters, frame.number, frame.offset)
            self._cursors = self._cursors or {}
            self._cursors[counters] = cursor
            self._limit = 0
            self.put_replay(cursor)
        elif counters.overflow is Overflow.DROP_OLDEST:
            self._evicted = self._evicted or {}
            self._lose(frame, counters, self._evicted)
        else:
            self._lost = self._lost or {}
            self._limit = 0
            self._lose(frame, counters, self._lost)

    def _evict_oldest_event(self) -> bool:
        for index, frame in enumerate(self._queue):
            if isinstance(frame, Replay) or (counters := frame.counters) is None:
                continue
            if counters.overflow is Overflow.DROP_OLDEST:
                del self._queue[index]
                self._bytes -= frame.size
                self._evicted = self._evicted or {}
                self._lose(frame, counters, self._evicted)
                return True
        return False

    def _lose(self, frame: Frame, counters: TopicCounters, losses: Losses) -> None:
        history = frame.history if isinstance(frame, KeptFrame) else None
        offset = None if self._waits_for_reset(counters) else frame.offset
        self._loss_in(losses, counters, history).add(offset)
        counters.count_loss()
        self.dropped += 1

    def _waits_for_reset(self, counters: TopicCounters) -> bool:
        """Return whether the topic's notice of a reset waits, behind and before events of it."""
        resets = self._resets
        if resets is None or counters not in resets:
            return False
        if resets[counters] in self._queue:
            return True
        del resets[counters]
        return False

    def _loss_in(
        self,
        losses: Losses,
        counters: TopicCounters,
        history: History | None,
        kind: type[Loss] = Loss,
    ) -> Loss:
        topic = counters.topic, history, counters.overflow, kind
        loss = losses.get(topic)
        if loss is None:
            loss = losses[topic] = kind(counters.topic)
            self._on_overflow(counters.overflow)
        return loss

    def _report_lost(self, lost: Losses) -> None:
        self._lost = None
        self._reset_limit()
        for loss in lost.values():
            self._put(self._describe_loss(loss))

    def _report_evicted(self, evicted: Losses) -> None:
        self._evicted = None
        for loss in evicted.values():
            notice = self._describe_loss(loss)
            self._queue.insert(0, notice)
            self._bytes += notice.size

    def _forget(self, cursor: Replay) -> None:
        """Let the next event of the topic enter the queue again, behind what waits."""
        assert self._cursors is not None  # noqa: S101  # the cursor is in it
        del self._cursors[cursor.counters]
        self._reset_limit()

    def _reset_limit(self) -> None:
        self._limit = 0 if self._lost or self._cursors else self._max_frames

    def __repr__(self) -> str:
        losses = len(self._evicted or ()) + len(self._lost or ())
        return f"<Outbox {self.qsize()} frames, {self._bytes} bytes, {losses} losses>"
