"""The ring buffer of a topic's last messages, and their replay."""

from pubsub.core.counters import TopicCounters
from pubsub.core.history import OVERHEAD, History, HistoryBudget, Replay
from tests.core.support import event, make_history

ALL = 1 << 20
COUNTERS = TopicCounters("t")


def make(capacity: int, payloads: str, publishers: str = "") -> History:
    """Return a history of these events, by publishers who are called by a letter each."""
    history = make_history(capacity)
    for index, payload in enumerate(payloads):
        history.append(event(payload, COUNTERS), publishers[index] if publishers else None)
    return history


def replay(history: History, count: int, reader: str = "reader") -> Replay:
    """Return a replay, of which there must be one."""
    replay = history.replay(count, counters=COUNTERS, reader_id=reader)
    assert replay is not None
    return replay


def take(replay: Replay, max_bytes: int = ALL) -> str:
    """Return the payloads of the next events, a letter each."""
    return "".join(frame.text for frame in replay.take(max_bytes))


def test_keeps_the_newest() -> None:
    """The oldest gives way."""
    history = make(3, "abcde")
    assert (len(history), history.capacity, history.start) == (3, 3, 2)
    assert take(replay(history, 9)) == "cde"
    assert take(replay(history, 2)) == "de"
    assert history.replay(0, counters=COUNTERS, reader_id="reader") is None
    assert make(3, "").replay(9, counters=COUNTERS, reader_id="reader") is None


def test_leaves_out_the_readers_own() -> None:
    """They do not count towards the number asked for either."""
    history = make(9, "abcdef", "ymymym")
    assert take(replay(history, 2, reader="m")) == "ce"
    assert take(replay(history, 9, reader="m")) == "ace"
    assert make(9, "ab", "mm").replay(9, counters=COUNTERS, reader_id="m") is None


def test_taken_in_pieces() -> None:
    """Up to so many bytes, but at least one event."""
    history = make(9, "abcdef")
    pieces = replay(history, 9)
    assert pieces.remaining == 6
    assert (take(pieces, 1), take(pieces, 2), take(pieces, 2)) == ("a", "bc", "de")
    assert pieces.remaining == 1
    assert (take(pieces), pieces.remaining, take(pieces)) == ("f", 0, "")


def test_live_events_are_no_part_of_it() -> None:
    """It ends where the subscription began."""
    history = make(9, "abc")
    past = replay(history, 9)
    history.append(event("d", COUNTERS), None)
    assert take(past) == "abc"


def test_what_the_history_loses_is_counted() -> None:
    """Without the reader's own, which it would not have got."""
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
    """Nothing is kept, and whoever was to get it has lost it."""
    history = make(9, "abc")
    past = replay(history, 9)
    history.close()
    assert (len(history), history.start) == (0, 3)
    assert (past.skip_lost(), past.remaining) == (3, 0)


def test_all_histories_share_one_bound() -> None:
    """The oldest messages of the largest history go first, and are counted."""
    budget = HistoryBudget(64 * (OVERHEAD + 1))
    large, small = History(100, budget), History(100, budget)
    small.append(event("s", COUNTERS), None)
    for _ in range(63):
        large.append(event("x", COUNTERS), None)
    assert (budget.used, budget.evicted) == (budget.max_bytes, 0)
    large.append(event("y", COUNTERS), None)
    # One message more than necessary, so that not every further one has to evict.
    assert (len(large), len(small), budget.evicted) == (62, 1, 2)
    assert large.start == 2
    assert budget.used == 63 * (OVERHEAD + 1)
    large.close()
    assert (large.size, budget.used) == (0, small.size)


def test_a_message_larger_than_the_bound_is_not_kept() -> None:
    """It was delivered all the same; only a replay cannot have it."""
    budget = HistoryBudget(OVERHEAD + 10)
    history = History(10, budget)
    history.append(event("x" * 11, COUNTERS), None)
    assert (len(history), history.end, budget.used, budget.evicted) == (0, 1, 0, 1)
