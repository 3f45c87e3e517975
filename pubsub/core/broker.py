"""The broker: it decides who gets which message, and fills the outboxes. It does no I/O."""

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from threading import get_ident
from time import perf_counter
from typing import Any

from pubsub import fairness
from pubsub.core.client import Client, Publisher
from pubsub.core.configuration import Configuration
from pubsub.core.counters import ClientStatistics, Statistics, TopicStatistics, TotalCounters
from pubsub.core.errors import (
    LimitExceeded,
    NoPresence,
    NotSubscribed,
    ReentrantCall,
    TopicExists,
    TopicNotFound,
    WrongThread,
)
from pubsub.core.histogram import Histogram
from pubsub.core.history import History, HistoryBudget
from pubsub.core.listing import Listing
from pubsub.core.loss import Loss
from pubsub.core.names import validate_name
from pubsub.core.once import RecentIds
from pubsub.core.options import NOT_GIVEN, GivenOptions, Overflow, TopicOptions
from pubsub.core.outbox import Outbox, at_once
from pubsub.core.presence import Export, Notice, Presence, Presences
from pubsub.core.publication import Encode, Frame, Position, Publication
from pubsub.core.timer import CallLater, on_running_loop
from pubsub.core.topic import HistoryPage, Recover, Subscribed, Topic


@dataclass(frozen=True, slots=True)
class TopicCreated:
    """A topic was created."""

    topic: str
    options: TopicOptions


@dataclass(frozen=True, slots=True)
class TopicDeleted:
    """A topic was deleted."""

    topic: str


PUBLISH_BOUNDS = (
    *(0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1),
    0.25,
)
"""Bounds in seconds for the time that a publication takes."""

TIMED_EVERY = 16
"""One publication in so many is timed, because two looks at the clock cost as much as the rest
of what is counted for it. A power of two."""

_UNTIMED = TIMED_EVERY - 1

Change = Publication | TopicCreated | TopicDeleted


Visible = Callable[[str], bool]
"""Whether the one who asks may see the topic of this name."""

_AFTER_ALL_NAMES = "\U0010ffff"
"""A noncharacter, which no name contains: a prefix and this are above all names with the prefix."""


