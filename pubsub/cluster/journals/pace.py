"""A bound for the work on new entries in one turn of the event loop."""

import asyncio

from pubsub import fairness


class Pace:
    """Counts the work on new entries of all topics in one turn of the event loop."""

    __slots__ = ("_spent",)

    def __init__(self) -> None:
        self._spent = 0

    @property
    def is_spent(self) -> bool:
        """Whether the rest has to wait for the next turn."""
        return self._spent >= fairness.BATCH_SLICE

    def spend(self, work: int) -> None:
        """Count work, in the unit of `pubsub.fairness`."""
        if not self._spent:
            asyncio.get_running_loop().call_soon(self._begin_turn)
        self._spent += work

    def _begin_turn(self) -> None:
        self._spent = 0
