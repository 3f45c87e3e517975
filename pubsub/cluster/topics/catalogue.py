"""A process' copy of the room's registry, which the topics of its broker follow."""

from collections.abc import Callable, Container, Iterator, Mapping
from operator import itemgetter

from pubsub.cluster.names import key_of
from pubsub.cluster.topics.records import Known, Record, decode
from pubsub.core.shared import SharedBroker
from pubsub.logs import events as log
from pubsub.protocol import replies

SLICE = 100
"""Topics that are created, changed or deleted in one turn of the event loop: about 2 ms."""

SUBSCRIBERS = 20
"""Subscribers of a deleted topic that cost as much as a topic."""

DECODED = 500
"""Entries that are decoded in one turn of the event loop: about 2 ms."""


class Catalogue:
    """The entries of the registry, as of one revision, and the broker's topics.

    The first ``max_topics`` entries, in the order of their creation, are the topics of the room.
    Entries beyond the limit are not: their creators are about to delete them. All processes with
    the same revision have the same topics.

    Args:
        broker: The broker of this process. Nothing else creates or deletes its topics.
        on_removed: Called with the name of a topic after it was deleted.
        on_begun_again: Called with the name of a topic with history that has a new epoch now.
    """

    def __init__(
        self,
        broker: SharedBroker,
        *,
        on_removed: Callable[[str], None],
        on_begun_again: Callable[[str], None],
    ) -> None:
        self._broker = broker
        self.limit = broker.config.max_topics
        self._on_removed = on_removed
        self._on_begun_again = on_begun_again
        self._topics: dict[str, Known] = {}
        self._beyond: dict[str, Known] = {}
        """Entries beyond the limit, in the order of their creation."""
        self._invalid: dict[str, int] = {}
        """The revisions of entries that are ignored because they cannot be read."""

    @property
    def entry_count(self) -> int:
        """The number of entries, those beyond the limit included."""
        return len(self._topics) + len(self._beyond)

    @property
    def is_full(self) -> bool:
        """Whether there is no room for another topic."""
        return len(self._topics) >= self.limit

    def find(self, name: str) -> Known | None:
        """Return the entry of a topic; ``None`` if there is no such topic."""
        return self._topics.get(key_of(name))

    def find_beyond(self, name: str) -> Known | None:
        """Return the entry of this name, if it is beyond the limit."""
        return self._beyond.get(key_of(name))

    def find_invalid(self, name: str) -> int | None:
        """Return the revision of the entry of this name, if it cannot be read."""
        return self._invalid.get(key_of(name))

    def topics(self) -> list[Known]:
        """Return the entries of all topics."""
        return list(self._topics.values())

    def missing_in(self, entries: Container[str]) -> list[Known]:
        """Return the entries of all topics whose keys are not among these."""
        return [known for key, known in self._topics.items() if key not in entries]

    def change(self, key: str, value: bytes | None, revision: int) -> None:
        """Apply the next change of the registry."""
        self._invalid.pop(key, None)
        record = None if value is None else self._decode(key, value, revision)
        if record is None:
            self._beyond.pop(key, None)
            if key in self._topics:
                self._remove(key)
                self._admit()
        elif key in self._topics or not (key in self._beyond or self.is_full):
            self._put(key, Known(record, revision))
        else:
            self._beyond[key] = Known(record, revision)

    def _admit(self) -> None:
        """Make a topic of the first entry beyond the limit, because there is room now."""
        if self._beyond:
            key = next(iter(self._beyond))
            self._put(key, self._beyond.pop(key))

    def adopt(
        self, entries: Mapping[str, tuple[bytes, int]], *, registry_lost: bool
    ) -> Iterator[None]:
        """Replace the whole copy, in slices of bounded work.

        Args:
            entries: All values and revisions.
            registry_lost: The registry lost its contents and was filled by the processes again. A
                topic that another process has created again is the same topic then.
        """
        found: list[tuple[int, str, Known]] = []
        self._invalid.clear()
        for number, (key, (value, revision)) in enumerate(entries.items(), 1):
            record = self._decode(key, value, revision)
            if record is not None:
                known = Known(record, revision)
                found.append((known.born, key, known))
            if not number % DECODED:
                yield
        found.sort(key=itemgetter(0))  # most of them stand in this order already
        yield
        topics = {key: known for _, key, known in found[: self.limit]}
        self._beyond = {key: known for _, key, known in found[self.limit :]}
        gone = [key for key in self._topics if key not in topics]
        yield
        work = 0.0
        for key in gone:
            work += self._remove(key)
            if work >= SLICE:
                work = 0.0
                yield
        for key, known in topics.items():
            work += self._put(key, known, registry_lost=registry_lost)
            if work >= SLICE:
                work = 0.0
                yield

    def _put(self, key: str, known: Known, *, registry_lost: bool = False) -> float:
        """Make the topic match its entry; return the work, in topics."""
        former = self._topics.get(key)
        record = known.record
        work = 0.0
        if former is not None:
            same = registry_lost or record.continues(former.record)
            if same and record.options == former.record.options:
                self._topics[key] = known
                return self._begin_again(former.record, record)
            work = self._remove(key)
        self._topics[key] = known
        self._broker.install(record.name, record.options, record.epoch)
        return work + 1

    def _begin_again(self, former: Record, record: Record) -> float:
        if record.epoch == former.epoch or not record.keeps_history:
            return 0.1
        notice = replies.encode_position_reset(record.name, record.epoch)
        subscribers = len(self._broker.topic(record.name).subscribers)
        self._broker.begin_again(record.name, record.epoch, notice)
        self._on_begun_again(record.name)
        return 1 + subscribers / SUBSCRIBERS

    def _remove(self, key: str) -> float:
        name = self._topics.pop(key).record.name
        subscribers = len(self._broker.topic(name).subscribers)
        self._broker.remove(name, replies.encode_topic_deleted(name))
        self._on_removed(name)
        return 1 + subscribers / SUBSCRIBERS

    def _decode(self, key: str, value: bytes, revision: int) -> Record | None:
        try:
            return decode(key, value)
        except ValueError as error:
            self._invalid[key] = revision
            log.registry_entry_invalid(key, message=str(error))
            return None

    def __repr__(self) -> str:
        return f"<Catalogue of {len(self._topics)} topics, {len(self._beyond)} beyond the limit>"
