"""What a broker keeps for a limited time is released regularly, in slices."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

from pubsub.expiry import INTERVAL, forget_regularly


class Loop:
    """An event loop that runs the next callback when a test says so."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, Callable[..., Any], tuple[Any, ...]]] = []

    def call_soon(self, callback: Callable[..., Any], *args: Any) -> None:
        """Add a callback for the next turn."""
        self.call_later(0, callback, *args)

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any) -> None:
        """Add a timer."""
        self.calls.append((delay, callback, args))

    def run(self) -> float:
        """Run the only callback; return for how long it was delayed."""
        [(delay, callback, args)] = self.calls
        self.calls.clear()
        callback(*args)
        return delay


class Keeper:
    """Keeps as many things as it has slices."""

    def __init__(self, slices: int) -> None:
        self.slices = slices

    def forget_expired(self) -> bool:
        """Release one slice."""
        self.slices -= 1
        return self.slices > 0


def test_slices() -> None:
    """The event loop runs between two slices; after the last one the next look is due later."""
    loop, keeper = Loop(), Keeper(3)
    forget_regularly(keeper, loop)
    assert [loop.run() for _ in range(5)] == [INTERVAL, 0, 0, INTERVAL, INTERVAL]


def test_the_timer_ends_with_its_object() -> None:
    """The timer keeps nothing alive."""
    loop, keeper = Loop(), Keeper(1)
    forget_regularly(keeper, loop)
    reference = weakref.ref(keeper)
    del keeper
    gc.collect()
    assert reference() is None
    loop.run()
    assert loop.calls == []
