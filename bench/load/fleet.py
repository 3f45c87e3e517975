"""The subscribers and the publisher of a load in which connections are lost, and their tally."""

import random
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from bench.load.dialects import Dialect
from bench.load.links import OPENING_TIMEOUT, Link
from bench.load.loop import Loop
from bench.load.sessions import Session
from bench.load.websocket import UNDER_WAY

TEXT_MARK = b'"text":"'
"""What comes before the number of a message, in every event and nowhere else."""

DIGITS = 8
PADDING = "x" * 72

SETTLE_TIMEOUT = 15.0
"""Seconds for what is still under way after the last publication; afterwards it is lost."""


@dataclass
class Tally:
    """What happened to all subscribers."""

    opened: int = 0
    """Subscriptions that were acknowledged."""

    recovered: int = 0
    """Clients that were told that they missed nothing."""

    not_recovered: int = 0
    """Clients that were told that they may have missed messages."""

    received: int = 0
    duplicates: int = 0
    out_of_order: int = 0
    """Messages that were older than the one before, on whatever connection that came."""

    opening_seconds: list[float] = field(default_factory=list)
    """From each beginning of a connection to its acknowledged subscription."""

    def restart(self) -> None:
        """Forget the subscriptions so far."""
        self.opened = self.recovered = self.not_recovered = 0
        self.opening_seconds.clear()


class Subscriber(Link):
    """A subscriber that knows which messages it got.

    Args:
        tally: What happens to it is counted there.
        messages: The most messages that are published.
    """

    def __init__(
        self, loop: Loop, session: Session, delays: random.Random, tally: Tally, messages: int
    ) -> None:
        super().__init__(loop, session, delays)
        self.ready_since = 0.0
        """When it was last subscribed, by `time.perf_counter`."""
        self._seen = bytearray(messages)
        self._newest = -1
        self._tally = tally

    def take(self, text: bytes) -> None:
        """Record an event; anything else is for the session."""
        mark = text.find(TEXT_MARK)
        if mark < 0:
            super().take(text)
            return
        start = mark + len(TEXT_MARK)
        number = int(text[start : start + DIGITS])
        self.session.last_event = text
        if self._seen[number]:
            self._tally.duplicates += 1
            return
        self._seen[number] = 1
        self._tally.received += 1
        self._tally.out_of_order += number < self._newest
        self._newest = number

    def became_ready(self) -> None:
        """Record the subscription."""
        self.ready_since = time.perf_counter()
        self._tally.opened += 1
        self._tally.opening_seconds.append(self.ready_since - self._begin)
        self._tally.recovered += self.session.recovered is True
        self._tally.not_recovered += self.session.recovered is False


class Publisher(Link):
    """A publisher that keeps messages while it has no connection.

    What was not acknowledged when a connection is lost it publishes again, so that no message is
    lost on the way to the server, but one may be published twice.
    """

    def __init__(self, loop: Loop, dialect: Dialect, topic: str, delays: random.Random) -> None:
        super().__init__(loop, dialect.session(None), delays)
        self._dialect = dialect
        self._topic = topic
        self._due: deque[int] = deque()
        self._unacknowledged: deque[int] = deque()
        self.published = 0
        self.unknown = 0
        """Messages of which it is not known whether they were published before a loss."""

    def publish(self) -> None:
        """Publish the next message, now or as soon as there is a connection."""
        self._due.append(self.published)
        self.published += 1
        if self.ready:
            try:
                self._flush()
            except OSError:
                self.lost()

    def take(self, text: bytes) -> None:
        """Count acknowledgements."""
        was_ready = self.ready
        super().take(text)
        if was_ready and self._unacknowledged:
            self._unacknowledged.popleft()

    def lost(self) -> None:
        """Publish again what was not acknowledged."""
        self.unknown += len(self._unacknowledged)
        self._due.extendleft(reversed(self._unacknowledged))
        self._unacknowledged.clear()
        super().lost()

    def became_ready(self) -> None:
        """Publish what was due meanwhile."""
        self._flush()

    def _flush(self) -> None:
        while self._due:
            text = f"{self._due[0]:0{DIGITS}}{PADDING}"
            self._send(self._dialect.publish(self._topic, text))
            self._unacknowledged.append(self._due.popleft())


def open_all(loop: Loop, links: Iterable[Link]) -> None:
    """Connect them, `UNDER_WAY` at a time, and wait until all are ready.

    Raises:
        TimeoutError: None became ready for `OPENING_TIMEOUT` seconds.
    """
    waiting, opening = deque(links), set[Link]()
    deadline = time.perf_counter() + OPENING_TIMEOUT
    while waiting or opening:
        while waiting and len(opening) < UNDER_WAY:
            opening.add(waiting[0])
            waiting.popleft().connect()
        loop.turn()
        if done := {link for link in opening if link.ready}:
            opening -= done
            deadline = time.perf_counter() + OPENING_TIMEOUT
        if time.perf_counter() > deadline:
            raise TimeoutError(f"{len(waiting) + len(opening)} clients cannot subscribe")


def settle(
    loop: Loop, tally: Tally, subscribers: Iterable[Subscriber], expected: int, quiet: float
) -> None:
    """Wait until no delivery is missing and all subscribers are connected, or for `SETTLE_TIMEOUT`.

    Args:
        loop: Drives the subscribers.
        tally: Counts their deliveries.
        subscribers: The subscribers.
        expected: How many deliveries there should be in the end.
        quiet: Seconds without a delivery after which no more is expected.
    """
    deadline = time.perf_counter() + SETTLE_TIMEOUT
    received, since = tally.received, time.perf_counter()
    while tally.received < expected or not all(one.ready for one in subscribers):
        loop.turn()
        now = time.perf_counter()
        if tally.received > received:
            received, since = tally.received, now
        if now > min(deadline, since + quiet):
            break
