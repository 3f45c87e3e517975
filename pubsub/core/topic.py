"""One topic: its subscribers, its counters and, optionally, its history."""

from time import time_ns

from pubsub.core.client import Client
from pubsub.core.counters import TopicCounters, TopicStatistics, TotalCounters
from pubsub.core.history import History, Replay
from pubsub.core.outbox import Outbox
from pubsub.core.publication import Encode, Frame, Publication


class Topic:
    """A named channel that delivers each publication to all subscribers except the publisher.

    Args:
        name: Its name, already validated.
        encode: Encodes the event of a publication.
        history: Keeps the last messages; ``None`` to keep none.
        total: Counts what all topics count together.
    """

    __slots__ = ("_encode", "counters", "history", "name", "subscribers")

    def __init__(
        self,
        name: str,
        *,
        encode: Encode,
        history: History | None = None,
        total: TotalCounters | None = None,
    ) -> None:
        self.name = name
        self.subscribers: dict[Client, Outbox] = {}
        self.history = history
        self.counters = TopicCounters(name, total)
        self._encode = encode

    def publish(
        self,
        message_id: str,
        payload: object,
        publisher: Client | None,
        user: str | None = None,
    ) -> Publication:
        """Accept a message and offer its event to every subscriber except the publisher."""
        history, counters = self.history, self.counters
        publication = Publication(
            self.name,
            message_id,
            payload,
            None if publisher is None else publisher.id,
            time_ns() // 1_000_000,
            None if history is None else history.end + 1,
            user,
        )
        frame = publication.frame = Frame(self._encode(publication), counters)
        if history is not None:
            history.append(frame, publication.publisher_id)
        subscribers = self.subscribers
        count = len(subscribers)
        if publisher in subscribers:
            count -= 1
            counters.delivered += count
            own = subscribers[publisher]
            for outbox in subscribers.values():
                if outbox is not own:
                    outbox.offer(frame)
        else:
            counters.delivered += count
            for outbox in subscribers.values():
                outbox.offer(frame)
        counters.messages += 1
        total = counters.total
        total.messages += 1
        total.offered += count
        total.delivered += count
        publication.subscribers = count
        return publication

    def replay(self, count: int, reader: Client) -> Replay | None:
        """Return the newest ``count`` kept events that ``reader`` did not publish, if any."""
        if self.history is None:
            return None
        return self.history.replay(count, counters=self.counters, reader_id=reader.id)

    def close(self) -> None:
        """Release subscribers and history. Later losses still count in the total."""
        for client in self.subscribers:
            del client.topics[self.name]
        self.subscribers.clear()
        if self.history is not None:
            self.history.close()

    def statistics(self) -> TopicStatistics:
        """Return a snapshot of the counters."""
        return self.counters.statistics(len(self.subscribers))

    def __repr__(self) -> str:
        return f"<Topic {self.name!r}, {len(self.subscribers)} subscribers>"
