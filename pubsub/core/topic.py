"""One topic: its subscribers, its counters and, optionally, its history."""

import secrets
import string
from time import time_ns
from typing import NamedTuple

from pubsub.core.client import Client, Publisher, shared_name
from pubsub.core.counters import TopicCounters, TopicStatistics, TotalCounters
from pubsub.core.errors import NoHistory
from pubsub.core.history import History, KeptFrame
from pubsub.core.notices import Notice
from pubsub.core.once import First, Ids, Repetition
from pubsub.core.options import TopicOptions
from pubsub.core.outbox import Outbox
from pubsub.core.presence import Presence
from pubsub.core.publication import Encode, Frame, Position, Publication
from pubsub.core.replay import Replay

MAX_PAGE_BYTES = 256 * 1024
"""Bytes of the events in one `HistoryPage`; a single event may exceed them."""

_DIGITS = string.digits + string.ascii_letters


class Recover(NamedTuple):
    """What a returning subscriber asks for: every message after a position."""

    since: Position
    client_id: str | None = None
    """Its former id, whose messages are left out as they would have been live."""


class HistoryPage(NamedTuple):
    """Some of the messages that a topic keeps, oldest first."""

    position: Position
    """Of the newest message of the topic."""

    complete: bool
    """Whether no message is missing between the position asked for, or the first one here, and the
    last one here."""

    frames: list[KeptFrame]
    """Their events."""


class Subscribed(NamedTuple):
    """What a subscription begins with."""

    replay: Replay | None = None
    """The past events to send before the live ones, if there are any."""

    position: Position | None = None
    """Where the live events begin; ``None`` if the topic keeps no history."""

    recovered: bool | None = None
    """Whether the replay is everything after the position that was asked for; ``None`` if none
    was."""

    presence: Notice | None = None
    """Who is there, for a subscriber that asked."""

    passed: int = 0
    """The number of the subscriber's own messages that were looked at and left out."""

    @property
    def replayed(self) -> int:
        """The number of events in the replay."""
        return 0 if self.replay is None else self.replay.remaining


NOTHING_PAST = Subscribed()
"""A subscription that begins with what comes next, like nearly all of them."""


