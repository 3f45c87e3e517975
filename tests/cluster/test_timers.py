"""Calls that are due later."""

from pubsub.cluster.presence.timers import Timers
from tests.clock import Clock


def test_a_call_that_is_due_is_not_repeated() -> None:
    """A function is called once after the first delay, and can be due again afterwards."""
    time = Clock()
    timers = Timers(time.call_later)
    calls: list[float] = []

    def call() -> None:
        calls.append(time.now)
        if len(calls) == 1:
            timers.later(3.0, call)

    timers.later(1.0, call)
    timers.later(2.0, call)
    time.elapse(10)
    assert calls == [1001.0, 1004.0]


def test_nothing_is_called_after_the_end() -> None:
    """Stopping cancels everything that is due."""
    time = Clock()
    timers = Timers(time.call_later)
    timers.later(1.0, lambda: None)
    timers.later(1.0, time.timers.clear)
    timers.stop()
    assert time.timers == []
