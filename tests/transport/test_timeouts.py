"""Clients that do not read, and clients that say nothing, with a clock of the test's own."""

import asyncio
import heapq
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pubsub.transport.timeouts import LOOKS, Pings, Timeouts, WriteTimeouts


class Clock(asyncio.AbstractEventLoop):
    """The part of an event loop that timers need, whose time passes when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[asyncio.TimerHandle] = []

    def time(self) -> float:
        """Return the time."""
        return self.now

    def get_debug(self) -> bool:
        """Return whether this is for debugging."""
        return False

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any) -> Any:
        """Take a timer on."""
        timer = asyncio.TimerHandle(self.now + delay, callback, args, self)
        heapq.heappush(self.timers, timer)
        return timer

    def pass_by(self, seconds: float) -> None:
        """Let time pass, and call what falls due."""
        end = self.now + seconds
        while self.timers and self.timers[0].when() <= end:
            timer = heapq.heappop(self.timers)
            self.now = timer.when()
            timer._run()
        self.now = end


@pytest.fixture
def clock() -> Iterator[Clock]:
    """The running event loop, for code that asks for it."""
    clock = Clock()
    asyncio._set_running_loop(clock)
    yield clock
    asyncio._set_running_loop(None)


class SlowReader:
    """A transport with bytes that its peer takes when the test says so."""

    def __init__(self, patience: float = 30) -> None:
        self.unread = 1000
        self.patience = patience
        self.blocked = True
        self.expired = 0

    def expire(self) -> None:
        """Count it."""
        self.expired += 1


def test_peer_that_takes_nothing_expires(clock: Clock) -> None:
    """It does so once, after the timeout and not before."""
    timeouts, stuck = WriteTimeouts(30), SlowReader()
    timeouts.watch(stuck)
    clock.pass_by(29.5)
    assert stuck.expired == 0
    clock.pass_by(1.5)
    assert stuck.expired == 1
    clock.pass_by(100)
    assert stuck.expired == 1


def test_peer_that_takes_anything_lives(clock: Clock) -> None:
    """One byte within each timeout is enough, until it stops."""
    timeouts, slow = WriteTimeouts(30), SlowReader()
    timeouts.watch(slow)
    for _ in range(100):
        clock.pass_by(25)
        slow.unread -= 1
        timeouts.watch(slow)  # which does not start its time again
    assert slow.expired == 0
    clock.pass_by(32)
    assert slow.expired == 1


def test_more_that_waits_is_no_progress(clock: Clock) -> None:
    """A backlog that only grows belongs to a peer that does not read."""
    timeouts, stuck = WriteTimeouts(30), SlowReader()
    timeouts.watch(stuck)
    for _ in range(32):
        clock.pass_by(1)
        stuck.unread += 10
    assert stuck.expired == 1


def test_transport_that_is_no_longer_blocked_is_not_watched(clock: Clock) -> None:
    """It may be watched again, from then on."""
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
    """A transport that was never watched can be forgotten, too."""
    timeouts, stuck = WriteTimeouts(30), SlowReader()
    timeouts.watch(stuck)
    timeouts.forget(stuck)
    timeouts.forget(SlowReader())
    clock.pass_by(100)
    assert stuck.expired == 0


def test_each_transport_has_a_patience_of_its_own(clock: Clock) -> None:
    """It may be longer than the timeout, and may change."""
    timeouts, short, long = WriteTimeouts(1), SlowReader(1), SlowReader(10)
    timeouts.watch(short)
    timeouts.watch(long)
    clock.pass_by(2)
    assert (short.expired, long.expired) == (1, 0)
    long.patience = 3
    clock.pass_by(2)
    assert long.expired == 1


def test_short_timeouts_are_kept_as_exactly(clock: Clock) -> None:
    """Transports are looked at several times within the timeout."""
    timeouts, stuck = WriteTimeouts(0.1), SlowReader(0.1)
    timeouts.watch(stuck)
    clock.pass_by(0.09)
    assert stuck.expired == 0
    clock.pass_by(0.1 / LOOKS + 0.01)
    assert stuck.expired == 1


class Silent:
    """A transport whose peer says nothing by itself."""

    def __init__(self) -> None:
        self.heard = True
        self.silent_looks = 0
        self.listening = True
        self.pings = 0
        self.expired = 0

    def ping(self) -> None:
        """Count it."""
        self.pings += 1

    def expire_silently(self) -> None:
        """Count it."""
        self.expired += 1


INTERVAL = 20.0
LOOK = INTERVAL / LOOKS


def test_silent_peer_is_pinged_and_then_expires(clock: Clock) -> None:
    """It is pinged once after the interval, and ended after another one."""
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


def test_peer_that_answers_lives(clock: Clock) -> None:
    """Anything that it sends counts, and it is pinged again later."""
    pings, quiet = Pings(INTERVAL), Silent()
    pings.watch(quiet)
    for count in range(1, 10):
        clock.pass_by(INTERVAL + LOOK)
        assert quiet.pings == count
        quiet.heard = True
    assert quiet.expired == 0


def test_peer_that_talks_is_not_pinged(clock: Clock) -> None:
    """A ping would tell nothing new."""
    pings, talkative = Pings(INTERVAL), Silent()
    pings.watch(talkative)
    for _ in range(100):
        clock.pass_by(INTERVAL / 2)
        talkative.heard = True
    assert talkative.pings == 0


def test_peer_that_is_not_listened_to_is_not_blamed(clock: Clock) -> None:
    """Its silence is the server's doing; once it is read from, a ping gives it an interval."""
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
    """A peer that was never watched can be forgotten, too."""
    pings, gone, silent = Pings(INTERVAL), Silent(), Silent()
    pings.watch(gone)
    pings.watch(silent)
    pings.forget(gone)
    pings.forget(Silent())
    clock.pass_by(3 * INTERVAL)
    assert (gone.pings, silent.pings) == (0, 1)


@pytest.mark.parametrize("timer", [WriteTimeouts(30), Pings(INTERVAL)])
def test_no_timer_runs_while_there_is_nothing_to_watch(
    clock: Clock, timer: WriteTimeouts | Pings
) -> None:
    """An idle server does not wake up, and the next transport starts the timer again."""
    for _ in range(2):
        transport: Any = SlowReader() if isinstance(timer, WriteTimeouts) else Silent()
        timer.watch(transport)
        assert len(clock.timers) == 1
        timer.forget(transport)
        clock.pass_by(INTERVAL)
        assert clock.timers == []


def test_timers_of_an_event_loop(clock: Clock) -> None:
    """They use what was configured."""
    timeouts = Timeouts(write_timeout=5, ping_interval=INTERVAL)
    stuck, silent = SlowReader(timeouts.write_timeout), Silent()
    timeouts.writes.watch(stuck)
    timeouts.pings.watch(silent)
    clock.pass_by(7)
    assert (stuck.expired, silent.pings) == (1, 0)
    clock.pass_by(INTERVAL)
    assert silent.pings == 1
