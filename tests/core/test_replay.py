"""The cursors into a history, which feed a client as its socket drains."""

import pytest

from pubsub.core.counters import TopicCounters, TotalCounters
from pubsub.core.history import History, KeptFrame
from pubsub.core.loss import Loss
from pubsub.core.replay import CatchUp, Replay
from tests.core.support import make_history

ALL = 1 << 20
COUNTERS = TopicCounters("t")


def make(capacity: int, payloads: str, publishers: str = "") -> History:
    """Return a history of these events; each letter of `publishers` is a publisher's id."""
    history = make_history(capacity)
    append(history, payloads, publishers)
    return history


def append(history: History, payloads: str, publishers: str = "") -> None:
    """Keep one more event for each letter."""
    for index, payload in enumerate(payloads):
        frame = KeptFrame(payload.encode(), COUNTERS, history)
        history.append(frame, publishers[index] if publishers else None)


def newest(history: History, count: int, reader: str = "reader") -> Replay:
    """Return a replay, which must not be empty."""
    replay = Replay.of_newest(count, history, COUNTERS, (reader,))
    assert replay.remaining
    return replay


def take(replay: Replay, max_bytes: int = ALL) -> str:
    """Return the next events as one string; each payload is a single letter."""
    return "".join(frame.text for frame in replay.take(max_bytes))


def skip(replay: Replay) -> tuple[int, int | None, int | None] | None:
    """Skip what was lost, and return its number and the offsets of the first and the last one."""
    loss = replay.skip_lost()
    return None if loss is None else (loss.dropped, loss.first, loss.last)


def test_newest_events() -> None:
    """A replay has as many of the newest events as were asked for, if there are as many."""
    history = make(3, "abcde")
    assert take(newest(history, 9)) == "cde"
    assert take(newest(history, 2)) == "de"
    assert Replay.of_newest(0, history, COUNTERS, ("reader",)).remaining == 0
    assert Replay.of_newest(9, make(3, ""), COUNTERS, ("reader",)).remaining == 0


def test_events_after_an_offset() -> None:
    """A replay has every event after an offset, except those of all ids of the reader."""
    history = make(9, "abcdef", "xmxnxm")
    replay = Replay.of_all_after(1, history, COUNTERS, ("m", "n"))
    assert (replay.remaining, take(replay)) == (2, "ce")
    assert Replay.of_all_after(5, history, COUNTERS, ("m",)).remaining == 0
    assert Replay.of_all_after(6, history, COUNTERS, ()).remaining == 0


def test_leaves_out_the_readers_own_events() -> None:
    """The reader's own events are neither replayed nor counted towards the number."""
    history = make(9, "abcdef", "ymymym")
    assert take(newest(history, 2, reader="m")) == "ce"
    assert take(newest(history, 9, reader="m")) == "ace"
    assert Replay.of_newest(9, make(9, "ab", "mm"), COUNTERS, ("m",)).remaining == 0


def test_pieces() -> None:
    """Each piece holds up to a number of bytes, but at least one event."""
    pieces = newest(make(9, "abmcdef", "xxmxxxx"), 9, reader="m")
    assert pieces.remaining == 6
    assert (take(pieces, 1), take(pieces, 2), take(pieces, 2)) == ("a", "bc", "de")
    assert repr(pieces) == "<Replay of 1 events of 't'>"
    assert (take(pieces), pieces.remaining, take(pieces)) == ("f", 0, "")


def test_live_events_are_not_replayed() -> None:
    """A replay ends where the subscription began."""
    history = make(9, "abc")
    past = newest(history, 9)
    append(history, "d")
    assert take(past) == "abc"


def test_evicted_events_are_counted_as_lost() -> None:
    """Evicted events count as lost, except the reader's own."""
    history = make(4, "abcd", "xmxx")
    past = newest(history, 9, reader="m")
    assert (past.remaining, skip(past)) == (3, None)
    append(history, "ef")
    assert (skip(past), past.remaining) == ((1, 1, 1), 2)
    assert skip(past) is None
    assert take(past, 1) == "c"
    append(history, "ghij")
    assert (skip(past), past.remaining, take(past)) == ((1, 4, 4), 0, "")


def test_a_loss_begins_and_ends_with_a_lost_event() -> None:
    """The offsets of a loss are never those of the reader's own messages."""
    history = make(8, "abcdefgh", "xmmxxmmx")
    past = newest(history, 9, reader="m")
    assert take(past, 1) == "a"
    append(history, "ijk")
    assert skip(past) is None  # the two that were evicted were its own
    append(history, "lmno")
    assert (skip(past), take(past)) == ((2, 4, 5), "h")


def test_a_closed_history_has_lost_everything() -> None:
    """The rest of a replay is lost when the topic is deleted."""
    history = make(9, "abc")
    past = newest(history, 9)
    take(past, 1)
    history.close()
    assert (skip(past), past.remaining) == ((2, 2, 3), 0)


def test_lost_replays_were_never_delivered() -> None:
    """A lost event of a replay counts as dropped, but not as one less delivered."""
    counters = TopicCounters("t", TotalCounters())
    history = make(1, "ab")
    Replay(history, counters, 0, 2).skip_lost()
    for each in (counters, counters.total):
        assert (each.dropped, each.delivered, each.dropped_from_history) == (1, 0, 1)


