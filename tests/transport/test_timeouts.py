"""Write timeouts and pings, driven by a clock of the test."""

import asyncio
import heapq
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pubsub.fairness import TICK_SLICE
from pubsub.transport.timeouts import LOOKS, Pings, Timeouts, WriteTimeouts


class Clock(asyncio.AbstractEventLoop):
    """The timers of an event loop, whose time passes only when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[asyncio.TimerHandle] = []
        self.failures: list[dict[str, Any]] = []

    def time(self) -> float:
        """Return the time."""
        return self.now

    def get_debug(self) -> bool:
        """Return ``False``, because debug mode is off."""
        return False

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any) -> Any:
        """Schedule a timer."""
        timer = asyncio.TimerHandle(self.now + delay, callback, args, self)
        heapq.heappush(self.timers, timer)
        return timer

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep the report of a timer that has raised."""
        self.failures.append(context)

    def run_next_timer(self) -> float:
        """Run the next timer; return the seconds that pass until then."""
        timer = heapq.heappop(self.timers)
        passed, self.now = timer.when() - self.now, timer.when()
        timer._run()
        return passed

    def pass_by(self, seconds: float) -> None:
        """Advance the time and run the timers that fall due."""
        end = self.now + seconds
        while self.timers and self.timers[0].when() <= end:
            timer = heapq.heappop(self.timers)
            self.now = timer.when()
            timer._run()
        self.now = end


@pytest.fixture
def clock() -> Iterator[Clock]:
    """Install the clock as the running event loop."""
    clock = Clock()
    asyncio._set_running_loop(clock)
    yield clock
    asyncio._set_running_loop(None)


class SlowReader:
    """A transport with unread bytes, which its peer reads when a test says so."""

    def __init__(self, patience: float = 30) -> None:
        self.unread = 1000
        self.patience = patience
        self.blocked = True
        self.expired = 0

    def expire(self) -> None:
        """Count the call."""
        self.expired += 1


def test_peer_that_reads_nothing_expires(clock: Clock) -> None:
    """A peer that reads nothing expires once, after the timeout and not before."""
    timeouts, stuck = WriteTimeouts(30), SlowReader()
    timeouts.watch(stuck)
    clock.pass_by(29.5)
    assert stuck.expired == 0
    clock.pass_by(1.5)
    assert stuck.expired == 1
    clock.pass_by(100)
    assert stuck.expired == 1


def test_peer_that_reads_anything_does_not_expire(clock: Clock) -> None:
    """A peer that reads one byte within each timeout does not expire until it stops."""
    timeouts, slow = WriteTimeouts(30), SlowReader()
    timeouts.watch(slow)
    for _ in range(100):
        clock.pass_by(25)
        slow.unread -= 1
        timeouts.watch(slow)  # does not restart the timeout
    assert slow.expired == 0
    clock.pass_by(32)
    assert slow.expired == 1


def test_growing_backlog_is_no_progress(clock: Clock) -> None:
    """A growing backlog does not count as progress."""
    timeouts, stuck = WriteTimeouts(30), SlowReader()
    timeouts.watch(stuck)
    for _ in range(32):
        clock.pass_by(1)
        stuck.unread += 10
    assert stuck.expired == 1


def test_peer_that_reads_less_than_is_written_does_not_expire(clock: Clock) -> None:
    """Reading counts as progress even if more has been written meanwhile; writing never does."""
    timeouts, overloaded = WriteTimeouts(30), SlowReader()
    timeouts.watch(overloaded)
    for _ in range(10):
        clock.pass_by(10)
        overloaded.unread += 100
        clock.pass_by(10)
        overloaded.unread -= 1
    assert overloaded.expired == 0
    for _ in range(32):
        clock.pass_by(1)
        overloaded.unread += 10
    assert overloaded.expired == 1


def test_transport_that_is_no_longer_blocked_is_not_watched(clock: Clock) -> None:
    """A transport is watched only while it is blocked; watching it again starts a new timeout."""
    timeouts, slow = WriteTimeouts(30), SlowReader()
    timeouts.watch(slow)
    clock.pass_by(20)
    slow.blocked = False
    clock.pass_by(20)
    slow.blocked = True
    timeouts.watch(slow)
    clock.pass_by(20)
    assert slow.expired == 0
    clock.pass_by(12)
    assert slow.expired == 1


