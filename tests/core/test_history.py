"""The latest messages of a topic, and the bound that all histories share."""

from pubsub.core.counters import TopicCounters
from pubsub.core.history import OVERHEAD, Entry, History, HistoryBudget, KeptFrame
from tests.core.support import event, make_history

COUNTERS = TopicCounters("t")


def make(capacity: int, payloads: str) -> History:
    """Return a history of these events, of which the first was published by `0` and so on."""
    history = make_history(capacity)
    for number, payload in enumerate(payloads):
        history.append(event(payload, COUNTERS), str(number))
    return history


def texts(events: list[Entry]) -> str:
    """Return the events as one string; each payload is a single letter."""
    return "".join(frame.text for frame, _ in events)


def test_keeps_the_newest() -> None:
    """A full history evicts its oldest event to make room for a new one."""
    history = make(3, "abcde")
    assert (len(history), history.capacity, history.start, history.end) == (3, 3, 2, 5)
    assert list(history.newest_first()) == history.between(0, 9)[::-1]
    assert [publisher for _, publisher in history.between(0, 9)] == ["2", "3", "4"]


def test_events_are_found_by_their_offsets() -> None:
    """However many events were evicted, each one that is kept is found by its offset."""
    for evicted in range(6):
        history = make(9, "abcdef")
        for _ in range(evicted):
            history.evict_oldest()
        assert (len(history), history.start, history.end) == (6 - evicted, evicted, 6)
        kept = "abcdef"[evicted:]
        found = [history.event(offset).text for offset in range(history.start + 1, 7)]
        assert "".join(found) == texts(history.between(0, 6)) == kept
        assert texts(list(history.newest_first())) == kept[::-1]
        assert texts(history.between(2, 4)) == "abcdef"[max(2, evicted) : 4]
    assert make(9, "").between(0, 9) == []


def test_close() -> None:
    """Closing a history frees it."""
    history = make(9, "abc")
    history.evict_oldest()
    history.close()
    assert (len(history), history.start, history.end, history.size) == (0, 3, 3, 0)
    assert history.between(0, 9) == []


def test_all_histories_share_one_bound() -> None:
    """Over the bound, the oldest messages of the largest history are evicted and counted."""
    budget = HistoryBudget(64 * (OVERHEAD + 1))
    large, small = History(100, budget), History(100, budget)
    small.append(event("s", COUNTERS), None)
    for _ in range(63):
        large.append(event("x", COUNTERS), None)
    assert (budget.used, budget.evicted) == (budget.max_bytes, 0)
    large.append(event("y", COUNTERS), None)
    # Eviction frees one message more than necessary, so that the next one fits.
    assert (len(large), len(small), budget.evicted) == (62, 1, 2)
    assert large.start == 2
    assert budget.used == 63 * (OVERHEAD + 1)
    large.close()
    assert (large.size, budget.used) == (0, small.size)


def test_a_message_larger_than_the_bound_is_not_kept() -> None:
    """A message larger than the bound is delivered as usual but cannot be replayed."""
    budget = HistoryBudget(OVERHEAD + 10)
    history = History(10, budget)
    history.append(event("x" * 11, COUNTERS), None)
    assert (len(history), history.end, budget.used, budget.evicted) == (0, 1, 0, 1)


# --- Offsets with holes ---


def with_holes(capacity: int, *offsets: int) -> History:
    """Return a history of events with these offsets."""
    history = make_history(capacity)
    for offset in offsets:
        history.append(KeptFrame(b"x", COUNTERS, history, offset), None)
    return history


def offsets(frames: list[KeptFrame]) -> list[int]:
    """Return the offsets of events."""
    return [frame.offset for frame in frames]


def test_events_are_found_between_holes() -> None:
    """Each offset belongs to the newest event up to it, however many were evicted before."""
    for evicted in range(4):
        history = with_holes(9, 3, 4, 10)
        for _ in range(evicted):
            history.evict_oldest()
        found = [history.number_at(offset) for offset in (0, 2, 3, 4, 5, 9, 10, 99)]
        assert found == [max(number, evicted) for number in (0, 0, 1, 2, 2, 2, 3, 3)]
        assert history.gone == (0, 3, 4, 10)[evicted]
        assert (history.offset, history.end) == (10, 3)


def test_pages_after_an_offset() -> None:
    """A page has the oldest events after an offset, up to a number and a size."""
    history = with_holes(3, 3, 4, 10, 11)
    assert offsets(history.oldest_after(3, 9, 1 << 20)) == [4, 10, 11]
    assert offsets(history.oldest_after(7, 1, 1 << 20)) == [10]
    assert offsets(history.oldest_after(4, 9, 1)) == [10]
    assert history.oldest_after(11, 9, 1 << 20) == []
    assert offsets(history.newest(2, 1 << 20)) == [10, 11]


def test_a_history_that_begins_after_an_offset() -> None:
    """What was kept before is evicted, and so counts all that nobody knows up to the offset."""
    history = with_holes(3, 3, 4)
    history.begin_after(7)
    assert (len(history), history.size, history.gone, history.offset) == (0, 0, 7, 7)
    frame = KeptFrame(b"x", COUNTERS, history, 12)
    history.append(frame, None)
    assert (frame.number, history.end, history.offset) == (3, 3, 12)
    assert offsets(history.oldest_after(7, 9, 1)) == [12]
