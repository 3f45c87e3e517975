"""How late the event loop is."""

import weakref
from collections.abc import Callable
from typing import Any, Protocol

from pubsub.core.histogram import Histogram

INTERVAL = 0.5
"""Seconds between two measurements."""

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Loop(Protocol):
    """What is needed of an event loop."""

    def time(self) -> float:
        """Return the time of its clock, in seconds."""

    def call_at(self, when: float, callback: Callable[..., object], *args: Any) -> object:
        """Call ``callback`` at a time of its clock."""


class EventLoopLag:
    """Measures how much later than asked for the event loop runs a timer.

    That is how long everything else that becomes due, such as a message that arrives, waits while
    the loop is busy. A measurement costs a few microseconds. The timer does not keep this object
    alive, and ends with it.
    """

    def __init__(self) -> None:
        self.seconds = Histogram(BOUNDS)

    def start(self, loop: Loop) -> None:
        """Measure an event loop from now on. Call it once for each loop."""
        _schedule(weakref.ref(self), loop)


def _schedule(reference: "weakref.ref[EventLoopLag]", loop: Loop) -> None:
    due = loop.time() + INTERVAL
    loop.call_at(due, _measure, reference, loop, due)


def _measure(reference: "weakref.ref[EventLoopLag]", loop: Loop, due: float) -> None:
    lag = reference()
    if lag is not None:
        # A timer may run early by as much as the clock's resolution.
        lag.seconds.observe(max(0.0, loop.time() - due))
        _schedule(reference, loop)
