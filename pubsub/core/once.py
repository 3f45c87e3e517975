"""Messages that are delivered once although they are published repeatedly."""

from collections import OrderedDict
from collections.abc import Callable

from pubsub.core.publication import Publication

MAX_IDS_PER_TOPIC = 10_000
"""Ids that are remembered for one topic. The oldest is forgotten first."""

MAX_IDS = 1_000_000
"""Ids that are remembered for all topics together: about 350 MB. The oldest is forgotten first."""

FORGOTTEN_AT_ONCE = 10_000
"""Expired ids that are forgotten at a time: about 5 ms."""


class First:
    """What is remembered of a message that was published with ``once``.

    Args:
        ids: The remembered ids of its topic, where it is found.
        message_id: Its id, in lower case.
        publication: What the topic made of it.
        until: The time in seconds at which it is forgotten.
    """

    __slots__ = ("ids", "message_id", "offset", "subscribers", "until")

    def __init__(self, ids: "Ids", message_id: str, publication: Publication, until: float) -> None:
        self.ids = ids
        self.message_id = message_id
        self.offset = publication.offset
        self.subscribers = publication.subscribers
        self.until = until


Ids = OrderedDict[str, First]
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
        self._order: OrderedDict[First, None] = OrderedDict()
        """Everything that is remembered, oldest first."""

    def find(self, ids: Ids, message_id: str) -> First | None:
        """Return the first publication with this id, if it is remembered."""
        first = ids.get(message_id.lower())
        if first is not None and first.until <= self._clock():
            self._forget(first)
            return None
        return first

    def remember(self, ids: Ids, publication: Publication) -> None:
        """Remember a publication whose id is not remembered."""
        if len(ids) >= MAX_IDS_PER_TOPIC:
            self._forget(next(iter(ids.values())))
        if len(self._order) >= MAX_IDS:
            self._forget(next(iter(self._order)))
        message_id = publication.id.lower()
        first = First(ids, message_id, publication, self._clock() + self._seconds)
        ids[message_id] = first
        self._order[first] = None

    def forget_topic(self, ids: Ids) -> None:
        """Release all ids of a topic."""
        for first in ids.values():
            del self._order[first]
        ids.clear()

    def forget_expired(self) -> bool:
        """Release expired ids, up to `FORGOTTEN_AT_ONCE`; return whether there are more."""
        now = self._clock()
        for _ in range(FORGOTTEN_AT_ONCE):
            first = next(iter(self._order), None)
            if first is None or first.until > now:
                return False
            self._forget(first)
        return True

    def _forget(self, first: First) -> None:
        del first.ids[first.message_id]
        del self._order[first]

    def __repr__(self) -> str:
        return f"<RecentIds, {len(self._order)} remembered>"
