"""Publications of topics without history, between processes."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from pubsub.cluster.channels.arrivals import Arrivals
from pubsub.cluster.channels.incoming import Incoming
from pubsub.cluster.channels.losses import MAX_HELD_BYTES, Ask
from pubsub.cluster.channels.outgoing import Outgoing
from pubsub.cluster.channels.sent import SentLog
from pubsub.cluster.names import channel_of, partition_of
from pubsub.core.errors import TopicNotFound
from pubsub.core.publication import Publication
from pubsub.core.shared import SharedBroker
from pubsub.core.timer import CallLater
from pubsub.relay.base import Relay
from pubsub.relay.errors import Unavailable

UNUSED_AFTER = 60.0
"""Seconds without subscribers after which the topics of a partition are no longer received."""

AskPositions = Callable[[int], Awaitable[Mapping[str, int]]]
"""Asks all living processes for their present position in a partition, for at most 500 ms."""


@dataclass(frozen=True, slots=True)
class ChannelStatistics:
    """Counts of publications of topics without history, since the process started."""

    sent: int
    """Publications of this process that were given to the relay."""

    unsent: int
    """Publications of this process that the relay did not take. Others count them as lost."""

    received: int
    """Publications of other processes that arrived."""

    lost: int
    """Publications of other processes that did not arrive, and whose topics are known."""

    lost_at_most: int
    """The largest possible number of other publications that did not arrive."""

    gaps: int
    """Losses, each of one or more publications in a row."""


class _Partition:
    """Topics that are received together."""

    __slots__ = ("in_effect", "registered", "task", "topics")

    def __init__(self) -> None:
        self.topics: dict[str, float] = {}
        """The wanted topics, each with the time at which it was last needed."""
        self.registered = False
        """Whether the relay knows the subscription, which it restores with each connection."""
        self.in_effect = False
        self.task: asyncio.Task[None] | None = None


class Channels:
    """Sends the publications of this process to the others, and delivers theirs.

    Promises:
        Order: the publications of one process reach a subscriber in the order of acceptance.
        Copies: no publication is delivered twice, and none comes back to its process.
        Loss: each subscriber of a topic is notified of the events that were lost (`RELAY_GAP`),
            before the next event of the process that published them. An outbox that is full adds
            them to the loss that it reports.
        Bounds: neither what is held back nor what is remembered grows without limit.

    Args:
        process_id: The id of this process, which no other process ever has.
        broker: The broker of this process.
        relay: The way to the others.
        ask: Asks a process what was lost; see `count` for the answer.
        ask_positions: Asks all processes for their position; see `position` for the answer.
        at_end_of_tick: Calls a function at the end of the event-loop tick.
        clock: The clock of the broker, in seconds.
        call_later: Sets a timer.
        log: Remembers publications, to answer the questions of others.
        arrivals: Makes what delivers the messages of others, with a budget and bounds.
        max_held_bytes: Bytes of messages of others that may wait for the answer to such a question.
    """

    def __init__(
        self,
        process_id: str,
        broker: SharedBroker,
        relay: Relay,
        *,
        ask: Ask,
        ask_positions: AskPositions,
        at_end_of_tick: Callable[[Callable[[], None]], None],
        clock: Callable[[], float],
        call_later: CallLater,
        log: SentLog | None = None,
        arrivals: Callable[[SharedBroker], Arrivals] = Arrivals,
        max_held_bytes: int = MAX_HELD_BYTES,
    ) -> None:
        self._broker = broker
        self._relay = relay
        self._ask_positions = ask_positions
        self._clock = clock
        self._partitions: dict[int, _Partition] = {}
        self._outgoing = Outgoing(process_id, relay, at_end_of_tick=at_end_of_tick, log=log)
        self._arrivals = arrivals(broker)
        self._incoming = Incoming(
            process_id,
            broker,
            self._arrivals,
            ask=ask,
            is_connected=lambda: relay.is_connected,
            topics_of=self._topics_of,
            clock=clock,
            call_later=call_later,
            max_held_bytes=max_held_bytes,
        )
        self.publish: Callable[[Publication], None] = self._outgoing.publish
        """Send an accepted publication at the end of the tick; this never waits or raises."""
        self.flush: Callable[[], None] = self._outgoing.flush
        """Send at once what was published in this tick."""
        self.position: Callable[[int], int] = self._outgoing.position
        """Return the sequence number of this process' last publication in a partition, or 0."""
        self.positions: Callable[[], dict[int, int]] = self._outgoing.positions
        """Return all positions that are not 0, by partition."""
        self.count = self._outgoing.count
        """Return how many publications of this process each topic of a partition had, from a first
        to a last sequence number; ``None`` if that is not known."""
        self.forget: Callable[[str], None] = self._incoming.forget
        """Count and report what is missing from a process that has left."""
        self.on_positions = self._incoming.on_positions
        """Compare the positions of a process, which its heartbeat carries, with what arrived."""

    # --- Which topics this process receives ---

    def is_wanted(self, topic: str) -> bool:
        """Return whether `want` would have nothing to wait for."""
        partition = self._partitions.get(partition_of(topic))
        return (
            partition is not None
            and topic in partition.topics
            and partition.task is None
            and not self._must_subscribe(partition)
        )

    def is_asked_for(self, topic: str) -> bool:
        """Return whether `want` has ended, whatever came of it, and the topic was used since."""
        partition = self._partitions.get(partition_of(topic))
        return partition is not None and topic in partition.topics and partition.task is None

    async def want(self, topic: str) -> bool:
        """Receive the topic, together with the others of its partition.

        Call it before each first subscription to a topic. It waits for the relay, if necessary, and
        for the other processes' positions. Without a connection it does not fail: the relay makes
        the subscription when it connects.

        Returns:
            Whether what other processes accept from now on is received, or reported as lost.
        """
        number = partition_of(topic)
        partition = self._partitions.setdefault(number, _Partition())
        partition.topics[topic] = self._clock()
        if partition.task is None and self._must_subscribe(partition):
            partition.task = asyncio.get_running_loop().create_task(
                self._subscribe(number, partition)
            )
        if partition.task is not None:
            await asyncio.shield(partition.task)
        return partition.in_effect and self._relay.is_connected

    def _must_subscribe(self, partition: _Partition) -> bool:
        return not partition.in_effect and (self._relay.is_connected or not partition.registered)

    async def _subscribe(self, number: int, partition: _Partition) -> None:
        try:
            self._incoming.open(number)
            partition.registered = True
            channel, receive = channel_of(number), partial(self._incoming.receive, number)
            try:
                await self._relay.subscribe(channel, receive)
            except Unavailable:
                if not self._incoming.has_begun(number):
                    self._incoming.begin(number, {})
                return
            if not self._incoming.has_begun(number):
                self._incoming.begin(number, await self._present_positions(number))
            partition.in_effect = True
        finally:
            partition.task = None

    async def _present_positions(self, number: int) -> Mapping[str, int]:
        try:
            return await self._ask_positions(number)
        except Unavailable:
            return {}

    def release_unused(self) -> None:
        """Stop receiving partitions whose topics have had no subscriber for `UNUSED_AFTER`.

        Call it every few seconds; it takes about a microsecond for each topic.
        """
        now = self._clock()
        for number, partition in list(self._partitions.items()):
            topics = partition.topics
            for topic in list(topics):
                if self._has_subscribers(topic):
                    topics[topic] = now
                elif now - topics[topic] >= UNUSED_AFTER:
                    del topics[topic]
            if not topics and partition.task is None:
                del self._partitions[number]
                self._relay.unsubscribe(channel_of(number))
                self._incoming.end(number)

    def _has_subscribers(self, topic: str) -> bool:
        try:
            return bool(self._broker.topic(topic).subscribers)
        except TopicNotFound:
            return False

    def _topics_of(self, number: int) -> Iterable[str]:
        partition = self._partitions.get(number)
        return () if partition is None else list(partition.topics)

    # --- The relay, and the end ---

    def on_connected(self) -> None:
        """Go on after the relay has connected, and has restored the subscriptions.

        A heartbeat must follow, so that the other processes learn what they have not received.
        """
        self._outgoing.on_connected()
        for partition in self._partitions.values():
            if partition.registered and partition.task is None:
                partition.in_effect = True
        self._incoming.on_connected()

    def close(self) -> None:
        """Send what is pending, and forget everything that was received or awaited."""
        self._outgoing.flush()
        for partition in self._partitions.values():
            if partition.task is not None:
                partition.task.cancel()
        self._incoming.close()
        self._arrivals.close()

    def statistics(self) -> ChannelStatistics:
        """Return a snapshot of the counters."""
        outgoing, incoming = self._outgoing, self._incoming
        return ChannelStatistics(
            sent=outgoing.sent,
            unsent=outgoing.unsent,
            received=incoming.received,
            lost=incoming.losses.exact,
            lost_at_most=incoming.losses.at_most,
            gaps=incoming.losses.gaps,
        )

    def __repr__(self) -> str:
        return f"<Channels {len(self._partitions)} partitions, {self._incoming!r}>"
