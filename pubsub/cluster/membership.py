"""How this process joins the others, and leaves them."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from msgspec import UNSET, UnsetType

from pubsub import logs
from pubsub.cluster.channels.channels import Channels
from pubsub.cluster.figures.answers import Answers
from pubsub.cluster.figures.figures import Figures
from pubsub.cluster.gaps import tell_kept
from pubsub.cluster.journals.journals import Journals
from pubsub.cluster.members.members import Members
from pubsub.cluster.messenger import Messenger
from pubsub.cluster.names import log_of
from pubsub.cluster.presence.presence import KIND as MEMBERS
from pubsub.cluster.presence.presence import RemotePresence
from pubsub.cluster.questions import Questions
from pubsub.cluster.statistics import ClusterStatistics
from pubsub.cluster.topics.topics import Topics
from pubsub.core.configuration import Configuration
from pubsub.core.publication import Position
from pubsub.core.shared import SharedBroker
from pubsub.core.timer import on_running_loop
from pubsub.protocol.errors import Unavailable
from pubsub.registry import Registry
from pubsub.relay import errors
from pubsub.relay.base import Relay
from pubsub.turns import Turns

logger = logging.getLogger(__name__)

READY_TIMEOUT = 4.0
"""Seconds that a request waits for this process to join the others."""

RETRY = 0.5
"""Seconds between two attempts to synchronize."""

REGULARLY = 5.0
"""Seconds between two looks for what is no longer needed, or was lost."""

OVERHEAD = 4096
"""Bytes that a message of a client may grow by on its way to other processes."""

OUT_OF_REACH = "other servers are out of reach; try again"


def bytes_needed(config: Configuration) -> int:
    """Return the bytes that the relay has to take in one message."""
    return config.max_message_bytes + OVERHEAD


class Process(Protocol):
    """The runtime, as the cluster sees it."""

    process_id: str
    registry: Registry

    def recheck(self, user: str) -> None:
        """Ask again what a user may do, for each connection of this process."""


class Membership:
    """A process as a member of a room: its parts, how it joins, and how it leaves.

    It joins by synchronizing with the others, each time the relay connects. While the network is
    away, the process goes on alone. Once it is back, what was missed is made up for, or notified
    as lost.

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
        self._refusal = ""
        self._synchronizing: asyncio.Task[None] | None = None
        self._synchronized = asyncio.Event()
        self._has_been_ready = False
        self._too_small: int | None = None
        """What the relay takes at most, if that was found to be too little."""
        self._is_stopping = False
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
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
            request_synchronization=self._synchronize_soon,
            on_removed=self._on_removed,
            on_begun_again=self.journals.on_begun_again,
        )
        self.members = Members(
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
            alive=lambda: self.members.alive,
            count=self.channels.count,
            position=self.channels.position,
            recheck=process.recheck,
        )
        self.presence = RemotePresence(self.process_id, broker, relay, self._questions.ask_all)
        self.figures = Figures(
            self.process_id,
            self.messenger,
            self.members,
            Answers(broker, process.registry, turns),
            turns=turns,
            is_connected=lambda: self.is_ready,
            position=self._position,
        )
        self.messenger.handle(MEMBERS, self.presence.answer)

    # --- Coming and going ---

    def start(self) -> None:
        """Begin to connect to the others, on the running event loop. Nothing waits for it."""
        self._relay.start(self)
        self._regularly()

    async def stop(self) -> None:
        """Leave the room: what was published leaves first, and the others notice at once."""
        if self._is_stopping:
            return
        self._is_stopping = True
        self._synchronized.clear()
        if self._timer is not None:
            self._timer.cancel()
        if self._synchronizing is not None:
            self._synchronizing.cancel()
        self.channels.flush()
        self.members.stop()
        self.messenger.stop()
        self.channels.close()
        self.journals.close()
        await self.topics.stop()
        await self.presence.stop()
        await self._relay.stop()

    def on_connected(self) -> None:
        """Catch up with the others, because the relay is connected, perhaps again."""
        self.channels.on_connected()
        self.members.beat_now()
        self._synchronize_soon()

    def on_disconnected(self) -> None:
        """Go on alone."""
        self._synchronized.clear()
        self.topics.on_disconnected()

    def on_change(self, key: str, value: bytes | None, revision: int) -> None:
        """Take a change of the topics."""
        self.topics.on_change(key, value, revision)

    def _synchronize_soon(self) -> None:
        if self._is_stopping:
            return
        if self._synchronizing is not None:
            self._synchronizing.cancel()
        self._synchronizing = asyncio.ensure_future(self._synchronize())

    async def _synchronize(self) -> None:
        """Synchronize everything, as often as it takes while the relay is connected."""
        while self._relay.is_connected:
            try:
                await self._synchronize_once()
            except errors.Unavailable as error:
                self._report_refusal(str(error))
            except Exception:
                logger.exception("Failed to synchronize with other processes")
            else:
                self._refusal = ""
                return
            await asyncio.sleep(RETRY)

    def _report_refusal(self, reason: str) -> None:
        """Log why this process cannot join the others, once for each reason."""
        if reason != self._refusal and self._relay.is_connected:
            self._refusal = reason
            logs.relay_refused(reason=reason)

    async def _synchronize_once(self) -> None:
        self._check_size()
        await self.messenger.start()
        await self.members.start()
        await self.topics.synchronize()
        await self.journals.synchronize()
        self.presence.on_connected()
        if not self._has_been_ready:
            await self.members.meet()
        self._has_been_ready = True
        self._synchronized.set()

    def _check_size(self) -> None:
        """Refuse to join where the relay does not take the largest message of a client."""
        needed, offered = bytes_needed(self.broker.config), self._relay.max_bytes
        if offered >= needed:
            return
        if offered != self._too_small:
            self._too_small = offered
            logs.relay_too_small(max_payload=offered, needed=needed)
        raise errors.Unavailable("its largest message is too small")

    def _regularly(self) -> None:
        """Release what no client here needs any more, and notice what the relay has lost."""
        self._timer = asyncio.get_running_loop().call_later(REGULARLY, self._regularly)
        self.channels.release_unused()
        self.journals.close_unused()
        if self.is_ready:
            self._run(self.topics.check())

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
        self._run(self.topics.renew(name, self.topics.epoch_of(name)))

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
            processes=1 + sum(member.serves for member in self.members.alive),
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
        return self._synchronized.is_set() and self._relay.is_connected

    @property
    def scope(self) -> str | UnsetType:
        """What a publication reaches, if it is not everyone."""
        return UNSET if self._relay.is_connected else "process"

    async def wait_until_ready(self) -> None:
        """Wait until this process knows all topics, unless it was cut off from the others.

        Raises:
            Unavailable: The others are out of reach.
        """
        if self.is_ready:
            return
        if self._has_been_ready and not self._relay.is_connected:
            raise Unavailable(OUT_OF_REACH)
        try:
            async with asyncio.timeout(READY_TIMEOUT):
                await self._synchronized.wait()
        except TimeoutError:
            raise Unavailable(OUT_OF_REACH) from None

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and isinstance(task.exception(), errors.Unavailable):
            return
        if not task.cancelled() and task.exception() is not None:
            logger.error("Failed to settle something with others", exc_info=task.exception())