def test_forgotten_transport_does_not_expire(clock: Clock) -> None:
    """A forgotten transport does not expire, and forgetting an unknown one is harmless."""
    timeouts, stuck = WriteTimeouts(30), SlowReader()
    timeouts.watch(stuck)
    timeouts.forget(stuck)
    timeouts.forget(SlowReader())
    clock.pass_by(100)
    assert stuck.expired == 0


def test_each_transport_has_a_patience_of_its_own(clock: Clock) -> None:
    """A transport's own patience may be longer than the timeout, and may change."""
    timeouts, short, long = WriteTimeouts(1), SlowReader(1), SlowReader(10)
    timeouts.watch(short)
    timeouts.watch(long)
    clock.pass_by(2)
    assert (short.expired, long.expired) == (1, 0)
    long.patience = 3
    clock.pass_by(2)
    assert long.expired == 1


def test_short_timeouts_are_exact(clock: Clock) -> None:
    """Transports are checked several times per timeout, so short timeouts are exact too."""
    timeouts, stuck = WriteTimeouts(0.1), SlowReader(0.1)
    timeouts.watch(stuck)
    clock.pass_by(0.09)
    assert stuck.expired == 0
    clock.pass_by(0.1 / LOOKS + 0.01)
    assert stuck.expired == 1


class Silent:
    """A transport whose peer sends nothing by itself."""

    def __init__(self) -> None:
        self.heard = True
        self.silent_looks = 0
        self.listening = True
        self.pings = 0
        self.expired = 0

    def ping(self) -> None:
        """Count the call."""
        self.pings += 1

    def expire_silently(self) -> None:
        """Count the call."""
        self.expired += 1


INTERVAL = 20.0
LOOK = INTERVAL / LOOKS


def test_silent_peer_is_pinged_and_then_expires(clock: Clock) -> None:
    """A silent peer is pinged after one interval and expires after another."""
    pings, silent = Pings(INTERVAL), Silent()
    pings.watch(silent)
    clock.pass_by(INTERVAL)
    assert (silent.pings, silent.expired) == (0, 0)
    clock.pass_by(LOOK)
    assert (silent.pings, silent.expired) == (1, 0)
    clock.pass_by(INTERVAL - LOOK)
    assert (silent.pings, silent.expired) == (1, 0)
    clock.pass_by(LOOK)
    assert (silent.pings, silent.expired) == (1, 1)


def test_peer_that_answers_does_not_expire(clock: Clock) -> None:
    """Anything that a peer sends keeps it alive, and it is pinged again later."""
    pings, quiet = Pings(INTERVAL), Silent()
    pings.watch(quiet)
    for count in range(1, 10):
        clock.pass_by(INTERVAL + LOOK)
        assert quiet.pings == count
        quiet.heard = True
    assert quiet.expired == 0


def test_active_peer_is_not_pinged(clock: Clock) -> None:
    """A peer that sends messages is not pinged."""
    pings, talkative = Pings(INTERVAL), Silent()
    pings.watch(talkative)
    for _ in range(100):
        clock.pass_by(INTERVAL / 2)
        talkative.heard = True
    assert talkative.pings == 0


def test_paused_peer_does_not_expire(clock: Clock) -> None:
    """A peer that is not read from cannot expire; it has one interval once reading resumes."""
    pings, paused = Pings(INTERVAL), Silent()
    paused.listening = False
    pings.watch(paused)
    clock.pass_by(10 * INTERVAL)
    assert (paused.pings, paused.expired) == (0, 0)
    paused.listening = True
    clock.pass_by(INTERVAL)
    assert (paused.pings, paused.expired) == (1, 0)
    clock.pass_by(LOOK)
    assert paused.expired == 1


def test_forgotten_peer_is_not_pinged(clock: Clock) -> None:
    """A forgotten peer is not pinged, and forgetting an unknown one is harmless."""
    pings, gone, silent = Pings(INTERVAL), Silent(), Silent()
    pings.watch(gone)
    pings.watch(silent)
    pings.forget(gone)
    pings.forget(Silent())
    clock.pass_by(3 * INTERVAL)
    assert (gone.pings, silent.pings) == (0, 1)


