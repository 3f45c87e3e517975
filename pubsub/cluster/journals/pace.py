"""A bound for what arrives from other processes in one turn of the event loop."""

import asyncio

from pubsub import fairness


class Pace:
    """How much new entries may do in one turn of the event loop, whatever topics they are for."""

    __slots__ = ("_spent",)

    def __init__(self) -> None:
        self._spent = 0

    @property
    def is_spent(self) -> bool:
        """Whether the rest must wait for another turn."""
        return self._spent >= fairness.BATCH_SLICE

    def spend(self, work: int) -> None:
        """Count work, in the unit of `pubsub.fairness`."""
        if not self._spent:
            asyncio.get_running_loop().call_soon(self._begin_turn)
        self._spent += work

    def _begin_turn(self) -> None:
        self._spent = 0
