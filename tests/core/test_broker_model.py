"""The broker compared with a plain model of it, for any sequence of calls (Hypothesis).

The model has lists where the broker has queues, and predicts what every client receives.
"""

import gc
import weakref
from dataclasses import dataclass, field
from typing import NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
)

from pubsub.core.broker import Broker
from pubsub.core.client import Client
from pubsub.core.errors import (
    LimitExceeded,
    NotSubscribed,
    TopicExists,
    TopicNotFound,
)
from pubsub.core.options import Overflow
from pubsub.core.outbox import Outbox
from tests.core.support import join, make_broker, one_slice, publish, read, reply

NAMES = st.sampled_from(["a", "b", "c", "d"])
QUEUE_SIZE = 4
MAX_TOPICS = 3
MAX_SUBSCRIPTIONS = 2
HISTORY = 3


class Event(NamedTuple):
    """A message of a topic, which a client may lose."""

    topic: "ModelTopic"
    offset: int
    text: str
    publisher: str | None


@dataclass(eq=False)
class ModelTopic:
    """One topic from its creation to its deletion, and what its history keeps."""

    name: str
    end: int = 0
    kept: list[Event] = field(default_factory=list)


@dataclass
class ModelClient:
    """One client's topics, and the frames queued for it."""

    topics: set[str] = field(default_factory=set)
    waiting: list[str | Event | list[Event]] = field(default_factory=list)
    """Replies, events, and the events of each replay."""

    lost: dict[ModelTopic, list[Event]] = field(default_factory=dict)
    dropped: int = 0


