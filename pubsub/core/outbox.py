"""The bounded queue of frames that wait for one client, and what it does when it is full."""

import asyncio
from collections.abc import Callable

from pubsub.core.frame import Frame
from pubsub.core.history import Replay
from pubsub.core.limits import Limits, Overflow


def _nothing() -> None:
    pass


def at_once(callback: Callable[[], None]) -> None:
    """Call it."""
    callback()


class Outbox(asyncio.Queue[Frame]):
    """An `asyncio.Queue` with an overflow policy, a bound in bytes, and a count of what it lost.

    Events come in through `offer`, which never waits and never raises: when the queue is full,
    and the socket as well, the policy decides. Replies and notices come in through `put_reply`
    and are never dropped; they stay within the bound because the read pump waits in
    `wait_for_room` before it lets the client cause another one. The one reader is the write
    pump, through `take_nowait`.

    What was dropped is told once there is room again: one notice for each topic, with the exact
    number, at the place of the gap, and so before the next event of that topic.

    Args:
        limits: The bounds and the policy.
        describe_loss: Makes the notice for a topic that lost so many events.
        on_frames: Called when the first frame arrives in an empty outbox.
        schedule: Calls ``on_frames``, now or somewhat later; by default at once.
        on_full: Called before an event is dropped, to take frames out at once if they can leave.
        on_overflow: Called, with the policy ``disconnect``, for the first event that is dropped.
    """

    # Slots lie in the object itself. A publication to thousands of outboxes is slow for want of
    # the processor's cache, not of its arithmetic: what `offer` reads should be close together.
    __slots__ = (
        "_bytes",
        "_closed",
        "_describe_loss",
        "_lost",
        "_max_bytes",
        "_max_frames",
        "_on_frames",
        "_on_full",
        "_on_overflow",
        "_overflow_policy",
        "_queue",
        "_readers",
        "_replays",
        "_room",
        "_schedule",
    )

    def __init__(
        self,
        limits: Limits,
        *,
        describe_loss: Callable[[str, int], Frame],
        on_frames: Callable[[], None] = _nothing,
        schedule: Callable[[Callable[[], None]], None] = at_once,
        on_full: Callable[[], None] = _nothing,
        on_overflow: Callable[[], None] = _nothing,
    ) -> None:
        super().__init__(limits.queue_size)
        self._max_frames = limits.queue_size
        self._max_bytes = limits.queue_bytes
        self._overflow_policy = limits.overflow
        self._describe_loss = describe_loss
        self._on_frames = on_frames
        self._schedule = schedule
        self._on_full = on_full
        self._on_overflow = on_overflow
        self._lost: dict[str, int] | None = None
        self._replays = 0
        self._readers = 0
        self._room: asyncio.Future[None] | None = None
        self._closed = False

    # The storage of asyncio.Queue, by the three methods that it leaves to its subclasses.

    def _init(self, maxsize: int) -> None:
        self._queue: list[Frame | Replay] = []
        self._bytes = 0

    def _put(self, frame: Frame) -> None:
        self._queue.append(frame)
        self._bytes += frame.size
        if len(self._queue) == 1:
            self._announce()

    def _get(self) -> Frame:
        return self.take_nowait(1)[0]

    async def get(self) -> Frame:
        """Wait for a frame and take it."""
        self._readers += 1
        try:
            return await super().get()
        finally:
            self._readers -= 1

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    @property
    def bytes_waiting(self) -> int:
        """The size of all waiting frames."""
        return self._bytes

    def empty(self) -> bool:
        """Tell whether nothing waits."""
        return not self._queue

    def full(self) -> bool:
        """Tell whether another event needs room to be made, or is dropped."""
        return len(self._queue) >= self._max_frames or self._bytes >= self._max_bytes

    def offer(self, frame: Frame) -> None:
        """Put an event, or do with it what the overflow policy says.

        This is the innermost step of every publication. Once full, an outbox stays so until
        frames are taken out, so nothing can overtake the notice of a loss.
        """
        queue = self._queue
        if len(queue) >= self._max_frames or self._bytes >= self._max_bytes:
            self._offer_to_full(frame)
            return
        queue.append(frame)
        self._bytes += frame.size
        if len(queue) == 1:
            self._schedule(self._on_frames)
            if self._readers:
                self._wakeup_next(self._getters)  # type: ignore[attr-defined]

    def put_reply(self, frame: Frame) -> None:
        """Put a frame that is never dropped, be the outbox full or not."""
        if not self._closed:
            self._put(frame)

    def put_replay(self, replay: Replay) -> None:
        """Put past events, which take no room here, in front of the live ones that follow."""
        if not self._closed:
            self._queue.append(replay)
            self._replays += 1
            if len(self._queue) == 1:
                self._announce()

    def take_nowait(self, max_bytes: int) -> list[Frame]:
        """Take the oldest frames, up to ``max_bytes`` of them but at least one; ``[]`` if empty."""
        if self._lost is not None and self._overflow_policy is Overflow.DROP_OLDEST:
            self._tell_losses_first(self._lost)
        if self._bytes <= max_bytes and not self._replays:
            frames: list[Frame] = self._queue  # type: ignore[assignment]  # no Replay in it
            self._queue = []
            self._bytes = 0
        else:
            frames = self._take_some(max_bytes)
        if self._lost is not None:
            self._tell_losses(self._lost)
        if self._room is not None:
            self._wake_waiter()
        return frames

    async def wait_for_room(self) -> None:
        """Wait until the outbox is not full, or is closed."""
        while self.full() and not self._closed:
            self._room = asyncio.get_running_loop().create_future()
            try:
                await self._room
            finally:
                self._room = None

    def close(self) -> None:
        """Forget every frame, accept no further one, and let go whoever waits for room."""
        self._closed = True
        self._queue.clear()
        self._bytes = self._replays = 0
        self._lost = None
        self._max_frames = 0  # and so full: `offer` need not look at anything else
        self._wake_waiter()

    def _announce(self) -> None:
        self._schedule(self._on_frames)
        if self._readers:
            self._wakeup_next(self._getters)  # type: ignore[attr-defined]

    def _wake_waiter(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def _take_some(self, room: int) -> list[Frame]:
        frames: list[Frame] = []
        taken = 0
        for first in self._queue:
            if isinstance(first, Replay):
                room = self._take_replayed(first, frames, room)
                if first.remaining:
                    break
                self._replays -= 1
            elif frames and first.size > room:
                break
            else:
                frames.append(first)
                self._bytes -= first.size
                room -= first.size
            taken += 1
        del self._queue[:taken]
        return frames

    def _take_replayed(self, replay: Replay, frames: list[Frame], room: int) -> int:
        lost = replay.skip_lost()
        if lost:
            replay.topic.count_loss(lost)
            frames.append(self._describe_loss(replay.topic.name, lost))
            room -= frames[-1].size
        if not frames or room > 0:
            replayed = replay.take(room)
            frames += replayed
            room -= sum(frame.size for frame in replayed)
        return room

    def _offer_to_full(self, frame: Frame) -> None:
        if self._closed:
            return
        self._on_full()
        if self._overflow_policy is Overflow.DROP_OLDEST:
            while self.full() and self._evict_oldest_event():
                pass
        if not self.full():
            self._put(frame)
            return
        if self._overflow_policy is Overflow.DISCONNECT and self._lost is None:
            self._on_overflow()
        self._lose(frame)

    def _evict_oldest_event(self) -> bool:
        for index, frame in enumerate(self._queue):
            if isinstance(frame, Frame) and frame.topic is not None:
                del self._queue[index]
                self._bytes -= frame.size
                self._lose(frame)
                return True
        return False

    def _lose(self, frame: Frame) -> None:
        topic = frame.topic
        if topic is None:
            raise ValueError(f"{frame!r} is not an event and may not be dropped")
        if self._lost is None:
            self._lost = {}
        self._lost[topic.name] = self._lost.get(topic.name, 0) + 1
        topic.count_loss(delivered=1)

    def _tell_losses(self, lost: dict[str, int]) -> None:
        self._lost = None
        for topic, count in lost.items():
            self._put(self._describe_loss(topic, count))

    def _tell_losses_first(self, lost: dict[str, int]) -> None:
        self._lost = None
        for topic, count in lost.items():
            notice = self._describe_loss(topic, count)
            self._queue.insert(0, notice)
            self._bytes += notice.size

    def __repr__(self) -> str:
        return (
            f"<Outbox {self.qsize()} frames, {self._bytes} bytes, {len(self._lost or ())} losses>"
        )
