"""The ring buffer of a topic's latest messages, and its replays."""

from pubsub.core.counters import TopicCounters
from pubsub.core.history import OVERHEAD, History, HistoryBudget, Replay
from tests.core.support import event, make_history

ALL = 1 << 20
COUNTERS = TopicCounters("t")


def make(capacity: int, payloads: str, publishers: str = "") -> History:
    """Return a history of these events; each letter of `publishers` is a publisher's id."""
    history = make_history(capacity)
    for index, payload in enumerate(payloads):
        history.append(event(payload, COUNTERS), publishers[index] if publishers else None)
    return history


def replay(history: History, count: int, reader: str = "reader") -> Replay:
    """Return a replay, which must not be empty."""
    replay = history.replay(count, counters=COUNTERS, own=(reader,))
    assert replay is not None
    return replay


def take(replay: Replay, max_bytes: int = ALL) -> str:
    """Return the next events as one string; each payload is a single letter."""
    return "".join(frame.text for frame in replay.take(max_bytes))


def test_keeps_the_newest() -> None:
    """A full history drops its oldest event to make room for a new one."""
    history = make(3, "abcde")
    assert (len(history), history.capacity, history.start) == (3, 3, 2)
    assert take(replay(history, 9)) == "cde"
    assert take(replay(history, 2)) == "de"
    assert history.replay(0, counters=COUNTERS, own=("reader",)) is None
    assert make(3, "").replay(9, counters=COUNTERS, own=("reader",)) is None


def test_leaves_out_the_readers_own_events() -> None:
    """The reader's own events are neither replayed nor counted towards `count`."""
    history = make(9, "abcdef", "ymymym")
    assert take(replay(history, 2, reader="m")) == "ce"
    assert take(replay(history, 9, reader="m")) == "ace"
    assert make(9, "ab", "mm").replay(9, counters=COUNTERS, own=("m",)) is None


def test_replay_in_pieces() -> None:
    """Each piece holds up to a number of bytes, but at least one event."""
    history = make(9, "abcdef")
    pieces = replay(history, 9)
    assert pieces.remaining == 6
    assert (take(pieces, 1), take(pieces, 2), take(pieces, 2)) == ("a", "bc", "de")
    assert pieces.remaining == 1
    assert (take(pieces), pieces.remaining, take(pieces)) == ("f", 0, "")


def test_live_events_are_not_replayed() -> None:
    """A replay ends where the subscription began."""
    history = make(9, "abc")
    past = replay(history, 9)
    history.append(event("d", COUNTERS), None)
    assert take(past) == "abc"


def test_evicted_events_are_counted_as_lost() -> None:
    """Evicted events count as lost, except the reader's own."""
    history = make(4, "abcd", "xmxx")
    past = replay(history, 9, reader="m")
    assert (past.remaining, past.skip_lost()) == (3, 0)
    for payload in "ef":
        history.append(event(payload, COUNTERS), None)
    assert (past.skip_lost(), past.remaining) == (1, 2)
    assert past.skip_lost() == 0
    assert take(past, 1) == "c"
    for payload in "ghij":
        history.append(event(payload, COUNTERS), None)
    assert (past.skip_lost(), past.remaining, take(past)) == (1, 0, "")


def test_close() -> None:
    """Closing a history frees it, and its unfinished replays count as lost."""
    history = make(9, "abc")
    past = replay(history, 9)
    history.close()
    assert (len(history), history.start) == (0, 3)
    assert (past.skip_lost(), past.remaining) == (3, 0)


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