class BrokerMachine(RuleBasedStateMachine):
    """Every rule makes the same change to the broker and the model, and compares the two."""

    overflow = Overflow.DROP_NEWEST
    clients = Bundle("clients")

    def __init__(self) -> None:
        super().__init__()
        self.broker: Broker = make_broker(
            queue_size=QUEUE_SIZE,
            max_topics=MAX_TOPICS,
            max_subscriptions=MAX_SUBSCRIPTIONS,
            history_size=HISTORY,
            overflow=self.overflow,
        )
        self.model: dict[str, ModelClient] = {}
        self.topics: dict[str, ModelTopic] = {}
        self.gone: list[weakref.ref[Outbox]] = []
        self.number = 0
        self.messages = self.delivered = self.dropped = 0

    @initialize()
    def create_the_first(self) -> None:
        """Most sequences would otherwise have no topic for most of their steps."""
        self.create("a")

    @rule(target=clients)
    def connect(self) -> str:
        """A client connects."""
        client = join(self.broker)
        self.model[client.id] = ModelClient()
        return client.id

    @rule(client=consumes(clients))
    def disconnect(self, client: str) -> None:
        """A client disconnects."""
        self.gone.append(weakref.ref(self.find(client).outbox))
        self.broker.disconnect(self.find(client))
        del self.model[client]

    @rule(name=NAMES)
    def create(self, name: str) -> None:
        """A topic is created."""
        if name in self.topics:
            with pytest.raises(TopicExists):
                self.broker.create_topic(name)
        elif len(self.topics) == MAX_TOPICS:
            with pytest.raises(LimitExceeded):
                self.broker.create_topic(name)
        else:
            self.broker.create_topic(name)
            self.topics[name] = ModelTopic(name)

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        """A topic is deleted."""
        if name not in self.topics:
            with pytest.raises(TopicNotFound):
                self.broker.delete_topic(name, reply(f"{name} deleted"))
            return
        self.broker.delete_topic(name, reply(f"{name} deleted"))
        self.topics.pop(name).kept.clear()
        for model in self.model.values():
            if name in model.topics:
                model.topics.remove(name)
                model.waiting.append(f"{name} deleted")

    @rule(client=clients, name=NAMES, last_n=st.integers(0, HISTORY + 1))
    def subscribe(self, client: str, name: str, last_n: int) -> None:
        """A client subscribes and gets its replay."""
        model = self.model[client]
        if name not in self.topics:
            with pytest.raises(TopicNotFound):
                self.broker.subscribe(self.find(client), name, last_n=last_n)
            return
        if name not in model.topics and len(model.topics) == MAX_SUBSCRIPTIONS:
            with pytest.raises(LimitExceeded):
                self.broker.subscribe(self.find(client), name, last_n=last_n)
            return
        replay = self.broker.subscribe(self.find(client), name, last_n=last_n).replay
        kept = self.topics[name].kept
        expected = [each for each in kept if each.publisher != client][-last_n:]
        if name in model.topics or not last_n:
            expected = []
        assert (replay.remaining if replay else 0) == len(expected)
        model.topics.add(name)
        if replay:
            self.find(client).outbox.put_replay(replay)
            model.waiting.append(expected)

    @rule(client=clients, name=NAMES)
    def unsubscribe(self, client: str, name: str) -> None:
        """A client unsubscribes."""
        if name in self.model[client].topics:
            self.broker.unsubscribe(self.find(client), name)
            self.model[client].topics.remove(name)
        else:
            with pytest.raises(NotSubscribed):
                self.broker.unsubscribe(self.find(client), name)

    @rule(client=st.none() | clients, name=NAMES, times=st.sampled_from([1, 1, QUEUE_SIZE]))
    def publish_often(self, client: str | None, name: str, times: int) -> None:
        """A client, or the server itself, publishes; sometimes as much as fills an outbox."""
        for _ in range(times):
            self.publish(client, name)

    def publish(self, client: str | None, name: str) -> None:
        """Publish once."""
        self.number += 1
        text = str(self.number)
        publisher = self.find(client) if client else None
        if name not in self.topics:
            with pytest.raises(TopicNotFound):
                publish(self.broker, name, text, publisher)
            return
        subscribers = [
            model
            for client_id, model in self.model.items()
            if name in model.topics and client_id != client
        ]
        count = publish(self.broker, name, text, publisher)
        assert count == len(subscribers)
        topic = self.topics[name]
        topic.end += 1
        event = Event(topic, topic.end, text, client)
        topic.kept = [*topic.kept, event][-HISTORY:]
        self.messages += 1
        self.delivered += count
        for model in subscribers:
            self.offer(model, event)

    def offer(self, model: ModelClient, event: Event) -> None:
        """Apply the overflow policy to the model."""
        if self.overflow is Overflow.DROP_OLDEST:
            while len(model.waiting) >= QUEUE_SIZE:
                oldest = next((each for each in model.waiting if isinstance(each, Event)), None)
                if oldest is None:
                    break
                model.waiting.remove(oldest)
                self.lose(model, oldest)
        if len(model.waiting) >= QUEUE_SIZE:
            self.lose(model, event)
        else:
            model.waiting.append(event)

    def lose(self, model: ModelClient, event: Event) -> None:
        """Count an event as lost that was counted as delivered."""
        model.lost.setdefault(event.topic, []).append(event)
        model.dropped += 1
        self.dropped += 1
        self.delivered -= 1

    @rule(client=clients)
    def read(self, client: str) -> None:
        """A client's write pump takes everything queued."""
        model = self.model[client]
        notices = [self.notice(lost) for lost in model.lost.values()]
        texts: list[str] = []
        for waiting in model.waiting:
            if isinstance(waiting, list):
                texts += self.replayed(model, waiting)
            else:
                texts.append(waiting if isinstance(waiting, str) else waiting.text)
        if self.overflow is Overflow.DROP_OLDEST:
            notices.reverse()  # each is put before all that waits
            texts = notices + texts
        else:
            texts += notices
        assert read(self.find(client)) == texts
        self.model[client] = ModelClient(topics=model.topics, dropped=model.dropped)

    def notice(self, lost: list[Event]) -> str:
        """Return the notice of a loss."""
        first, last = lost[0], lost[-1]
        return f"{first.topic.name} lost {len(lost)}, {first.offset} to {last.offset}"

    def replayed(self, model: ModelClient, expected: list[Event]) -> list[str]:
        """Return the rest of a replay, part of which may have been evicted or deleted."""
        kept = expected[0].topic.kept
        lost = [each for each in expected if each not in kept]
        model.dropped += len(lost)
        self.dropped += len(lost)
        notices = [self.notice(lost)] if lost else []
        return notices + [each.text for each in expected if each in kept]

    @invariant()
    def same_subscriptions(self) -> None:
        """The broker and the model have the same clients with the same topics."""
        held = {client: set(topics) for client, topics in self.broker.subscriptions().items()}
        assert held == {client: model.topics for client, model in self.model.items()}
        assert self.broker.subscriber_counts() == {
            name: sum(name in model.topics for model in self.model.values())
            for name in sorted(self.topics)
        }

    @invariant()
    def same_totals(self) -> None:
        """The totals, which are counted as they change, equal a recount."""
        totals = self.broker.statistics()
        assert (totals.messages, totals.delivered, totals.dropped) == (
            self.messages,
            self.delivered,
            self.dropped,
        )
        topics = dict(one_slice(self.broker.topic_slices())) if self.topics else {}
        assert totals.topics == len(topics) == self.broker.count_topics() == len(self.topics)
        assert totals.clients == len(self.model)
        assert totals.subscribers == sum(each.subscribers for each in topics.values())

    @invariant()
    def same_listings(self) -> None:
        """The listings have every topic and every client, in order, with its figures."""
        topics = one_slice(self.broker.topic_slices()) if self.topics else []
        assert [name for name, _ in topics] == sorted(self.topics)
        clients = one_slice(self.broker.client_slices()) if self.model else []
        assert [(each.id, set(each.topics), each.queued, each.dropped) for each in clients] == [
            (client_id, model.topics, len(model.waiting), model.dropped)
            for client_id, model in self.model.items()
        ]

    def teardown(self) -> None:
        """Nothing refers to a client that has disconnected."""
        if any(ref() is not None for ref in self.gone):
            gc.collect()  # slow, and seldom needed
        assert [ref() for ref in self.gone if ref() is not None] == []

    def find(self, client: str) -> Client:
        """Return the broker's object for a client's id."""
        return self.broker._clients[client]


class DropOldestMachine(BrokerMachine):
    """The same machine with the `drop_oldest` policy."""

    overflow = Overflow.DROP_OLDEST


SETTINGS = settings(max_examples=60, stateful_step_count=40)


class TestDropNewest(BrokerMachine.TestCase):
    """The broker behaves as the model does with `drop_newest`."""

    settings = SETTINGS


class TestDropOldest(DropOldestMachine.TestCase):
    """The broker behaves as the model does with `drop_oldest`."""

    settings = SETTINGS