def test_many_silent_peers_are_pinged_in_slices(clock: Clock) -> None:
    """The event loop serves clients between two slices of silent ones, at no delay."""
    pings = Pings(INTERVAL)
    silent = [Silent() for _ in range(2 * TICK_SLICE + 1)]
    for each in silent:
        pings.watch(each)
    clock.pass_by(INTERVAL)
    slices = []
    for delay in (LOOK, 0, 0):
        before = sum(each.pings for each in silent)
        assert clock.run_next_timer() == delay
        slices.append(sum(each.pings for each in silent) - before)
    assert slices == [TICK_SLICE, TICK_SLICE, 1]
    assert len(clock.timers) == 1


def test_peer_that_is_forgotten_between_two_slices_is_not_pinged(clock: Clock) -> None:
    """A connection that is closed while others are pinged is not pinged any more."""
    pings = Pings(INTERVAL)
    silent = [Silent() for _ in range(TICK_SLICE + 1)]
    for each in silent:
        pings.watch(each)
    clock.pass_by(INTERVAL)
    clock.run_next_timer()
    (last,) = (each for each in silent if not each.pings)
    pings.forget(last)
    clock.pass_by(INTERVAL)
    assert last.pings == 0


def test_many_slow_readers_are_looked_at_in_slices(clock: Clock) -> None:
    """The event loop serves clients between two slices of slow readers, and forgets some there."""
    timeouts = WriteTimeouts(1)
    stuck = [SlowReader(1) for _ in range(TICK_SLICE + 2)]
    for each in stuck:
        timeouts.watch(each)
    clock.pass_by(0.99)
    clock.run_next_timer()
    assert sum(each.expired for each in stuck) == TICK_SLICE
    timeouts.forget(stuck[-1])
    assert clock.run_next_timer() == 0
    assert [each.expired for each in stuck] == [1] * (TICK_SLICE + 1) + [0]
    assert clock.timers == []


class Broken(SlowReader):
    """A transport that cannot be closed."""

    def expire(self) -> None:
        """Fail."""
        raise ZeroDivisionError("a bug")


class Unpingable(Silent):
    """A transport that cannot be pinged."""

    def ping(self) -> None:
        """Fail."""
        raise ZeroDivisionError("a bug")


def test_transport_that_fails_to_expire(clock: Clock) -> None:
    """A transport that raises is reported, and the others expire nevertheless."""
    timeouts, stuck = WriteTimeouts(1), [SlowReader(1), SlowReader(1)]
    for each in (stuck[0], Broken(1), stuck[1]):
        timeouts.watch(each)
    clock.pass_by(1)
    assert len(clock.failures) == 1
    assert [each.expired for each in stuck] == [1, 1]
    timeouts.watch(later := SlowReader(1))
    clock.pass_by(1.5)
    assert later.expired == 1


def test_transport_that_fails_to_ping(clock: Clock) -> None:
    """A transport that raises is reported, and the others are pinged nevertheless."""
    pings, silent = Pings(INTERVAL), [Silent() for _ in range(5)]
    for each in (*silent, Unpingable()):
        pings.watch(each)
    clock.pass_by(INTERVAL + LOOK)
    assert len(clock.failures) == 1
    assert [each.pings for each in silent] == [1] * 5
    clock.pass_by(INTERVAL)
    assert [each.expired for each in silent] == [1] * 5


@pytest.mark.parametrize("timer", [WriteTimeouts(30), Pings(INTERVAL)])
def test_no_timer_runs_while_there_is_nothing_to_watch(
    clock: Clock, timer: WriteTimeouts | Pings
) -> None:
    """No timer runs on an idle server, and the next transport starts it again."""
    for _ in range(2):
        transport: Any = SlowReader() if isinstance(timer, WriteTimeouts) else Silent()
        timer.watch(transport)
        assert len(clock.timers) == 1
        timer.forget(transport)
        clock.pass_by(INTERVAL)
        assert clock.timers == []


def test_configured_timeouts(clock: Clock) -> None:
    """`Timeouts` uses the configured write timeout and ping interval."""
    timeouts = Timeouts(write_timeout=5, ping_interval=INTERVAL)
    stuck, silent = SlowReader(timeouts.write_timeout), Silent()
    timeouts.writes.watch(stuck)
    timeouts.pings.watch(silent)
    clock.pass_by(7)
    assert (stuck.expired, silent.pings) == (1, 0)
    clock.pass_by(INTERVAL)
    assert silent.pings == 1
