"""Messages that are delivered once although they are published repeatedly."""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from pubsub.core.publication import Publication

MAX_IDS_PER_TOPIC = 10_000
"""Ids that are remembered for one topic. The oldest is forgotten first."""

MAX_IDS = 1_000_000
"""Ids that are remembered for all topics together: about 300 MB. The oldest is forgotten first."""

FORGOTTEN_AT_ONCE = 10_000
"""Expired ids that are forgotten at a time: about 5 ms."""


class First(NamedTuple):
    """What is remembered of a message that was published with ``once``."""

    offset: int | None
    subscribers: int
    until: float


Ids = dict[str, First]
"""The remembered ids of one topic, in lower case, oldest first."""


class Repetition(Publication):
    """A publication that repeats an earlier one. It was delivered to nobody.

    Its ``offset`` and ``subscribers`` are those of the first one, so that the answer to a
    repetition is the answer that its publisher has missed.
    """

    __slots__ = ()
    duplicate = True


class RecentIds:
    """The ids of the messages that were published with ``once``, for all topics of a broker.

    Args:
        seconds: For how long an id is remembered.
        clock: Returns the time in seconds; it never goes back.
    """

    __slots__ = ("_clock", "_order", "_seconds")

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        # Everything that is remembered, oldest first, and what topics have forgotten meanwhile.
        self._order: deque[tuple[First, Ids, str]] = deque()

    def find(self, ids: Ids, message_id: str) -> First | None:
        """Return the first publication with this id, if it is remembered."""
        message_id = message_id.lower()
        first = ids.get(message_id)
        if first is not None and first.until <= self._clock():
            del ids[message_id]
            return None
        return first

    def remember(self, ids: Ids, publication: Publication) -> None:
        """Remember a publication whose id is not remembered."""
        if len(ids) >= MAX_IDS_PER_TOPIC:
            del ids[next(iter(ids))]
        if len(self._order) >= MAX_IDS:
            self._forget_oldest()
        message_id = publication.id.lower()
        until = self._clock() + self._seconds
        ids[message_id] = first = First(publication.offset, publication.subscribers, until)
        self._order.append((first, ids, message_id))

    def forget_expired(self) -> bool:
        """Release expired ids, up to `FORGOTTEN_AT_ONCE`; return whether there are more."""
        now, order = self._clock(), self._order
        for _ in range(FORGOTTEN_AT_ONCE):
            if not order or order[0][0].until > now:
                return False
            self._forget_oldest()
        return True

    def _forget_oldest(self) -> None:
        first, ids, message_id = self._order.popleft()
        if ids.get(message_id) is first:
            del ids[message_id]

    def __repr__(self) -> str:
        return f"<RecentIds, {len(self._order)} remembered>"
