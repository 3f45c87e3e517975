"""How this process joins the others, and leaves them."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from msgspec import UNSET, UnsetType

from pubsub.cluster.capacity import Capacity
from pubsub.cluster.channels.channels import Channels
from pubsub.cluster.figures.answers import Answers
from pubsub.cluster.figures.figures import Figures
from pubsub.cluster.gaps import tell_kept
from pubsub.cluster.journals.journals import Journals
from pubsub.cluster.messenger.messenger import Messenger
from pubsub.cluster.names import log_of
from pubsub.cluster.peers.peers import Peers
from pubsub.cluster.presence.others import KIND as MEMBERS
from pubsub.cluster.presence.presence import RemotePresence
from pubsub.cluster.questions import Questions
from pubsub.cluster.statistics import ClusterStatistics
from pubsub.cluster.synchronization import Synchronization
from pubsub.cluster.tasks import Tasks
from pubsub.cluster.topics.topics import Topics
from pubsub.core.publication import Position
from pubsub.core.shared import SharedBroker
from pubsub.core.timer import on_running_loop
from pubsub.registry import Registry
from pubsub.relay.base import Relay
from pubsub.turns import Turns

REGULARLY = 5.0
"""Seconds between two checks for what is no longer needed, or was lost."""


class Process(Protocol):
    """The runtime, as the cluster sees it."""

    process_id: str
    registry: Registry

    def recheck(self, user: str) -> None:
        """Ask again what a user may do, for each connection of this process."""


class Membership:
    """A process as a member of a room: its parts, how it joins, and how it leaves.

    It joins by synchronizing with the others, each time the relay connects. While the network is
    away, the process goes on alone. Once it is back, the process catches up, and subscribers are
    notified of what was lost.

    Args:
        process: The runtime of this process.
        broker: Its broker.
        relay: The way to the others.
        serves: Whether clients can connect to this process.
        at_end_of_tick: Calls a function at the end of the event-loop tick.
    """

    def __init__(
        self,
        process: Process,
        broker: SharedBroker,
        relay: Relay,
        *,
        serves: bool,
        at_end_of_tick: Callable[[Callable[[], None]], None],
    ) -> None:
        self.process_id = process.process_id
        self.broker = broker
        self._relay = relay
        self._turns = turns = Turns()
        self._capacity = Capacity(relay, broker.config)
        self._synchronization = Synchronization(relay, self._synchronize)
        self._is_stopping = False
        self._timer: asyncio.TimerHandle | None = None
        self._tasks = Tasks()
        self.messenger = Messenger(self.process_id, relay)
        self.channels = Channels(
            self.process_id,
            broker,
            relay,
            ask=lambda *lost: self._questions.ask_count(*lost),
            ask_positions=lambda partition: self._questions.ask_positions(partition),
            at_end_of_tick=at_end_of_tick,
            clock=time.monotonic,
            call_later=on_running_loop,
        )
        broker.announce_to(self.channels.publish)
        self.journals = Journals(
            broker,
            relay,
            turns=turns,
            subscribers=self._count_subscribers,
            tell_gap=lambda name, at_most: tell_kept(broker, name, at_most),
            on_lost=self._renew,
        )
        self.topics = Topics(
            broker,
            relay,
            begin_log=self.journals.begin,
            forget_log=lambda name, epoch: relay.forget(log_of(name, epoch)),
            has_log=self._has_log,
            request_synchronization=self._synchronization.start,
            on_removed=self._on_removed,
            on_begun_again=self.journals.on_begun_again,
        )
        self.peers = Peers(
            self.process_id,
            relay,
            self.messenger,
            broker,
            turns=turns,
            serves=serves,
            positions=self.channels.positions,
            on_positions=self._on_positions,
            on_joined=lambda process: self.presence.on_joined(),
            on_gone=self._on_gone,
        )
        self._questions = Questions(
            self.messenger,
            alive=lambda: self.peers.alive,
            count=self.channels.count,
            position=self.channels.position,
            recheck=process.recheck,
        )
        self.presence = RemotePresence(
            self.process_id,
            broker,
            relay,
            self._questions.ask_each,
            is_present=self.peers.is_present,
        )
        self.figures = Figures(
            self.process_id,
            self.messenger,
            self.peers,
            Answers(broker, process.registry, turns),
            turns=turns,
            is_connected=lambda: self._synchronization.has_joined,
            position=self._position,
        )
        self.messenger.handle(MEMBERS, self.presence.answer)

    # --- Coming and going ---

    def start(self) -> None:
        """Begin to connect to the others, on the running event loop, without waiting for it."""
        self._relay.start(self)
        self._regularly()

    async def stop(self) -> None:
        """Leave the room: what was published leaves first, and the others notice at once."""
        if self._is_stopping:
            return
        self._is_stopping = True
        self._synchronization.stop()
        self._tasks.cancel()
        if self._timer is not None:
            self._timer.cancel()
        self.channels.flush()
        self.peers.stop()
        self.messenger.stop()
        self.channels.close()
        self.journals.close()
        await self.topics.stop()
        await self.presence.stop()
        await self._relay.stop()

    def on_connected(self) -> None:
        """Catch up with the others, because the relay is connected, perhaps again."""
        self.channels.on_connected()
        self.peers.beat_now()
        self._synchronization.start()

    def on_disconnected(self) -> None:
        """Go on alone."""
        self._synchronization.on_disconnected()
        self.topics.on_disconnected()

    def on_change(self, key: str, value: bytes | None, revision: int) -> None:
        """Take a change of the topics."""
        self.topics.on_change(key, value, revision)

    async def _synchronize(self) -> None:
        self._capacity.check()
        await self.messenger.start()
        await self.peers.start()
        await self.topics.synchronize()
        await self.journals.synchronize()
        self.presence.on_connected()
        if not self._synchronization.has_succeeded:
            await self.peers.meet()

    def _regularly(self) -> None:
        """Release what the clients here no longer need, and notice what the relay has lost."""
        self._timer = asyncio.get_running_loop().call_later(REGULARLY, self._regularly)
        self.channels.release_unused()
        self.journals.close_unused()
        if self.is_ready:
            self._tasks.start(self.topics.check())

    # --- What the parts ask each other ---

    def _count_subscribers(self, name: str, publisher_id: str | None) -> int:
        """Return how many clients of this process get a message of a publisher."""
        topic = self.broker.find(name)
        if topic is None:
            return 0
        own = self.broker.find_client(publisher_id)
        return len(topic.subscribers) - (own in topic.subscribers)

    def _on_positions(self, process_id: str, positions: dict[int, int], uptime: float) -> None:
        self.channels.on_positions(process_id, positions, uptime=uptime)

    async def _has_log(self, name: str, epoch: str) -> bool:
        return await self._relay.last_offset(log_of(name, epoch)) > 0

    def _on_removed(self, name: str) -> None:
        self.journals.on_removed(name)
        self.presence.on_removed(name)

    def _on_gone(self, process_id: str) -> None:
        self.channels.forget(process_id)
        self.presence.drop_process(process_id)

    def _renew(self, name: str) -> None:
        """Give a topic a new epoch, because its log was lost."""
        self._tasks.start(self.topics.renew(name, self.topics.epoch_of(name)))

    async def _position(self, name: str) -> Position | None:
        """Return the position of a topic with history that all processes share."""
        await self.journals.catch_up(name)
        return self.broker.topic(name).position

    # --- State ---

    def statistics(self) -> ClusterStatistics:
        """Return the state and the counters."""
        relay, channels = self._relay.statistics(), self.channels.statistics()
        journals = self.journals.statistics()
        return ClusterStatistics(
            connected=relay.connected,
            processes=1 + sum(peer.serves for peer in self.peers.alive),
            reconnections=relay.reconnections,
            sent=channels.sent + journals.appended,
            received=channels.received + journals.received,
            unsent=channels.unsent,
            gaps=channels.gaps + journals.healed,
            lost=channels.lost + channels.lost_at_most + journals.lost,
            buffered_bytes=relay.buffered_bytes,
        )

    @property
    def is_connected(self) -> bool:
        """Whether publications reach the other processes."""
        return self._relay.is_connected

    @property
    def is_ready(self) -> bool:
        """Whether this process knows all topics and gets everything that it wants."""
        return self._synchronization.is_done

    @property
    def scope(self) -> str | UnsetType:
        """What a publication reaches, if it is not everyone."""
        return UNSET if self._relay.is_connected else "process"

    async def wait_until_ready(self) -> None:
        """Wait until this process knows all topics, unless it was cut off from the others.

        Raises:
            Unavailable: The others are out of reach.
        """
        await self._synchronization.wait()
