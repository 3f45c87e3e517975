"""Publications of other processes, on their way to the subscribers of this one."""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import msgspec

from pubsub.cluster.channels.arrivals import Arrivals
from pubsub.cluster.channels.batches import Batch, decode_batch
from pubsub.cluster.channels.losses import MAX_HELD_BYTES, Ask, Losses
from pubsub.cluster.channels.streams import Held, Stream
from pubsub.core.shared import SharedBroker
from pubsub.core.timer import CallLater

FORGET_AFTER = 3600.0
"""Seconds for which the positions of a process are remembered that has left."""

MAX_GONE = 1_000
"""Processes that have left whose positions are remembered."""

COMPLAIN_EVERY = 60.0
"""Seconds in which no more than one malformed message is logged."""

STARTED_LATER = 1.0
"""Seconds by which a process must have started after a subscription to count as younger."""

_logger = logging.getLogger(__name__)


class _Heard(NamedTuple):
    """The last heartbeat of a process."""

    positions: Mapping[int, int]
    at: float


class Incoming:
    """Delivers publications of other processes, and notices which ones are missing.

    Each process numbers its publications in each partition. Where a number is missing, or a
    process has a higher one than what arrives, events were lost.

    Args:
        process_id: The id of this process.
        broker: Has the subscribers.
        arrivals: Delivers.
        ask: Asks another process what was lost.
        is_connected: Whether the relay is connected.
        topics_of: Returns the topics of a partition that may have subscribers.
        clock: The clock of the broker, in seconds.
        call_later: Sets a timer.
        max_held_bytes: Bytes of the batches that wait. Batches beyond them are lost, and reported
            as such later.
    """

    def __init__(
        self,
        process_id: str,
        broker: SharedBroker,
        arrivals: Arrivals,
        *,
        ask: Ask,
        is_connected: Callable[[], bool],
        topics_of: Callable[[int], Iterable[str]],
        clock: Callable[[], float],
        call_later: CallLater,
        max_held_bytes: int = MAX_HELD_BYTES,
    ) -> None:
        self.received = 0
        """Publications that arrived and are delivered."""
        self._silent_until = float("-inf")
        self._process_id = process_id
        self._arrivals = arrivals
        self._is_connected = is_connected
        self._clock = clock
        self._streams: dict[int, dict[str, Stream]] = {}
        self._began: dict[int, float] = {}
        self._heard: dict[str, _Heard] = {}
        self._gone: dict[str, float] = {}
        self.losses = Losses(
            broker,
            arrivals,
            deliver=self._deliver,
            ask=ask,
            is_connected=is_connected,
            topics_of=topics_of,
            clock=clock,
            call_later=call_later,
            max_held_bytes=max_held_bytes,
        )

    # --- Partitions ---

    def open(self, partition: int) -> None:
        """Accept what arrives in a partition from now on."""
        self._streams.setdefault(partition, {})

    def begin(self, partition: int, positions: Mapping[str, int]) -> None:
        """Notice whatever is lost in an open partition from now on.

        Args:
            partition: The partition.
            positions: The present positions of the processes that have answered. For others the
                last heartbeat counts: they may be cut off, and what they accept is lost here.
        """
        now = self._began[partition] = self._clock()
        streams = self._streams[partition]
        for process_id, position in positions.items():
            if process_id != self._process_id:
                stream = streams.get(process_id)
                if stream is None:
                    streams[process_id] = Stream(process_id, partition, position, now)
                elif stream.gap is None:
                    stream.settled = max(stream.settled, position)
        for process_id, heard in self._heard.items():
            position = heard.positions.get(partition, 0)
            if process_id not in streams:
                streams[process_id] = Stream(process_id, partition, position, heard.at)

    def has_begun(self, partition: int) -> bool:
        """Return whether losses in the partition are noticed."""
        return partition in self._began

    def end(self, partition: int) -> None:
        """Forget a partition, which has no subscribers."""
        self._began.pop(partition, None)
        for stream in self._streams.pop(partition, {}).values():
            self.losses.drop(stream)

    # --- What other processes send ---

    def receive(self, partition: int, data: bytes) -> None:
        """Receive a message of another process."""
        try:
            batch = decode_batch(data)
        except msgspec.DecodeError as error:
            self._complain(error)
            return
        streams = self._streams.get(partition)
        if streams is None or batch.process_id == self._process_id:
            return
        now = self._clock()
        stream = streams.get(batch.process_id)
        if stream is None:
            # It is unknown since when the process has been at this position.
            stream = Stream(batch.process_id, partition, batch.first - 1, float("-inf"))
            streams[batch.process_id] = stream
        if not batch.items:
            return
        if self._arrivals.is_full:
            self.losses.expect(stream, batch.last)
            return
        gap = stream.gap_before(batch, now) if stream.gap is None else None
        if stream.gap is None and gap is None:
            self._deliver(stream, batch, now)
            return
        work = self._arrivals.work_of(batch.items)
        self.losses.hold(stream, Held(batch, len(data), work, now))
        if gap is not None:
            self.losses.begin(stream, gap)

    def _complain(self, error: msgspec.DecodeError) -> None:
        """Log a malformed message, unless another one was logged a moment ago."""
        now = self._clock()
        if now >= self._silent_until:
            self._silent_until = now + COMPLAIN_EVERY
            _logger.warning("a message of another process is malformed: %s", error)

    def on_positions(
        self, process_id: str, positions: Mapping[int, int], *, uptime: float | None = None
    ) -> None:
        """Compare the positions in the heartbeat of a process with what arrived.

        Args:
            process_id: The process.
            positions: By partition, the sequence number of its last publication, if it is not 0.
            uptime: Seconds since the process started, if known.
        """
        if process_id == self._process_id:
            return
        now = self._clock()
        self._heard[process_id] = _Heard(positions, now)
        self._gone.pop(process_id, None)
        for partition, began in self._began.items():
            streams = self._streams[partition]
            position = positions.get(partition, 0)
            stream = streams.get(process_id)
            if stream is None:
                started = now if uptime is None else now - uptime
                is_younger = uptime is not None and started - STARTED_LATER > began
                base, since = (0, started - STARTED_LATER) if is_younger else (position, now)
                stream = streams[process_id] = Stream(process_id, partition, base, since)
            if position > stream.settled:
                self.losses.expect(stream, position)
            elif position == stream.settled:
                stream.since = now

    def forget(self, process_id: str) -> None:
        """Count and report what is missing from a process that has left, as far as possible.

        Its positions are remembered for an hour, because it may only have been silent. Without a
        connection nothing is known about others, so their losses stay open until there is one.
        """
        for streams in self._streams.values():
            stream = streams.get(process_id)
            if stream is not None and self._is_connected():
                self.losses.give_up(stream)
        if process_id in self._heard or any(process_id in s for s in self._streams.values()):
            self._gone[process_id] = self._clock()
            self._forget_gone()

    def on_connected(self) -> None:
        """Ask again for what was lost, because the relay is connected again."""
        for streams in self._streams.values():
            for stream in streams.values():
                self.losses.ask_again(stream)

    def close(self) -> None:
        """Forget everything, and stop all tasks and timers."""
        for partition in list(self._streams):
            self.end(partition)

    def _deliver(self, stream: Stream, batch: Batch, arrived: float) -> None:
        items = stream.take(batch, arrived)
        self.received += len(items)
        self._arrivals.add(items)

    def _forget_gone(self) -> None:
        """Forget the positions of the processes that left first."""
        too_old = self._clock() - FORGET_AFTER
        for process_id, left in list(self._gone.items()):
            if left > too_old and len(self._gone) <= MAX_GONE:
                break
            del self._gone[process_id]
            self._heard.pop(process_id, None)
            for streams in self._streams.values():
                if (stream := streams.pop(process_id, None)) is not None:
                    self.losses.drop(stream)

    def __repr__(self) -> str:
        return f"<Incoming {len(self._streams)} partitions, {self.losses!r}>"
