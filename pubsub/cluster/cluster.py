"""The other processes of the room, as this one sees them."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Protocol

import msgspec
from msgspec import UNSET, Raw, UnsetType

from pubsub import logs
from pubsub.cluster.channels.channels import Channels
from pubsub.cluster.figures.answers import Answers
from pubsub.cluster.figures.figures import Figures
from pubsub.cluster.gaps import tell_kept
from pubsub.cluster.journals.journals import Journals
from pubsub.cluster.members.beats import Count
from pubsub.cluster.members.members import Members
from pubsub.cluster.messenger import Messenger, NoAnswer
from pubsub.cluster.names import log_of
from pubsub.cluster.presence.presence import KIND as MEMBERS
from pubsub.cluster.presence.presence import RemotePresence
from pubsub.cluster.statistics import ClusterStatistics
from pubsub.cluster.topics.topics import Topics
from pubsub.core.broker import Broker
from pubsub.core.client import Publisher
from pubsub.core.configuration import Configuration
from pubsub.core.errors import TopicExists
from pubsub.core.options import NOT_GIVEN, GivenOptions
from pubsub.core.presence import Notice
from pubsub.core.publication import Position, Publication
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

GAP_TIMEOUT = 2.0
"""Seconds in which a process has to say what was lost of its publications."""

OVERHEAD = 4096
"""Bytes that a message of a client may grow by on its way to other processes."""

OUT_OF_REACH = "other servers are out of reach; try again"

_COUNT, _POSITION, _RECHECK = "channels.count", "channels.position", "recheck"


def bytes_needed(config: Configuration) -> int:
    """Return the bytes that the relay has to take in one message."""
    return config.max_message_bytes + OVERHEAD


class Process(Protocol):
    """The runtime, as the cluster sees it."""

    process_id: str
    broker: Broker
    registry: Registry
    turns: Turns

    def recheck(self, user: str) -> None:
        """Ask again what a user may do, for each connection of this process."""


class Cluster:
    """One room from several processes.

    The broker decides what happens in this process, and does not know of others. The cluster
    settles with them what has to be settled first, tells them what has happened here, and brings
    the broker what has happened there.

    Guarantees:
        A publication to a topic without history never waits for others. Whatever else does, ends
        within a few seconds, or raises `Unavailable`. While the network is away, this process goes
        on alone. Once it is back, what was missed is made up for, or notified as lost.

    Args:
        process: The runtime of this process; its broker must be shared.
        relay: The way to the others.
        serves: Whether clients can connect to this process.
        at_end_of_tick: Calls a function at the end of the event-loop tick.
    """

    def __init__(
        self,
        process: Process,
        relay: Relay,
        *,
        serves: bool,
        at_end_of_tick: Callable[[Callable[[], None]], None],
    ) -> None:
        self.process_id = process.process_id
        self.broker = broker = process.broker
        self._process = process
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
            ask=self._ask_count,
            ask_positions=self._ask_positions,
            at_end_of_tick=at_end_of_tick,
            clock=time.monotonic,
            call_later=on_running_loop,
        )
        self.announce = self.channels.publish
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
        self.presence = RemotePresence(self.process_id, broker, relay, self._ask_all)
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
        self.messenger.handle(_COUNT, self._answer_count)
        self.messenger.handle(_POSITION, self._answer_position)
        self.messenger.handle(_RECHECK, self._answer_recheck)

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

    # --- Questions between processes ---

    async def _ask_count(
        self, process_id: str, partition: int, first: int, last: int
    ) -> dict[str, int] | None:
        body = msgspec.msgpack.encode((partition, first, last))
        try:
            answer = await self.messenger.ask(process_id, _COUNT, body, GAP_TIMEOUT)
        except NoAnswer:
            return None
        with suppress(msgspec.MsgspecError):
            return msgspec.msgpack.decode(answer, type=dict[str, Count] | None)
        return None

    def _answer_count(self, body: bytes) -> bytes:
        partition, first, last = msgspec.msgpack.decode(body, type=tuple[int, int, int])
        return msgspec.msgpack.encode(self.channels.count(partition, first, last))

    async def _ask_all(self, kind: str, body: bytes) -> dict[str, bytes]:
        return await self.messenger.ask_all(kind, body, [each.id for each in self.members.alive])

    async def _ask_positions(self, partition: int) -> Mapping[str, int]:
        alive = [member.id for member in self.members.alive]
        body = msgspec.msgpack.encode(partition)
        answers = await self.messenger.ask_all(_POSITION, body, alive)
        positions: dict[str, int] = {}
        for process_id, answer in answers.items():
            with suppress(msgspec.MsgspecError):
                positions[process_id] = msgspec.msgpack.decode(answer, type=Count)
        return positions

    def _answer_position(self, body: bytes) -> bytes:
        return msgspec.msgpack.encode(
            self.channels.position(msgspec.msgpack.decode(body, type=int))
        )

    async def recheck(self, user: str) -> None:
        """Ask again what a user may do, in all other processes.

        Raises:
            Unavailable: Not all of them have answered.
        """
        await self._wait_until_ready()
        alive = [member.id for member in self.members.alive if member.serves]
        answers = await self.messenger.ask_all(_RECHECK, user.encode(), alive, GAP_TIMEOUT)
        if len(answers) < len(alive):
            raise Unavailable(OUT_OF_REACH, unknown_fate=True)

    def _answer_recheck(self, body: bytes) -> bytes:
        self._process.recheck(body.decode())
        return b""

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

    # --- Subscriptions ---

    def is_prepared(self, name: str, since: int = 0) -> bool:
        """Return whether this process gets what others publish to a topic.

        Args:
            name: The topic. If it can neither be found nor created, there is nothing to prepare.
            since: The offset of a message that the process has to have, if the topic has one.
        """
        topic = self.broker.find(name)
        if topic is None:
            return self.is_ready and not self.broker.creates(name)
        if topic.history is None:
            is_prepared = self.channels.is_wanted(name)
        else:
            is_prepared = self.journals.is_open(name) and since <= topic.history.offset
        return is_prepared and (topic.presence is None or self.presence.knows(name))

    async def prepare(self, name: str, since: int = 0) -> None:
        """Get what others publish to a topic from now on; create the topic if clients may.

        What others publish to it after this has returned reaches its subscribers here.

        Raises:
            InvalidTopicName, LimitExceeded: The topic would have to be created, and cannot be.
            Unavailable: Others have to be asked, and are out of reach.
        """
        await self.find_or_create(name)
        topic = self.broker.find(name)
        if topic is None:
            return
        with _reaching():
            if topic.history is None:
                await self.channels.want(name)
            elif not (self.journals.is_open(name) and since <= topic.history.offset):
                await self._wait_until_ready()
                await self.journals.open(name)
                if since > topic.history.offset:
                    await self.journals.catch_up(name)
            if topic.presence is not None:
                await self.presence.prepare(name)

    # --- Publications ---

    def publishes_at_once(self, name: str) -> bool:
        """Return whether `Broker.publish` does the right thing for a topic, or raises it."""
        topic = self.broker.find(name)
        if topic is None:
            return self.is_ready and not self.broker.creates(name)
        return topic.history is None

    async def publish(
        self,
        name: str,
        message_id: str,
        payload: Raw,
        *,
        publisher: Publisher | None = None,
        user: str | None = None,
        once: bool = False,
    ) -> Publication:
        """Publish to the subscribers of all processes; see `Broker.publish`.

        Raises:
            Unavailable: The topic keeps history or has to be created, and others are out of reach.
        """
        if not self.publishes_at_once(name):
            await self.find_or_create(name)
            if self.shares_order(name):
                return await self.publish_kept(
                    name, message_id, payload, publisher=publisher, user=user, once=once
                )
        return self.broker.publish(
            name, message_id, payload, publisher=publisher, user=user, once=once
        )

    async def publish_kept(
        self,
        name: str,
        message_id: str,
        payload: Raw,
        *,
        publisher: Publisher | None = None,
        user: str | None = None,
        once: bool = False,
    ) -> Publication:
        """Publish to a topic with history, in the order that all processes share.

        Raises:
            TopicNotFound, InvalidTopicName: The topic does not exist, or the name is invalid.
            Unavailable: Others are out of reach. The message may have been published nevertheless.
        """
        await self._wait_until_ready()
        self.broker.topic(name)
        with _reaching():
            return await self.journals.publish(
                name,
                message_id,
                payload,
                publisher_id=None if publisher is None else publisher.id,
                user=user,
                once=once,
            )

    def subscribers_elsewhere(self, name: str) -> int:
        """Return the number of subscribers in other processes, as of a few seconds ago."""
        return self.members.remote_subscribers(name)

    # --- Topics with history ---

    def shares_order(self, name: str) -> bool:
        """Return whether the messages of a topic have one order in all processes."""
        topic = self.broker.find(name)
        return topic is not None and topic.history is not None

    def must_catch_up(self, name: str) -> bool:
        """Return whether others may know a topic, or messages of it, that are unknown here."""
        topic = self.broker.find(name)
        return not self.is_ready if topic is None else topic.history is not None

    async def catch_up(self, name: str) -> None:
        """Get all messages of a topic with history that were accepted before this call.

        Raises:
            TopicNotFound, InvalidTopicName: The topic does not exist, or the name is invalid.
            NoHistory: The topic keeps no messages.
            Unavailable: Others are out of reach.
        """
        await self._wait_until_ready()
        with _reaching():
            await self.journals.catch_up(name)

    # --- Presence ---

    def knows_members(self, name: str) -> bool:
        """Return whether this process knows who is subscribed to a topic in others."""
        topic = self.broker.find(name)
        return topic is None or topic.presence is None or self.presence.knows(name)

    async def presence_of(self, name: str) -> Notice:
        """Return who is subscribed to a topic in all processes.

        Raises:
            TopicNotFound, InvalidTopicName: The topic does not exist, or the name is invalid.
            NoPresence: The topic has no presence.
        """
        if self.knows_members(name) or not self._relay.is_connected:
            return self.broker.presence(name)
        return await self.presence.view(name)

    # --- Topics ---

    async def find_or_create(self, name: str) -> None:
        """Wait until this process knows a topic, or that it is missing; create it if clients may.

        Raises:
            InvalidTopicName, LimitExceeded: The topic would have to be created, and cannot be.
            Unavailable: Others have to be asked, and are out of reach.
        """
        if self.broker.find(name) is None:
            await self._wait_until_ready()
            if self.broker.find(name) is None and self.broker.creates(name):
                with suppress(TopicExists):  # somebody else has just created it
                    await self.create_topic(name)

    async def create_topic(self, name: str, given: GivenOptions = NOT_GIVEN) -> None:
        """Create a topic in all processes; see `Broker.create_topic`.

        Raises:
            InvalidTopicName, TopicExists, LimitExceeded: As in one process. Of many simultaneous
                creations in all processes exactly one succeeds.
            Unavailable: Others are out of reach. The topic may have been created nevertheless.
        """
        await self._wait_until_ready()
        with _reaching():
            await self.topics.create(name, given)

    async def delete_topic(self, name: str) -> None:
        """Delete a topic in all processes; its subscribers are notified.

        Raises:
            TopicNotFound, InvalidTopicName: The topic does not exist, or the name is invalid.
            Unavailable: Others are out of reach. The topic may have been deleted nevertheless.
        """
        await self._wait_until_ready()
        self.broker.topic(name)
        with _reaching():
            await self.topics.delete(name)

    async def _wait_until_ready(self) -> None:
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


@contextmanager
def _reaching() -> Iterator[None]:
    """Convert what a relay raises to what clients get."""
    try:
        yield
    except errors.Unavailable as error:
        raise Unavailable(OUT_OF_REACH, unknown_fate=error.unknown_fate) from None
