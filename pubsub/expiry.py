"""Releases what a broker keeps for a limited time."""

import weakref
from collections.abc import Callable
from typing import Any, Protocol

INTERVAL = 5.0
"""Seconds between two looks for what has expired."""


class Loop(Protocol):
    """What is needed of an event loop."""

    def call_soon(self, callback: Callable[..., object], *args: Any) -> object:
        """Call ``callback`` in the next turn."""

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> object:
        """Call ``callback`` after some seconds."""


class Keeper(Protocol):
    """What keeps things for a limited time."""

    def forget_expired(self) -> bool:
        """Release some of what has expired; return whether there is more."""


def forget_regularly(keeper: Keeper, loop: Loop) -> None:
    """Have ``keeper`` forget from now on, in slices of bounded work.

    The timer does not keep it alive, and ends with it. Call this once for each loop.
    """
    loop.call_later(INTERVAL, _forget, weakref.ref(keeper), loop)


def _forget(reference: "weakref.ref[Keeper]", loop: Loop) -> None:
    keeper = reference()
    if keeper is None:
        return
    if keeper.forget_expired():
        loop.call_soon(_forget, reference, loop)
    else:
        loop.call_later(INTERVAL, _forget, reference, loop)
