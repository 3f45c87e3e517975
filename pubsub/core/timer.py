"""One timer of the event loop for many tasks that are due after the same delay."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from pubsub import fairness


class Timer(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """Call nothing."""


CallLater = Callable[[float, Callable[[], None]], Timer]
"""Calls a function once, after some seconds."""

Task = Callable[[], int]
"""Does what is due, and returns how much work that was, in the unit of `pubsub.fairness`."""


def on_running_loop(delay: float, callback: Callable[[], None]) -> Timer:
    """Have the running event loop call a function after ``delay`` seconds."""
    return asyncio.get_running_loop().call_later(delay, callback)


class SharedTimer:
    """Calls each task once, some seconds after it was added, in the order in which they were added.

    Whatever the number of tasks, there is one timer, and none while no task is waiting. Of many
    tasks that are due at once, a slice of bounded work is done in each turn of the event loop.

    Args:
        delay: Seconds from `add` to the call.
        clock: Returns the time in seconds.
        call_later: Sets the timer.
    """

    def __init__(self, delay: float, *, clock: Callable[[], float], call_later: CallLater) -> None:
        self._delay = delay
        self._clock = clock
        self._call_later = call_later
        self._due: OrderedDict[Task, float] = OrderedDict()
        self._timer: Timer | None = None

    def add(self, task: Task) -> None:
        """Have ``task`` called after the delay, unless it is waiting already."""
        if task not in self._due:
            self._due[task] = self._clock() + self._delay
            if self._timer is None:
                self._set()

    def discard(self, task: Task) -> None:
        """Do not call ``task``, if it is waiting."""
        self._due.pop(task, None)

    def restart(self) -> None:
        """Set the timer again, because another event loop runs now."""
        if self._timer is not None:
            self._timer.cancel()
        self._set()

    def _set(self) -> None:
        self._timer = None
        if self._due:
            first = next(iter(self._due.values()))
            self._timer = self._call_later(max(0.0, first - self._clock()), self._run)

    def _run(self) -> None:
        work = 0
        try:
            while self._due and work < fairness.TIMER_SLICE:
                task, due = next(iter(self._due.items()))
                if due > self._clock():
                    break
                del self._due[task]
                work += task()
        finally:
            self._set()

    def __repr__(self) -> str:
        return f"<SharedTimer of {self._delay} s, {len(self._due)} tasks>"
