"""The lag of the event loop, measured on an event loop whose clock stands still."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from pubsub.lag import INTERVAL, EventLoopLag


class Loop:
    """An event loop that runs a timer when a test says so, as late as the test says."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[tuple[float, Callable[..., None], tuple[Any, ...]]] = []

    def time(self) -> float:
        """Return the time in seconds."""
        return self.now

    def call_at(self, when: float, callback: Callable[..., None], *args: Any) -> None:
        """Add a timer."""
        self.timers.append((when, callback, args))

    def run_timer(self, late: float) -> None:
        """Run the only timer, some seconds late."""
        [(when, callback, args)] = self.timers
        self.timers.clear()
        self.now = when + late
        callback(*args)


def test_each_timer_is_measured() -> None:
    """How late each timer runs is counted, and the next one is due an interval after that."""
    loop, lag = Loop(), EventLoopLag()
    lag.start(loop)
    assert loop.timers[0][0] == 100 + INTERVAL
    for late in (0.0, 0.003, 2.0):
        loop.run_timer(late)
    counts = dict(zip((*lag.seconds.bounds, None), lag.seconds.cumulative(), strict=True))
    assert (counts[0.001], counts[0.0025], counts[0.005], counts[1.0], counts[2.5]) == (
        *(1, 1, 2),
        *(2, 3),
    )
    assert lag.seconds.total == pytest.approx(2.003)
    assert loop.timers[0][0] == pytest.approx(100 + 4 * INTERVAL + 2.003)


def test_an_early_timer_is_not_negative() -> None:
    """A timer that runs early, within the resolution of the clock, is not late."""
    loop, lag = Loop(), EventLoopLag()
    lag.start(loop)
    loop.run_timer(-0.001)
    assert lag.seconds.total == 0.0


def test_the_timer_ends_with_its_object() -> None:
    """The timer keeps nothing alive, and is not set again when nobody measures."""
    loop, lag = Loop(), EventLoopLag()
    lag.start(loop)
    reference = weakref.ref(lag)
    del lag
    gc.collect()
    assert reference() is None
    loop.run_timer(0.0)
    assert loop.timers == []