def test_catching_up_grows() -> None:
    """A client that catches up gets each event that it is offered, wherever it begins."""
    history = make(9, "abc")
    cursor = CatchUp(history, COUNTERS, 3)
    assert (cursor.is_open, take(cursor), cursor.remaining) == (True, "c", 0)
    append(history, "def")
    for offset in (4, 5, 6):
        cursor.extend(offset)
    assert (take(cursor, 2), cursor.remaining) == ("de", 1)
    cursor.close()
    assert (cursor.is_open, take(cursor)) == (False, "f")


def test_catching_up_leaves_out_what_was_not_offered() -> None:
    """What the client is not offered are its own messages: neither delivered nor lost."""
    history = make(4, "abcdefg")
    cursor = CatchUp(history, COUNTERS, 1)
    for offset in (3, 4, 7):
        cursor.extend(offset)
    assert (cursor.remaining, skip(cursor), cursor.remaining) == (4, (2, 1, 3), 2)
    assert take(cursor) == "dg"


def test_catching_up_is_bounded_by_the_history() -> None:
    """A client that only publishes takes no memory for messages which are no longer kept."""
    history = make(4, "a")
    cursor = CatchUp(history, COUNTERS, 1)
    for offset in range(11, 101, 10):
        append(history, "m" * 9 + "b")
        cursor.extend(offset)
        assert len(cursor._own) <= 4
    assert (skip(cursor), skip(cursor), take(cursor)) == ((9, 1, 81), None, "b")


def test_events_lost_while_catching_up_are_not_delivered() -> None:
    """An event that was counted as delivered, and is lost, is counted as dropped instead."""
    counters = TopicCounters("t", TotalCounters())
    counters.delivered = counters.total.delivered = 2
    history = make(1, "ab")
    cursor = CatchUp(history, counters, 1)
    cursor.extend(2)
    cursor.skip_lost()
    for each in (counters, counters.total):
        assert (each.dropped, each.delivered, each.dropped_from_history) == (1, 1, 0)


def test_repr_of_a_loss() -> None:
    """The repr of a loss shows how many events of which topic it is."""
    assert repr(Loss("t", 3)) == "<Loss of 3 events of 't'>"


# --- Offsets with holes ---


def with_holes(capacity: int, publishers: str = "xxxxxx") -> History:
    """Return a history of the events a to f with the offsets 10 to 60."""
    history = make_history(capacity)
    for number, publisher in enumerate(publishers, 1):
        keep(history, 10 * number, publisher)
    return history


def keep(history: History, offset: int, publisher: str = "x") -> KeptFrame:
    """Keep one more event, which is the letter of its number."""
    letter = "abcdefghijkl"[history.end].encode()
    frame = KeptFrame(letter, COUNTERS, history, offset)
    history.append(frame, publisher)
    return frame


@pytest.mark.parametrize(
    ("offset", "expected"), [(0, "abcdef"), (19, "bcdef"), (20, "cdef"), (21, "cdef"), (59, "f")]
)
def test_events_after_an_offset_that_no_event_has(offset: int, expected: str) -> None:
    """A replay begins with the next event, wherever the offset lies between two of them."""
    replay = Replay.of_all_after(offset, with_holes(9), COUNTERS, ())
    assert (replay.after, take(replay), replay.after) == (offset, expected, 60)


def test_where_the_newest_events_begin() -> None:
    """The rest of a replay begins after the offset of the event before it, or of what is gone."""
    replay = newest(with_holes(4), 2)
    assert (replay.after, take(replay, 1), replay.after, take(replay)) == (40, "e", 50, "f")
    assert newest(with_holes(4), 9).after == 20
    assert newest(with_holes(9), 9).after == 0


def test_bounds_of_a_loss() -> None:
    """A loss lies between what was received before it and the newest event that was evicted."""
    history = with_holes(4)  # c to f
    past = newest(history, 9)
    assert take(past, 1) == "c"
    keep(history, 70)
    keep(history, 80)
    assert (skip(past), past.after, take(past, 1)) == ((1, 31, 40), 40, "e")
    keep(history, 90)
    keep(history, 100)
    keep(history, 110)
    # All are gone up to 70, which comes live: the replay ends with 60.
    assert (skip(past), past.after, past.remaining) == ((1, 51, 60), 60, 0)


def test_bounds_of_a_loss_without_the_readers_own_events() -> None:
    """The reader's own events at both ends of a loss take at least one offset each."""
    past = newest(history := with_holes(6, "mxmxmx"), 9, reader="m")
    for offset in (70, 80, 90, 100, 110):
        keep(history, offset)
    assert skip(past) == (2, 2, 49)
    assert take(past) == "f"


def test_bounds_of_a_loss_while_catching_up() -> None:
    """A client that catches up is told of a loss up to the last event that it was offered."""
    history = with_holes(2)
    cursor = CatchUp(history, COUNTERS, 6, 60)
    for offset in (70, 80):
        cursor.extend(keep(history, offset).number, offset)
    assert (skip(cursor), cursor.after, take(cursor), cursor.after) == ((1, 60, 60), 60, "gh", 80)
    cursor.extend(keep(history, 90).number, 90)
    cursor.close()
    for offset in (100, 110):
        keep(history, offset)
    assert (skip(cursor), cursor.after) == ((1, 81, 90), 90)


def test_everything_before_an_offset_is_lost_with_it() -> None:
    """If a history begins again after a later offset, a replay knows where it would have ended."""
    past = newest(history := with_holes(9), 9)
    history.begin_after(1000)
    assert (skip(past), past.after) == ((6, 1, 60), 60)
