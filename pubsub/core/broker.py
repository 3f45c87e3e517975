"""The broker: it decides who gets what, and hands frames to outboxes. It does no I/O."""

import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from pubsub.core.client import Client
from pubsub.core.errors import (
    ForeignThread,
    LimitExceeded,
    NotSubscribed,
    TopicExists,
    TopicNotFound,
)
from pubsub.core.frame import Frame
from pubsub.core.history import Replay
from pubsub.core.limits import Limits
from pubsub.core.names import validate_name
from pubsub.core.outbox import Outbox, at_once
from pubsub.core.topic import Counters, Topic, TopicStatistics


@dataclass(frozen=True, slots=True)
class Statistics:
    """The broker's counters. Those of deleted topics stay in the totals."""

    uptime: float
    """Seconds since the broker was made."""

    topics: dict[str, TopicStatistics]
    clients: int
    subscribers: int
    """Subscriptions over all topics."""

    messages: int
    delivered: int
    dropped: int


class Broker:
    """Topics, clients and subscriptions of one process.

    Every method returns at once and none awaits, so each is atomic for all code of the event
    loop that calls it: there are no locks, no half-done publications, and the order of the
    messages is the order of the calls. For the same reason the broker belongs to one thread, the
    one that called `take_ownership` last (at first: the one that made it), and refuses others.

    Guarantees:
        A message reaches each subscriber of its topic once, in the order of publication, unless
        the subscriber's outbox is full; it never reaches its publisher or anybody else. After
        `disconnect` the broker holds no reference to the client.

    Args:
        limits: The bounds of topics, subscriptions and outboxes.
        describe_loss: Makes the frame that tells a client how many events of a topic it lost.
    """

    def __init__(self, limits: Limits, *, describe_loss: Callable[[str, int], Frame]) -> None:
        self.limits = limits
        self._describe_loss = describe_loss
        self._owner = threading.get_ident()
        self._started = time.monotonic()
        self._topics: dict[str, Topic] = {}
        self._clients: dict[str, Client] = {}
        self._deleted = Counters()

    def take_ownership(self) -> None:
        """Make the calling thread the only one that may use the broker."""
        self._owner = threading.get_ident()

    @property
    def client_count(self) -> int:
        """The number of connected clients."""
        return len(self._clients)

    def connect(
        self,
        *,
        on_frames: Callable[[], None],
        on_full: Callable[[], None],
        on_overflow: Callable[[], None],
        schedule: Callable[[Callable[[], None]], None] = at_once,
    ) -> Client:
        """Admit a client, with an id and an outbox of its own (see `Outbox` for the callbacks)."""
        self._check_thread()
        outbox = Outbox(
            self.limits,
            describe_loss=self._describe_loss,
            on_frames=on_frames,
            schedule=schedule,
            on_full=on_full,
            on_overflow=on_overflow,
        )
        client = Client(str(uuid.uuid4()), outbox)
        self._clients[client.id] = client
        return client

    def disconnect(self, client: Client) -> None:
        """Let a client go: it leaves every topic, and its outbox is closed. Safe to call twice."""
        self._check_thread()
        self._clients.pop(client.id, None)
        for topic in client.topics.values():
            del topic.subscribers[client]
        client.topics.clear()
        client.outbox.close()

    def create_topic(self, name: str, *, history_size: int | None = None) -> Topic:
        """Create a topic that keeps ``history_size`` messages (``None``: as the limits say).

        Raises:
            InvalidTopicName: The name breaks the rule.
            TopicExists: There is one already.
            LimitExceeded: There are too many.
        """
        self._check_thread()
        validate_name(name)
        if name in self._topics:
            raise TopicExists(name)
        if len(self._topics) >= self.limits.max_topics:
            raise LimitExceeded("topics", self.limits.max_topics)
        if history_size is None:
            history_size = self.limits.history_size
        topic = self._topics[name] = Topic(name, history_size=history_size)
        return topic

    def delete_topic(self, name: str, notice: Frame) -> None:
        """Delete a topic; its subscribers get ``notice`` and stay connected.

        Raises:
            TopicNotFound: There is none of this name.
        """
        self._check_thread()
        topic = self._topics.pop(name, None)
        if topic is None:
            raise TopicNotFound(name)
        for outbox in topic.subscribers.values():
            outbox.put_reply(notice)
        topic.close(self._deleted)

    def subscribe(self, client: Client, name: str, *, last_n: int = 0) -> Replay | None:
        """Subscribe a client, and return the past events to replay to it, if there are any.

        The caller puts its acknowledgement and then the replay into the outbox before it
        awaits anything; then there is neither a gap nor a repetition before the live events. A
        client that is subscribed already stays so, and gets no replay a second time.

        Raises:
            TopicNotFound, InvalidTopicName: There is no such topic; there can be none.
            LimitExceeded: The client has too many subscriptions, or there are too many topics.
        """
        self._check_thread()
        if name in client.topics:
            return None
        if len(client.topics) >= self.limits.max_subscriptions:
            # A missing or impossible topic is the better answer, even for a client at its limit.
            if self.limits.auto_create_topics:
                validate_name(name)
            else:
                self._existing(name)
            raise LimitExceeded("subscriptions", self.limits.max_subscriptions)
        topic = self._existing_or_created(name)
        topic.subscribers[client] = client.outbox
        client.topics[name] = topic
        return topic.replay(last_n, client)

    def unsubscribe(self, client: Client, name: str) -> None:
        """End a subscription.

        Raises:
            NotSubscribed, InvalidTopicName: There is none; there can be none.
        """
        self._check_thread()
        topic = client.topics.pop(name, None)
        if topic is None:
            raise NotSubscribed(validate_name(name))
        del topic.subscribers[client]

    def publish(self, name: str, frame: Frame, *, publisher: Client | None = None) -> int:
        """Put one event into the outbox of every subscriber of a topic but the publisher.

        Returns:
            How many those are, the ones whose outbox is full among them.

        Raises:
            TopicNotFound, InvalidTopicName: There is no such topic; there can be none.
            LimitExceeded: The topic would be created, and there are too many.
            ForeignThread: Called from a thread that does not own the broker.
        """
        self._check_thread()
        topic = self._topics.get(name) or self._existing_or_created(name)
        return topic.publish(frame, publisher)

    def subscriber_counts(self) -> dict[str, int]:
        """Return the number of subscribers of each topic, sorted by the topics' names."""
        self._check_thread()
        return {name: len(self._topics[name].subscribers) for name in sorted(self._topics)}

    def subscriptions(self) -> dict[str, list[str]]:
        """Return each connected client's topics, in the order in which they were subscribed."""
        self._check_thread()
        return {client.id: list(client.topics) for client in self._clients.values()}

    def statistics(self) -> Statistics:
        """Return the counters as they stand."""
        self._check_thread()
        topics = {name: self._topics[name].statistics() for name in sorted(self._topics)}
        total = Counters()
        total.add(self._deleted)
        for topic in self._topics.values():
            total.add(topic.counters)
        return Statistics(
            uptime=time.monotonic() - self._started,
            topics=topics,
            clients=len(self._clients),
            subscribers=sum(topic.subscribers for topic in topics.values()),
            messages=total.messages,
            delivered=total.delivered,
            dropped=total.dropped,
        )

    def _existing(self, name: str) -> Topic:
        topic = self._topics.get(name)
        if topic is None:
            raise TopicNotFound(validate_name(name))
        return topic

    def _existing_or_created(self, name: str) -> Topic:
        if self.limits.auto_create_topics and name not in self._topics:
            return self.create_topic(name)
        return self._existing(name)

    def _check_thread(self) -> None:
        if threading.get_ident() != self._owner:
            raise ForeignThread("the broker belongs to another thread; use pubsub.publish()")

    def __repr__(self) -> str:
        return f"<Broker {len(self._topics)} topics, {len(self._clients)} clients>"
