"""A clock that tests move."""

from collections.abc import Callable


class Timer:
    """A call that is due later."""

    def __init__(self, clock: "Clock", due: float, callback: Callable[[], None]) -> None:
        self.due = due
        self.callback = callback
        self._clock = clock

    def cancel(self) -> None:
        """Call nothing."""
        if self in self._clock.timers:
            self._clock.timers.remove(self)


class Clock:
    """A clock with timers, for which time passes only when a test says so.

    Args:
        now: The time in seconds at which it begins.
        tick: Seconds by which each look at it is later than the one before.
    """

    def __init__(self, now: float = 1000.0, *, tick: float = 0.0) -> None:
        self.now = now
        self.timers: list[Timer] = []
        """The timers that are set."""
        self._tick = tick

    def __call__(self) -> float:
        """Return the time in seconds."""
        self.now += self._tick
        return self.now

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        """Set a timer."""
        timer = Timer(self, self.now + delay, callback)
        self.timers.append(timer)
        return timer

    def elapse(self, seconds: float) -> None:
        """Let time pass, and run the timers that are due meanwhile, each at its time."""
        end = self.now + seconds
        while self.run_next(end):
            pass
        self.stand_at(end)

    def run_next(self, end: float) -> bool:
        """Run the next timer that is due until a time; return whether there was one."""
        first = min(self.timers, key=lambda timer: timer.due, default=None)
        if first is None or first.due > end:
            return False
        self.timers.remove(first)
        self.stand_at(first.due)
        first.callback()
        return True

    def jump(self, seconds: float) -> None:
        """Let time pass in which no timer runs, as when the event loop is stopped."""
        self.now += seconds

    def stand_at(self, now: float) -> None:
        """Let it be this time, unless it is later already."""
        self.now = max(self.now, now)
