"""Cursors into the history of a topic, which feed one client as its socket drains."""

from array import array
from bisect import bisect_right
from collections.abc import Container, Iterable

from pubsub.core.counters import TopicCounters
from pubsub.core.history import History
from pubsub.core.loss import Loss
from pubsub.core.publication import Frame

Own = Container[str | None]
"""The names under which a reader has published, also before a reconnection; see `History`."""


class Replay:
    """The past events that one client has yet to receive, oldest first.

    It is a cursor into the history, and events are looked up when the client's socket has room for
    them. So a slow consumer takes no memory here, except for the numbers of messages that it has
    published itself, but events that the history evicts in the meantime are lost to it.

    Whatever the size of the history, each event is looked up in constant time, and so is the number
    of those that were lost.

    Args:
        history: The history.
        counters: The counters of its topic.
        start: The number of the event after which the replay begins.
        end: The number of its last event.
        last: The offset of its last event.
        own: The numbers between these of messages that the client has published and does not get,
            in ascending order.
        after: The offset after which the replay begins.
    """

    __slots__ = ("_end", "_history", "_last", "_next", "_own", "after", "counters", "size")

    is_open = False
    """Whether it grows with each publication."""

    def __init__(
        self,
        history: History,
        counters: TopicCounters,
        start: int,
        end: int,
        own: Iterable[int] = (),
        *,
        last: int | None = None,
        after: int | None = None,
    ) -> None:
        self._history = history
        self.counters = counters
        self._next = start
        self._end = end
        self._last = end if last is None else last
        self._own = array("Q", own)
        self.after = start if after is None else after
        """The offset after which the rest begins."""
        self.size = len(self._own) * self._own.itemsize
        """Bytes that it counts for in an outbox as long as it is there."""

    @classmethod
    def of_newest(cls, count: int, history: History, counters: TopicCounters, own: Own) -> "Replay":
        """Return a replay of the newest ``count`` events that the reader did not publish.

        It looks at all that the reader has published after them.
        """
        passed: list[int] = []
        number, found, after = history.end, 0, history.gone
        for frame, publisher in history.newest_first():
            if found == count:
                after = frame.offset
                break
            if publisher in own:
                passed.append(number)
            else:
                found += 1
            number -= 1
        passed.reverse()
        end, last = history.end, history.offset
        return cls(history, counters, number, end, passed, last=last, after=after)

    @classmethod
    def of_all_after(
        cls, offset: int, history: History, counters: TopicCounters, own: Own
    ) -> "Replay":
        """Return a replay of all events after ``offset`` that the reader did not publish.

        They must all be kept; see `History.gone`.
        """
        start = history.number_at(offset)
        events = history.between(start, history.end)
        passed = [
            number
            for number, (_, publisher) in enumerate(events, start=start + 1)
            if publisher in own
        ]
        end, last = history.end, history.offset
        return cls(history, counters, start, end, passed, last=last, after=offset)

    @property
    def remaining(self) -> int:
        """The number of events that the client has yet to receive."""
        return self._end - self._next - len(self._own)

    @property
    def own(self) -> int:
        """The number of the client's own messages among the events that it has yet to pass."""
        return len(self._own)

    def skip_lost(self) -> Loss | None:
        """Skip and count the events that the history no longer keeps, if there are any."""
        history = self._history
        start = min(history.start, self._end)
        if start <= self._next:
            return None
        first, last = self._next + 1, start
        passed = self._pass_own(start)
        for number in passed:
            if number == first:
                first += 1
        for number in reversed(passed):
            if number == last:
                last -= 1
        lost = start - self._next - len(passed)
        # The offsets of what was evicted are not known: where they have holes, these are bounds.
        first += self.after - self._next
        self.after = self._last if start == self._end else history.gone
        last += self.after - start
        self._next = start
        if not lost:
            return None
        self._count(lost)
        return Loss(self.counters.topic, lost, first, last)

    def take(self, max_bytes: int) -> list[Frame]:
        """Take the next events, up to ``max_bytes`` bytes, but at least one if any remain.

        All of them must still be kept; see `skip_lost`.
        """
        frames: list[Frame] = []
        event, own = self._history.event, iter(self._own)
        next_own = next(own, None)
        for number in range(self._next + 1, self._end + 1):
            if number == next_own:
                next_own = next(own, None)
                continue
            frame = event(number)
            if frames and frame.size > max_bytes:
                break
            frames.append(frame)
            max_bytes -= frame.size
            self._next = number
            self.after = frame.offset
        self._pass_own(self._next)
        return frames

    def _pass_own(self, number: int) -> "array[int]":
        """Forget and return the numbers of the client's own events up to this one."""
        passed = bisect_right(self._own, number)
        numbers = self._own[:passed]
        del self._own[:passed]
        return numbers

    def _count(self, lost: int) -> None:
        self.counters.count_lost_replay(lost)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.remaining} events of {self.counters.topic!r}>"


class CatchUp(Replay):
    """The events of one topic that found no room in the outbox of a subscriber.

    It grows with each publication until the client has caught up. Its events were already counted
    as delivered.

    Args:
        history: The history.
        counters: The counters of its topic.
        number: The number of the first event.
        offset: Its offset; by default the same.
    """

    __slots__ = ("_lost", "is_open")

    def __init__(
        self, history: History, counters: TopicCounters, number: int, offset: int | None = None
    ) -> None:
        last = number if offset is None else offset
        super().__init__(history, counters, number - 1, number, last=last, after=last - 1)
        self._lost: Loss | None = None
        self.is_open = True

    def extend(self, number: int, offset: int | None = None) -> None:
        """Include the next event that the client is to get, with its offset if that is another.

        What its topic has accepted in between are the client's own messages.
        """
        self._own.extend(range(self._end + 1, number))
        self._end = number
        self._last = number if offset is None else offset
        if len(self._own) > len(self._history):
            # Some are no longer kept. A client that never reads must not take memory for them.
            self._lost = self.skip_lost()

    def skip_lost(self) -> Loss | None:
        """Skip and count the events that the history no longer keeps, if there are any."""
        earlier, self._lost = self._lost, None
        loss = super().skip_lost()
        if earlier is None or loss is None:
            return earlier or loss
        earlier.dropped += loss.dropped
        earlier.last = loss.last
        return earlier

    def close(self) -> None:
        """Stop growing: the subscription has ended."""
        self.is_open = False

    def _count(self, lost: int) -> None:
        self.counters.count_loss(lost)