class Topic:
    """A named channel that delivers each publication to all subscribers except the publisher.

    Args:
        name: Its name, already validated.
        encode: Encodes the event of a publication.
        options: Its options.
        history: Keeps the last messages; ``None`` to keep none.
        presence: Counts the subscribers; ``None`` if nobody may ask who is there.
        total: Counts what all topics count together.
        epoch: Of its positions, if it keeps history; by default a new one.
    """

    __slots__ = (
        *("_encode", "counters", "epoch", "history", "name", "once_ids", "options", "presence"),
        "subscribers",
    )

    def __init__(
        self,
        name: str,
        *,
        encode: Encode,
        options: TopicOptions | None = None,
        history: History | None = None,
        presence: Presence | None = None,
        total: TotalCounters | None = None,
        epoch: str | None = None,
    ) -> None:
        self.name = name
        self.subscribers: dict[Client, Outbox] = {}
        self.options = options or TopicOptions()
        self.history = history
        self.presence = presence
        self.epoch = "" if history is None else epoch or new_epoch()
        self.once_ids: Ids = Ids()
        """The ids of messages that must not be delivered again."""
        self.counters = TopicCounters(name, total, self.options.overflow)
        self._encode = encode

    def publish(
        self,
        message_id: str,
        payload: object,
        publisher: Publisher | None,
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
            None if history is None else history.offset + 1,
            user,
        )
        event = self._encode(publication)
        if history is None:
            frame = publication.frame = Frame(event, counters)
        else:
            frame = publication.frame = KeptFrame(event, counters, history)
            history.append(frame, publication.publisher_id)
        # What follows is `_offer`, written out: a call more for each publication can be measured.
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

    def _offer(self, frame: Frame, publisher: Publisher | None) -> int:
        """Offer an event to every subscriber except the publisher; return their number."""
        subscribers, counters = self.subscribers, self.counters
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
        total = counters.total
        total.offered += count
        total.delivered += count
        return count

    # --- What other processes have accepted ---

    def deliver(self, event: bytes, publisher: Publisher | None) -> int:
        """Offer an event that another process has accepted; return the number of subscribers."""
        return self._offer(Frame(event, self.counters), publisher)

    def deliver_kept(
        self,
        event: bytes,
        offset: int,
        publisher_name: str | None,
        publisher: Publisher | None,
        age: float = 0.0,
    ) -> None:
        """Keep and offer an event with its place in the order that all processes share.

        Args:
            event: The encoded event.
            offset: Its offset, which must be above that of all events before.
            publisher_name: The `shared_name` of the publishing client, in whatever process; or
                ``None``.
            publisher: The client of this process that gets no copy, if there is one.
            age: Seconds since it was accepted.
        """
        history = self.history
        assert history is not None  # noqa: S101  # only such topics share an order
        frame = KeptFrame(event, self.counters, history, offset)
        history.append(frame, publisher_name, age)
        self._offer(frame, publisher)

    def count_accepted(self) -> None:
        """Count a message that this process has accepted, and that is delivered as another's."""
        self.counters.messages += 1
        self.counters.total.messages += 1

    def begin_again(self, epoch: str) -> None:
        """Begin a new epoch: forget all kept events, because their order was lost."""
        assert self.history is not None  # noqa: S101  # only such topics have epochs
        self.epoch = epoch
        self.history.begin_after(0)

    def repetition(self, message_id: str, first: First) -> Repetition:
        """Return the answer to a message that was delivered before."""
        now = time_ns() // 1_000_000
        again = Repetition(self.name, message_id, None, None, now, first.offset)
        again.subscribers = first.subscribers
        return again

    @property
    def position(self) -> Position | None:
        """The position of the newest message; ``None`` if the topic keeps no history."""
        return None if self.history is None else Position(self.epoch, self.history.offset)

    def past(self, reader: Client, last_n: int, recover: Recover | None, limit: int) -> Subscribed:
        """Return what a new subscription of ``reader`` begins with.

        Args:
            reader: The subscriber; its own messages are left out.
            last_n: The number of past events to replay, unless others are recovered.
            recover: The position after which the reader wants every message.
            limit: The number of messages that can be recovered.
        """
        history, position = self.history, self.position
        if history is not None:
            history.expire()
        if history is None or position is None:
            return NOTHING_PAST if recover is None else Subscribed(recovered=False)
        if recover is not None and self._can_recover(history, recover.since, limit):
            own = _names_of(reader, recover.client_id)
            missed = Replay.of_all_after(recover.since.offset, history, self.counters, own)
            return _beginning(missed, position, True)
        replay = Replay.of_newest(last_n, history, self.counters, _names_of(reader))
        return _beginning(replay, position, None if recover is None else False)

    def history_page(self, since: Position | None, limit: int) -> HistoryPage:
        """Return kept messages; see `Broker.history`.

        Raises:
            NoHistory: The topic keeps none.
        """
        history = self.history
        if history is None:
            raise NoHistory(self.name)
        history.expire()
        position = Position(self.epoch, history.offset)
        if since is None:
            return HistoryPage(position, True, history.newest(limit, MAX_PAGE_BYTES))
        is_known = since.epoch == self.epoch and since.offset <= history.offset
        start = max(since.offset, history.gone) if is_known else history.gone
        frames = history.oldest_after(start, limit, MAX_PAGE_BYTES)
        return HistoryPage(position, is_known and start == since.offset, frames)

    def again(self, recover: Recover | None) -> Subscribed:
        """Return what a repeated subscription gets, which is no past event."""
        position, recovered = self.position, None if recover is None else False
        if position is None and recovered is None:
            return NOTHING_PAST
        return Subscribed(None, position, recovered)

    def _can_recover(self, history: History, since: Position, limit: int) -> bool:
        if since.epoch != self.epoch or not history.gone <= since.offset <= history.offset:
            return False
        return history.end - history.number_at(since.offset) <= limit

    def close(self) -> None:
        """Release subscribers and history. Later losses still count in the total."""
        for client in self.subscribers:
            del client.topics[self.name]
        self.subscribers.clear()
        if self.presence is not None:
            self.presence.close()
        if self.history is not None:
            self.history.close()

    def statistics(self) -> TopicStatistics:
        """Return a snapshot of the counters."""
        return self.counters.statistics(len(self.subscribers))

    def __repr__(self) -> str:
        return f"<Topic {self.name!r}, {len(self.subscribers)} subscribers>"


def _beginning(replay: Replay, position: Position, recovered: bool | None) -> Subscribed:
    past = replay if replay.remaining else None
    return Subscribed(past, position, recovered, passed=replay.own)


def _names_of(reader: Client, former_id: str | None = None) -> frozenset[str]:
    """Return the names under which a reader has published, also with its former id."""
    ids = (reader.id,) if former_id is None else (reader.id, former_id)
    return frozenset(ids).union(shared_name(client_id, reader.user) for client_id in ids)


def new_epoch() -> str:
    """Return 48 random bits: enough for no two topics of any process to share one."""
    return "".join(secrets.choice(_DIGITS) for _ in range(8))
