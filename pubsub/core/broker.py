"""The broker: it decides who gets which message, and fills the outboxes. It does no I/O."""

import time
import uuid
from collections.abc import Callable
from threading import get_ident
from time import perf_counter
from typing import Any

from pubsub.core.client import Client, Publisher
from pubsub.core.configuration import Configuration
from pubsub.core.errors import (
    LimitExceeded,
    NoPresence,
    NotSubscribed,
    TopicExists,
    TopicNotFound,
)
from pubsub.core.histogram import Histogram
from pubsub.core.history import History
from pubsub.core.loss import Loss
from pubsub.core.members import Presences
from pubsub.core.names import validate_name
from pubsub.core.notices import Notice
from pubsub.core.once import RecentIds
from pubsub.core.options import NOT_GIVEN, GivenOptions, Overflow, TopicOptions
from pubsub.core.outbox import Outbox, at_once
from pubsub.core.presence import Presence
from pubsub.core.publication import Encode, Frame, Publication
from pubsub.core.state import BrokerState, presence_of
from pubsub.core.timer import CallLater, on_running_loop
from pubsub.core.topic import Recover, Subscribed, Topic

PUBLISH_BOUNDS = (
    *(0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1),
    0.25,
)
"""Bounds in seconds for the time that a publication takes."""

TIMED_EVERY = 16
"""One publication in so many is timed, because two looks at the clock cost as much as the rest
of what is counted for it. A power of two."""

_UNTIMED = TIMED_EVERY - 1


class Broker(BrokerState):
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
        clock: Callable[[], float] = time.monotonic,
        call_later: CallLater = on_running_loop,
    ) -> None:
        super().__init__(config, clock)
        self._encode = encode
        self._encode_kept = encode_kept or encode
        self._describe_loss = describe_loss
        self._announce: Callable[[Publication], None] | None = None
        self._clock = clock
        self._recent_ids = RecentIds(config.once_seconds, clock)
        self._presences = Presences(
            config, describe=describe_presence, clock=clock, call_later=call_later
        )
        self._default_options = TopicOptions(history=config.history_size, overflow=config.overflow)
        self.publish_seconds = Histogram(PUBLISH_BOUNDS)
        """Time to accept a message, encode it and fill the outboxes, of one in `TIMED_EVERY`."""
        self._create_configured()

    def take_ownership(self) -> None:
        """Make the calling thread the only one that may use the broker, on its event loop."""
        self._owner = get_ident()
        self._presences.timer.restart()

    def announce_to(self, announce: Callable[[Publication], None]) -> None:
        """Have a function called once for every publication, whoever published it.

        This is the seam for other processes. The function is called after the subscribers here
        have got the message. It must return at once, and must not raise.
        """
        self._announce = announce

    # --- Clients ---

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
        client.topics.clear()
        client.outbox.close()

    # --- Topics ---

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

    def delete_topic(self, name: str, notice: Frame) -> None:
        """Delete a topic; its subscribers get ``notice`` and stay connected.

        Raises:
            TopicNotFound: The topic does not exist.
        """
        self._check_caller()
        if name not in self._topics:
            raise TopicNotFound(name)
        self._remove(name, notice)

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

    def _create_configured(self) -> None:
        """Create the topics that exist from the start."""
        for name in self.config.topics.names:
            self._create(name, NOT_GIVEN)

    def _create(self, name: str, given: GivenOptions) -> Topic:
        if name in self._topics:
            raise TopicExists(name)
        if len(self._topics) >= self.config.max_topics:
            raise LimitExceeded("topics", self.config.max_topics)
        return self._install(name, self.options_for(name, given), None)

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

    def _new_history(self, options: TopicOptions) -> History | None:
        if not options.history:
            return None
        return History(options.history, self._histories, options.history_seconds)

    def _remove(self, name: str, notice: Frame) -> None:
        topic = self._topics.pop(name)
        self._topics_by_name.remove(topic)
        self._subscriptions -= len(topic.subscribers)
        for outbox in topic.subscribers.values():
            outbox.put_reply(notice)
        topic.close()
        self._recent_ids.forget_topic(topic.once_ids)

    def _existing_or_created(self, name: str) -> Topic:
        if name not in self._topics and self._creates(name):
            return self._create(validate_name(name), NOT_GIVEN)
        return self._existing(name)

    def _creates(self, name: str) -> bool:
        return self.creates(name)

    # --- Subscriptions ---

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
            subscribed = subscribed._replace(presence=presence_of(topic).watch(client))
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
        if topic.presence is not None:
            topic.presence.join(client)
        return topic

    def _check_presence(self, name: str) -> None:
        """Check that a topic has presence, before it may have to be created."""
        if name not in self._topics and self._creates(name):
            options = self.options_for(validate_name(name))
        else:
            options = self._existing(name).options
        if not options.presence:
            raise NoPresence(name)

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
        if topic.presence is not None:
            topic.presence.leave(client)

    # --- Messages ---

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

    def forget_expired(self) -> bool:
        """Release messages and ids that have expired; return whether there are more of them.

        Call it now and then: they no longer count anyway, but take memory. One call takes a few
        milliseconds at most.
        """
        self._check_caller()
        more_events = self._histories.expire()
        return self._recent_ids.forget_expired() or more_events
