"""Publications that did not arrive: how they are identified, and how subscribers are notified."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress

from pubsub.cluster.channels.arrivals import Arrivals
from pubsub.cluster.channels.batches import Batch
from pubsub.cluster.channels.streams import Gap, Held, Stream
from pubsub.cluster.channels.watch import Watch
from pubsub.cluster.gaps import tell_bound, tell_count
from pubsub.core.shared import SharedBroker
from pubsub.core.timer import CallLater
from pubsub.relay.errors import Unavailable

MAX_HELD_BYTES = 8 * 1024 * 1024
"""Bytes of all batches that wait behind losses, of all processes together."""

Ask = Callable[[str, int, int, int], Awaitable[dict[str, int] | None]]
"""Asks a process how many publications of each topic it has made in a partition, from a first to a
last sequence number. ``None``: it does not know, or has not answered within 2 seconds."""


class Losses:
    """Notifies subscribers of losses, before they get what follows in the same stream.

    Batches after a loss wait until the sender has answered which topics it concerns. If the sender
    does not know, each topic of the partition may have lost all of the events, so its subscribers
    get a bound. While the relay is not connected no process can be asked: the loss stays open.

    Args:
        broker: Has the subscribers.
        arrivals: Delivers; its bound of work holds for what waits behind losses, too.
        deliver: Passes a batch of a stream, which arrived at a time, to ``arrivals``.
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
        broker: SharedBroker,
        arrivals: Arrivals,
        *,
        deliver: Callable[[Stream, Batch, float], None],
        ask: Ask,
        is_connected: Callable[[], bool],
        topics_of: Callable[[int], Iterable[str]],
        clock: Callable[[], float],
        call_later: CallLater,
        max_held_bytes: int,
    ) -> None:
        self.exact = 0
        """Lost publications whose topics are known."""
        self.at_most = 0
        """The largest possible number of other lost publications."""
        self.gaps = 0
        """Losses, each of one or more publications in a row."""
        self._broker = broker
        self._arrivals = arrivals
        self._deliver = deliver
        self._ask = ask
        self._is_connected = is_connected
        self._topics_of = topics_of
        self._clock = clock
        self._max_held_bytes = max_held_bytes
        self._held_bytes = 0
        self._held_work = 0
        self._watch = Watch(self._accept, clock=clock, call_later=call_later)

    def hold(self, stream: Stream, held: Held) -> None:
        """Keep a batch that follows a loss."""
        is_full = self._held_bytes + held.size > self._max_held_bytes
        if is_full or self._held_work > self._arrivals.max_work:
            stream.awaited = max(stream.awaited, held.batch.last)
        else:
            self._held_bytes += held.size
            self._held_work += held.work
            stream.held.append(held)

    def expect(self, stream: Stream, position: int) -> None:
        """Count what has not arrived up to a position a moment later as lost."""
        stream.awaited = max(stream.awaited, position)
        self._watch.add(stream)

    def begin(self, stream: Stream, gap: Gap) -> None:
        """Find out what was lost; until then, what follows has to be held."""
        stream.gap = gap
        self.gaps += 1
        self._find_out(stream, gap)

    def ask_again(self, stream: Stream) -> None:
        """Find out what was lost while the relay was not connected."""
        if stream.gap is not None and stream.task is None:
            self._find_out(stream, stream.gap)

    def give_up(self, stream: Stream) -> None:
        """Report what is missing from a process that can no longer be asked."""
        while True:
            self._stop_asking(stream)
            if stream.gap is None:
                self._watch.discard(stream)
                stream.gap = stream.gap_to(stream.awaited, self._clock())
                if stream.gap is None:
                    return
                self.gaps += 1
            self._end(stream, stream.gap, None)

    def drop(self, stream: Stream) -> None:
        """Forget what a stream holds and awaits."""
        self._watch.discard(stream)
        self._stop_asking(stream)
        for held in stream.held:
            self._uncount(held)
        stream.held.clear()
        stream.gap = None

    def _uncount(self, held: Held) -> None:
        self._held_bytes -= held.size
        self._held_work -= held.work

    def _accept(self, stream: Stream) -> None:
        """Count what did not arrive as lost."""
        gap = stream.gap_to(stream.awaited, self._clock())
        if gap is not None:
            self.begin(stream, gap)

    def _find_out(self, stream: Stream, gap: Gap) -> None:
        loop = asyncio.get_running_loop()
        stream.task = loop.create_task(self._ask_and_tell(stream, gap))

    def _stop_asking(self, stream: Stream) -> None:
        if stream.task is not None:
            stream.task.cancel()
            stream.task = None

    async def _ask_and_tell(self, stream: Stream, gap: Gap) -> None:
        counts: dict[str, int] | None = None
        with suppress(Unavailable, TimeoutError):
            counts = await self._ask(stream.process_id, stream.partition, gap.first, gap.last)
        stream.task = None

        def end() -> None:
            if stream.gap is gap and (counts is not None or self._is_connected()):
                self._end(stream, gap, counts)

        self._arrivals.after(end)

    def _end(self, stream: Stream, gap: Gap, counts: Mapping[str, int] | None) -> None:
        if counts is not None and sum(counts.values()) == gap.size:
            self.exact += gap.size
            for topic, lost in counts.items():
                tell_count(self._broker, topic, lost, since=stream.since)
        else:
            self.at_most += gap.size
            for topic in self._topics_of(stream.partition):
                tell_bound(self._broker, topic, gap.size)
        stream.end_gap()
        self._release(stream)

    def _release(self, stream: Stream) -> None:
        """Deliver what was held, up to the next loss."""
        while stream.held:
            held = stream.held[0]
            if gap := stream.gap_before(held.batch, held.arrived):
                self.begin(stream, gap)
                return
            stream.held.popleft()
            self._uncount(held)
            self._deliver(stream, held.batch, held.arrived)
        if stream.awaited > stream.settled:
            self._watch.add(stream)

    def __repr__(self) -> str:
        return f"<Losses {self.gaps} gaps, {self._held_bytes} bytes held>"
