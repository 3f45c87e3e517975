"""Helpers shared by the tests of the cluster: processes on one memory network, and time by hand."""

import asyncio
from collections.abc import Callable
from typing import Any

from pubsub.relay.memory import MemoryNetwork, MemoryRelay


class Silent:
    """A process that does nothing about its relay's reports."""

    def on_connected(self) -> None:
        """Do nothing."""

    def on_disconnected(self) -> None:
        """Do nothing."""

    def on_change(self, key: str, value: bytes | None, revision: int) -> None:
        """Do nothing."""


def connected_relay(network: MemoryNetwork) -> MemoryRelay:
    """Return the connected relay of one more process."""
    relay = network.relay()
    relay.start(Silent())
    relay.connect()
    return relay


async def turns(number: int = 20) -> None:
    """Let the event loop run, for messages that arrive in the next turn, and answers to them."""
    for _ in range(number):
        await asyncio.sleep(0)


class _Timer:
    def __init__(self, due: float, callback: Callable[[], None]) -> None:
        self.due = due
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Call nothing."""
        self.callback = None


class Time:
    """A clock with timers that goes on when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._timers: list[_Timer] = []

    def clock(self) -> float:
        """Return the time in seconds."""
        return self.now

    def call_later(self, delay: float, callback: Callable[[], None]) -> _Timer:
        """Call a function after some seconds."""
        timer = _Timer(self.now + delay, callback)
        self._timers.append(timer)
        return timer

    async def pass_(self, seconds: float, *, step: float = 0.25) -> None:
        """Let time pass in steps, and everything happen that is due and that follows from it."""
        end = self.now + seconds
        await turns()
        while self.now < end:
            self.now = min(self.now + step, end)
            self.fire()
            await turns()

    def jump(self, seconds: float) -> None:
        """Let time pass while nothing can happen, as for a process that is stopped."""
        self.now += seconds

    def fire(self) -> None:
        """Call what is due."""
        due = [timer for timer in self._timers if timer.due <= self.now]
        self._timers = [timer for timer in self._timers if timer.due > self.now]
        for timer in sorted(due, key=lambda each: each.due):
            if timer.callback is not None:
                timer.callback()

    @property
    def waiting(self) -> list[Any]:
        """The timers that are set."""
        return [timer for timer in self._timers if timer.callback is not None]
