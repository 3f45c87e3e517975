"""The broker compared with a plain model of it, for any sequence of calls (Hypothesis).

The model has lists where the broker has queues, and predicts what every client receives.
"""

import gc
import weakref
from dataclasses import dataclass, field

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


@dataclass
class ModelClient:
    """One client's topics, and the frames queued for it."""

    topics: set[str] = field(default_factory=set)
    waiting: list[tuple[str | list[str], str | None]] = field(default_factory=list)
    """Each text with the topic of which it is an event, or each replay as a list of texts."""

    lost: dict[str, int] = field(default_factory=dict)
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
        self.topics: dict[str, list[tuple[str, str | None]]] = {}
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
            self.topics[name] = []

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        """A topic is deleted."""
        if name not in self.topics:
            with pytest.raises(TopicNotFound):
                self.broker.delete_topic(name, reply(f"{name} deleted"))
            return
        self.broker.delete_topic(name, reply(f"{name} deleted"))
        del self.topics[name]
        for model in self.model.values():
            if name in model.topics:
                model.topics.remove(name)
                model.waiting.append((f"{name} deleted", None))

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
        own = self.topics[name]
        expected = (
            [text for text, publisher in own if publisher != client][-last_n:] if last_n else []
        )
        if name in model.topics:
            expected = []
        assert (replay.remaining if replay else 0) == len(expected)
        model.topics.add(name)
        if replay:
            self.find(client).outbox.put_replay(replay)
            model.waiting.append(([name, *expected], None))

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
        self.topics[name] = [*self.topics[name], (text, client)][-HISTORY:]
        self.messages += 1
        self.delivered += count
        for model in subscribers:
            self.offer(model, text, name)

    def offer(self, model: ModelClient, text: str, name: str) -> None:
        """Apply the overflow policy to the model."""
        if len(model.waiting) >= QUEUE_SIZE:
            events = [index for index, (_, topic) in enumerate(model.waiting) if topic is not None]
            if self.overflow is Overflow.DROP_NEWEST or not events:
                self.lose(model, name)
                return
            while len(model.waiting) >= QUEUE_SIZE and events:
                _, topic = model.waiting.pop(events[0])
                assert topic is not None
                self.lose(model, topic)
                events = [i for i, (_, topic) in enumerate(model.waiting) if topic is not None]
            if len(model.waiting) >= QUEUE_SIZE:
                self.lose(model, name)
                return
        model.waiting.append((text, name))

    def lose(self, model: ModelClient, topic: str) -> None:
        """Count an event as lost that was counted as delivered."""
        model.lost[topic] = model.lost.get(topic, 0) + 1
        model.dropped += 1
        self.dropped += 1
        self.delivered -= 1

    @rule(client=clients)
    def read(self, client: str) -> None:
        """A client's write pump takes everything queued."""
        model = self.model[client]
        notices = [f"{topic} lost {count}" for topic, count in model.lost.items()]
        texts: list[str] = []
        for waiting, _ in model.waiting:
            texts += [waiting] if isinstance(waiting, str) else self.replayed(model, *waiting)
        oldest = self.overflow is Overflow.DROP_OLDEST
        assert read(self.find(client)) == (notices + texts if oldest else texts + notices)
        self.model[client] = ModelClient(topics=model.topics, dropped=model.dropped)

    def replayed(self, model: ModelClient, name: str, *expected: str) -> list[str]:
        """Return the rest of a replay, part of which may have been evicted or deleted."""
        kept = {text for text, _ in self.topics.get(name, [])}
        texts = [text for text in expected if text in kept]
        lost = len(expected) - len(texts)
        model.dropped += lost
        self.dropped += lost
        return [f"{name} lost {lost}", *texts] if lost else texts

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
        gc.collect()
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