class Broker:
    """Topics, clients and subscriptions of one process.

    No method awaits, so each call is atomic for all code on the event loop: there are no locks
    and no half-finished publications, and the order of messages is the order of the calls. For
    the same reason the broker belongs to one thread, the last one that called `take_ownership`
    (initially the one that created it). A call from another thread raises `WrongThread`, and a
    call from a callback of an outbox raises `ReentrantCall`.

    Guarantees:
        A message is delivered once to each subscriber of its topic except its publisher, in the
        order of publication, unless the subscriber's outbox is full. It is delivered to nobody
        else. After `disconnect` the broker holds no reference to the client.

    Args:
        config: The bounds of topics, subscriptions and outboxes.
        encode: Encodes the event of a publication to a topic without history.
        encode_kept: Encodes one to a topic with history, whose publications have offsets; by
            default the same.
        describe_loss: Builds the notice for a client that lost events.
        describe_presence: Encodes a notice of who is subscribed to a topic.
        announce: The seam for other processes. It is called once for every publication and every
            change of topics, whatever caused it, after the change has taken effect here. It must
            return at once and must not raise.
        shared: Several processes share the topics: `install` and `remove` change them, and nothing
            else creates any.
        clock: Returns the time in seconds by which kept messages and ids expire, and by which
            notices of presence are due.
        call_later: Calls a function after some seconds; by default the running event loop does.
    """

    def __init__(
        self,
        config: Configuration,
        *,
        encode: Encode,
        encode_kept: Encode | None = None,
        describe_loss: Callable[[Loss], Frame],
        describe_presence: Callable[[Notice], Frame],
        announce: Callable[[Change], None] | None = None,
        shared: bool = False,
        clock: Callable[[], float] = time.monotonic,
        call_later: CallLater = on_running_loop,
    ) -> None:
        self.config = config
        self._encode = encode
        self._encode_kept = encode_kept or encode
        self._describe_loss = describe_loss
        self._announce = announce
        self._shared = shared
        self._clock = clock
        self._owner = get_ident()
        self._started = time.monotonic()
        self._topics: dict[str, Topic] = {}
        self._clients: dict[str, Client] = {}
        self._topics_by_name = Listing[Topic](attrgetter("name"))
        self._clients_by_age = Listing[Client](attrgetter("joined"))
        self._last_joined = 0
        self._subscriptions = 0
        self._total = TotalCounters()
        self._histories = HistoryBudget(config.history_bytes, clock)
        self._recent_ids = RecentIds(config.once_seconds, clock)
        self._presences = Presences(
            config, describe=describe_presence, clock=clock, call_later=call_later
        )
        self._default_options = TopicOptions(history=config.history_size, overflow=config.overflow)
        self._delivering = False
        self._other_publications = 0
        self._recoveries = {True: 0, False: 0}
        self._repetitions = 0
        self._recounted: set[str] | None = set() if shared else None
        self.publish_seconds = Histogram(PUBLISH_BOUNDS)
        """Time to accept a message, encode it and fill the outboxes, of one in `TIMED_EVERY`."""
        if not shared:
            for name in config.topics.names:
                self._create(name, NOT_GIVEN)

    def take_ownership(self) -> None:
        """Make the calling thread the only one that may use the broker, on its event loop."""
        self._owner = get_ident()
        self._presences.timer.restart()

    @property
    def client_count(self) -> int:
        """The number of connected clients."""
        return len(self._clients)

    def connect(
        self,
        *,
        on_frames: Callable[[], None],
        on_full: Callable[[], None],
        on_overflow: Callable[[Overflow], None],
        schedule: Callable[[Callable[[], None]], None] = at_once,
    ) -> Client:
        """Add a client, with a new id and a new outbox (see `Outbox` for the callbacks)."""
        self._check_caller()
        outbox = Outbox(
            self.config,
            describe_loss=self._describe_loss,
            on_frames=on_frames,
            schedule=schedule,
            on_full=on_full,
            on_overflow=on_overflow,
        )
        self._last_joined = max(self._last_joined + 1, time.time_ns())
        client = Client(str(uuid.uuid4()), outbox, self._last_joined)
        self._clients[client.id] = client
        self._clients_by_age.add(client)
        return client

    def identify(self, client: Client, user: str | None, info: bytes | None = None) -> None:
        """Note the user of a client, and what presence says about the user.

        Args:
            client: A connected client, which may have subscriptions.
            user: The authenticated user, or ``None``.
            info: A JSON object that describes the user to others; without one it is empty.
        """
        self._check_caller()
        former_user, former_info = client.user, client.info
        client.user = user
        client.info = b"" if user is None else info or b"{}"
        if (former_user, former_info) == (user, client.info):
            return
        for name in client.topics:
            presence = self._topics[name].presence
            if presence is not None:
                presence.identify(client, former_user)

    def disconnect(self, client: Client, *, lost: bool = False) -> None:
        """Remove a client from every topic and close its outbox. Safe to call twice.

        ``lost`` says that the client did not end its connection itself. Its user, if there is one,
        lingers in topics with presence then.
        """
        self._check_caller()
        if self._clients.pop(client.id, None) is not None:
            self._clients_by_age.remove(client)
        self._subscriptions -= len(client.topics)
        for name in client.topics:
            topic = self._topics[name]
            del topic.subscribers[client]
            if topic.presence is not None:
                topic.presence.leave(client, lost=lost)
        if self._recounted is not None:
            self._recounted.update(client.topics)
        client.topics.clear()
        client.outbox.close()

    def create_topic(self, name: str, given: GivenOptions = NOT_GIVEN) -> None:
        """Create a topic with the options that are given.

        Others are those of the first matching rule in the setting ``topics``, and then those of
        the configuration.

        Raises:
            InvalidTopicName: The name breaks the rule for topic names.
            TopicExists: The topic exists already.
            LimitExceeded: There are ``max_topics`` topics already.
        """
        self._check_caller()
        self._create(validate_name(name), given)

    def topic(self, name: str) -> Topic:
        """Return a topic, to look at.

        Raises:
            TopicNotFound, InvalidTopicName: The topic does not exist, or the name is invalid.
        """
        self._check_caller()
        return self._existing(name)

    def find(self, name: str) -> Topic | None:
        """Return a topic, to look at; ``None`` if it does not exist."""
        return self._topics.get(name)

    def delete_topic(self, name: str, notice: Frame) -> None:
        """Delete a topic; its subscribers get ``notice`` and stay connected.

        Raises:
            TopicNotFound: The topic does not exist.
        """
        self._check_caller()
        if name not in self._topics:
            raise TopicNotFound(name)
        self.remove(name, notice)
        if self._announce is not None:
            self._announce(TopicDeleted(name))

    # --- What several processes share ---

    def install(self, name: str, options: TopicOptions, epoch: str) -> None:
        """Create a topic that exists in another process, with complete options and its epoch.

        The name must be valid and new; there is no limit of topics here.
        """
        self._check_caller()
        self._install(name, options, epoch)

    def remove(self, name: str, notice: Frame) -> None:
        """Delete a topic because another process did; its subscribers get ``notice``."""
        self._check_caller()
        topic = self._topics.pop(name)
        self._topics_by_name.remove(topic)
        self._subscriptions -= len(topic.subscribers)
        if self._recounted is not None and topic.subscribers:
            self._recounted.add(name)
        for outbox in topic.subscribers.values():
            outbox.put_reply(notice)
        topic.close()
        self._recent_ids.forget_topic(topic.once_ids)

    def deliver(
        self, name: str, event: bytes, *, publisher_id: str | None, user: str | None
    ) -> None:
        """Deliver an event of a topic without history that another process has accepted.

        Args:
            name: The topic. If it does not exist here, nothing happens.
            event: The encoded event.
            publisher_id: The id that the publisher gives as its own; the client with that id gets
                no copy, if it is of the same user.
            user: The authenticated user who publishes, if there is one.
        """
        self._check_caller()
        topic = self._topics.get(name)
        if topic is not None:
            self._deliver(topic.deliver, event, self._own_client(publisher_id, user))

    def deliver_kept(
        self,
        name: str,
        event: bytes,
        *,
        offset: int,
        publisher_id: str | None,
        user: str | None,
        age: float = 0.0,
    ) -> None:
        """Keep and deliver an event of a topic whose order all processes share; see `deliver`.

        Args:
            name: The topic, which must exist and keep history.
            event: The encoded event, with its offset.
            offset: Its offset, above all before.
            publisher_id: As for `deliver`.
            user: As for `deliver`.
            age: Seconds since it was accepted, by which it expires.
        """
        self._check_caller()
        deliver = self._topics[name].deliver_kept
        publisher = self._own_client(publisher_id, user)
        self._deliver(deliver, event, offset, publisher_id, publisher, age)

    def forget_kept(self, name: str, offset: int) -> None:
        """Forget the kept events of a topic, and regard all up to ``offset`` as evicted.

        The topic must exist and keep history; its subscribers hear nothing of it.
        """
        self._check_caller()
        history = self._topics[name].history
        assert history is not None  # noqa: S101  # only such topics share an order
        history.begin_after(offset)

    def begin_again(self, name: str, epoch: str, notice: Frame) -> None:
        """Begin a new epoch of a topic with a shared order, because the old order was lost.

        Its history is empty then, and its subscribers get ``notice``, after what they have lost of
        the old epoch was reported.
        """
        self._check_caller()
        topic = self._topics[name]
        topic.begin_again(epoch)
        for outbox in topic.subscribers.values():
            outbox.put_reset(notice, topic.counters)

    def export_presence(self, export: Export) -> None:
        """Have a function called when a topic's member in this process changes.

        It gets the name of the topic and the member, and must not call the broker.
        """
        self._presences.export = export

    def find_client(self, client_id: str | None) -> Client | None:
        """Return a connected client, if there is one with this id."""
        return None if client_id is None else self._clients.get(client_id)

    def _own_client(self, client_id: str | None, user: str | None) -> Client | None:
        client = self.find_client(client_id)
        return client if client is not None and client.user == user else None

    def _deliver(self, deliver: Callable[..., None], *arguments: Any) -> None:
        self._delivering = True
        try:
            deliver(*arguments)
        finally:
            self._delivering = False

    def count_accepted(self, name: str, *, by_client: bool) -> None:
        """Count a message of a topic with a shared order that this process has accepted."""
        self._check_caller()
        topic = self._topics.get(name)
        if topic is not None:
            topic.count_accepted()
            if not by_client:
                self._other_publications += 1

    def count_repetition(self) -> None:
        """Count a message of a topic with a shared order that repeated an earlier one."""
        self._check_caller()
        self._repetitions += 1

    def take_recounted(self) -> dict[str, int]:
        """Return the number of subscribers of each topic where it has changed since the last call.

        Changes are noted only with ``shared``. A topic that was deleted has 0.
        """
        self._check_caller()
        names, self._recounted = self._recounted or set(), set() if self._shared else None
        topics = self._topics
        return {name: len(topics[name].subscribers) if name in topics else 0 for name in names}

    def creates(self, name: str) -> bool:
        """Return whether subscribe and publish may create the topic, if it is missing."""
        config = self.config
        if not config.topics:
            return config.auto_create_topics
        asked = config.topics.options_for(name).auto_create
        return config.auto_create_topics if asked is None else asked

    def options_for(self, name: str, given: GivenOptions = NOT_GIVEN) -> TopicOptions:
        """Return the complete options that a new topic gets."""
        return given.else_of(self.config.topics.options_for(name)).over(self._default_options)

    def subscribe(
        self,
        client: Client,
        name: str,
        *,
        last_n: int = 0,
        recover: Recover | None = None,
        presence: bool = False,
    ) -> Subscribed:
        """Subscribe a client, and return what the subscription begins with.

        The caller must put its acknowledgement, then who is there, and then the replay into the
        outbox before it awaits anything, so that there is neither a gap nor a duplicate before the
        live events. Subscribing again gives no second replay: nothing is recovered then, because
        events that were sent already would be sent again. It may begin the notices of presence,
        and never ends them.

        Args:
            client: The subscriber.
            name: The topic.
            last_n: The number of past events to replay, unless others are recovered.
            recover: The position after which the client wants every message.
            presence: Tell the client who is there, now and whenever that changes.

        Raises:
            TopicNotFound, InvalidTopicName: The topic does not exist, or the name is invalid.
            NoPresence: The client asks who is there, and the topic has no presence.
            LimitExceeded: The client has too many subscriptions, or there are too many topics.
        """
        self._check_caller()
        if presence:
            self._check_presence(name)
        if name in client.topics:
            topic = self._topics[name]
            subscribed = topic.again(recover)
        else:
            topic = self._add_subscriber(client, name)
            subscribed = topic.past(client, last_n, recover, self.config.recovery_limit)
        if subscribed.recovered is not None:
            self._recoveries[subscribed.recovered] += 1
        if presence:
            subscribed = subscribed._replace(presence=_presence_of(topic).watch(client))
        return subscribed

    def _add_subscriber(self, client: Client, name: str) -> Topic:
        if len(client.topics) >= self.config.max_subscriptions:
            # Even at the limit, a missing topic or an invalid name is the more useful error.
            if name not in self._topics and self._creates(name):
                validate_name(name)
            else:
                self._existing(name)
            raise LimitExceeded("subscriptions", self.config.max_subscriptions)
        topic = self._existing_or_created(name)
        topic.subscribers[client] = client.outbox
        client.topics[name] = self._clock()
        self._subscriptions += 1
        if self._recounted is not None:
            self._recounted.add(name)
        if topic.presence is not None:
            topic.presence.join(client)
        return topic

    def presence(self, name: str, *, here: bool = False) -> Notice:
        """Return who is subscribed to a topic.

        Args:
            name: The topic.
            here: Count only the connections to this process, if several share the topics.

        Raises:
            TopicNotFound, InvalidTopicName: The topic does not exist, or the name is invalid.
            NoPresence: The topic has no presence.
        """
        self._check_caller()
        presence = _presence_of(self._existing(name))
        return presence.local_view() if here else presence.view()

    def unsubscribe(self, client: Client, name: str) -> None:
        """End a subscription.

        Raises:
            NotSubscribed, InvalidTopicName: The client is not subscribed, or the name is invalid.
        """
        self._check_caller()
        if name not in client.topics:
            raise NotSubscribed(validate_name(name))
        topic = self._topics[name]
        self._subscriptions -= 1
        del client.topics[name]
        del topic.subscribers[client]
        client.outbox.end_catch_up(topic.counters)
        if self._recounted is not None:
            self._recounted.add(name)
        if topic.presence is not None:
            topic.presence.leave(client)

    def publish(
        self,
        name: str,
        message_id: str,
        payload: object,
        *,
        publisher: Publisher | None = None,
        user: str | None = None,
        once: bool = False,
    ) -> Publication:
        """Put an event into the outbox of every subscriber of a topic except the publisher.

        Args:
            name: The topic.
            message_id: A UUID.
            payload: What the encoder understands.
            publisher: The client that publishes and gets no copy, if there is one.
            user: The authenticated user who publishes, if there is one.
            once: Deliver nothing if a message with this id was published to the topic with
                ``once`` in the last ``once_seconds``, by any publisher.

        Returns:
            What the topic made of it; its ``subscribers`` is the number of these subscribers,
            including those whose outbox is full. A `Repetition` if it was not delivered.

        Raises:
            TopicNotFound, InvalidTopicName: The topic does not exist, or the name is invalid.
            LimitExceeded: The topic would have to be created, and there are too many.
            WrongThread: Called from a thread that does not own the broker.
            ReentrantCall: Called by a callback of an outbox.
        """
        if get_ident() != self._owner or self._delivering:
            self._check_caller()
        topic = self._topics.get(name) or self._existing_or_created(name)
        if once:
            first = self._recent_ids.find(topic.once_ids, message_id)
            if first is not None:
                self._repetitions += 1
                return topic.repetition(message_id, first)
        publish = topic.publish if self._total.messages & _UNTIMED else self._timed(topic)
        self._delivering = True
        try:
            publication = publish(message_id, payload, publisher, user)
        finally:
            self._delivering = False
        if publisher is None:
            self._other_publications += 1
        if once:
            self._recent_ids.remember(topic.once_ids, publication)
        if self._announce is not None:
            self._announce(publication)
        return publication

    def _timed(self, topic: Topic) -> Callable[..., Publication]:
        def publish(*arguments: Any) -> Publication:
            started = perf_counter()
            publication = topic.publish(*arguments)
            self.publish_seconds.observe(perf_counter() - started)
            return publication

        return publish

    def history(self, name: str, *, since: Position | None = None, limit: int) -> HistoryPage:
        """Return messages that a topic keeps: all publishers' messages, oldest first.

        Without ``since`` they are the newest ones, otherwise the oldest ones after that position.
        If it is of another epoch or in the future, they are the oldest ones of all, and the page is
        not complete.

        Args:
            name: The topic.
            since: The position of the last message that is not needed.
            limit: The largest number of messages; there are fewer if they exceed `MAX_PAGE_BYTES`.

        Raises:
            TopicNotFound, InvalidTopicName: The topic does not exist, or the name is invalid.
            NoHistory: The topic keeps no messages.
        """
        self._check_caller()
        return self._existing(name).history_page(since, limit)

    def forget_expired(self) -> bool:
        """Release messages and ids that have expired; return whether there are more of them.

        Call it now and then: they no longer count anyway, but take memory. One call takes a few
        milliseconds at most.
        """
        self._check_caller()
        more_events = self._histories.expire()
        return self._recent_ids.forget_expired() or more_events

    def subscriber_counts(self) -> dict[str, int]:
        """Return the number of subscribers of each topic, sorted by topic name.

        This takes long in a large room; see `topic_slices`.
        """
        self._check_caller()
        return {name: len(self._topics[name].subscribers) for name in sorted(self._topics)}

    def subscriptions(self) -> dict[str, list[str]]:
        """Return each connected client's topics, in the order of subscription.

        This takes long in a large room; see `client_slices`.
        """
        self._check_caller()
        return {client.id: list(client.topics) for client in self._clients.values()}

    def statistics(self) -> Statistics:
        """Return the totals, at the same cost whatever the size of the room."""
        self._check_caller()
        total = self._total
        return Statistics(
            uptime=time.monotonic() - self._started,
            topics=len(self._topics),
            clients=len(self._clients),
            subscribers=self._subscriptions,
            messages=total.messages,
            client_publications=total.messages - self._other_publications,
            offered=total.offered,
            delivered=total.delivered,
            dropped=total.dropped,
            dropped_from_history=total.dropped_from_history,
            recovered=self._recoveries[True],
            not_recovered=self._recoveries[False],
            repetitions=self._repetitions,
            history_bytes=self._histories.used,
            history_evicted=self._histories.evicted,
        )

    def topic_slices(
        self, *, prefix: str = "", after: str = "", visible: Visible | None = None
    ) -> Iterator[list[tuple[str, TopicStatistics]]]:
        """Yield topics with their counters, sorted by name, in slices of bounded work.

        Let the event loop run between two slices, and it is held for about a millisecond at a time,
        whatever the size of the room. Each topic's counters are those of the moment at which its
        slice is taken; a topic that exists from the first slice to the last appears exactly once.

        Args:
            prefix: Only names that begin with it.
            after: Only names that sort after this one, which need not exist.
            visible: Only names for which this is true. It is called once for each name.
        """
        topics = self._topics_by_name.slices(
            prefix,
            prefix + _AFTER_ALL_NAMES,
            after=after,
            wanted=lambda topic: visible is None or visible(topic.name),
            cost=lambda topic: fairness.LISTED_ROW,
        )
        self._check_caller()
        for found in topics:
            yield [(topic.name, topic.statistics()) for topic in found]
            self._check_caller()

    def count_topics(self, prefix: str = "") -> int:
        """Return the number of topics whose name begins with ``prefix``, at once."""
        self._check_caller()
        return self._topics_by_name.count(prefix, prefix + _AFTER_ALL_NAMES)

    def client_slices(
        self, *, prefix: str = "", after: int = 0
    ) -> Iterator[list[ClientStatistics]]:
        """Yield the connected clients in the order of connection, in slices of bounded work.

        The same holds as for `topic_slices`.

        Args:
            prefix: Only clients whose id begins with it.
            after: Only clients whose ``joined`` is higher.
        """
        clients = self._clients_by_age.slices(
            0,
            self._last_joined,
            after=after,
            wanted=lambda client: client.id.startswith(prefix),
            cost=lambda client: (
                fairness.LISTED_ROW + fairness.LISTED_SUBSCRIPTION * len(client.topics)
            ),
        )
        self._check_caller()
        for found in clients:
            yield [client.statistics() for client in found]
            self._check_caller()

    def _create(self, name: str, given: GivenOptions) -> Topic:
        if name in self._topics:
            raise TopicExists(name)
        if len(self._topics) >= self.config.max_topics:
            raise LimitExceeded("topics", self.config.max_topics)
        topic = self._install(name, self.options_for(name, given), None)
        if self._announce is not None:
            self._announce(TopicCreated(name, topic.options))
        return topic

    def _install(self, name: str, options: TopicOptions, epoch: str | None) -> Topic:
        history = self._new_history(options)
        topic = Topic(
            name,
            encode=self._encode if history is None else self._encode_kept,
            options=options,
            history=history,
            presence=Presence(name, self._presences) if options.presence else None,
            total=self._total,
            epoch=epoch,
        )
        self._topics[name] = topic
        self._topics_by_name.add(topic)
        return topic

    def _check_presence(self, name: str) -> None:
        """Check that a topic has presence, before it may have to be created."""
        if name not in self._topics and self._creates(name):
            options = self.options_for(validate_name(name))
        else:
            options = self._existing(name).options
        if not options.presence:
            raise NoPresence(name)

    def _new_history(self, options: TopicOptions) -> History | None:
        if not options.history:
            return None
        return History(options.history, self._histories, options.history_seconds)

    def _existing(self, name: str) -> Topic:
        topic = self._topics.get(name)
        if topic is None:
            raise TopicNotFound(validate_name(name))
        return topic

    def _existing_or_created(self, name: str) -> Topic:
        if name not in self._topics and self._creates(name):
            return self._create(validate_name(name), NOT_GIVEN)
        return self._existing(name)

    def _creates(self, name: str) -> bool:
        return not self._shared and self.creates(name)

    def _check_caller(self) -> None:
        if get_ident() != self._owner:
            raise WrongThread("the broker belongs to another thread; use pubsub.publish()")
        if self._delivering:
            raise ReentrantCall("an outbox's callback may not call the broker; use call_soon()")

    def __repr__(self) -> str:
        return f"<Broker {len(self._topics)} topics, {len(self._clients)} clients>"


def _presence_of(topic: Topic) -> Presence:
    if topic.presence is None:
        raise NoPresence(topic.name)
    return topic.presence
