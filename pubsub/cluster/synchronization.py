"""How a process catches up with the others after each connection, and how requests wait for it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from pubsub import logs
from pubsub.cluster.reach import OUT_OF_REACH
from pubsub.protocol.errors import Unavailable
from pubsub.relay import errors
from pubsub.relay.base import Relay

logger = logging.getLogger(__name__)

READY_TIMEOUT = 4.0
"""Seconds in which requests wait for this process to join the others.

Then they are refused at once: one request may have many parts, each of which would wait.
"""

RETRY = 0.5
"""Seconds between two attempts to synchronize."""


class Synchronization:
    """Brings a process up to date, again and again until it succeeds, while the relay is connected.

    From `start` until an attempt has succeeded the process is not up to date: it may have missed
    anything, and what it knows may be wrong. Requests wait meanwhile, so they notice nothing of a
    synchronization that is over soon.

    Args:
        relay: The way to the others.
        attempt: Synchronizes everything once. It raises the relay's `Unavailable` if others are out
            of reach.
    """

    def __init__(self, relay: Relay, attempt: Callable[[], Awaitable[None]]) -> None:
        self._relay = relay
        self._attempt = attempt
        self._running: asyncio.Task[None] | None = None
        self._done = asyncio.Event()
        self._has_joined = False
        self._begun: float | None = None
        """The time from which requests have to wait."""
        self._is_stopped = False
        self._refusal = ""
        """Why the last attempt failed, if that was logged."""
        self.has_succeeded = False
        """Whether this process has ever been up to date."""

    def start(self) -> None:
        """Begin, or begin again, because the relay was connected, or something was missed."""
        if self._is_stopped:
            return
        if self._done.is_set() or not self._has_joined:
            self._begun = asyncio.get_running_loop().time()
        self._end_attempt()
        self._running = asyncio.ensure_future(self._run())

    def on_disconnected(self) -> None:
        """Note that this process may miss something from now on.

        An attempt that has begun proves nothing any more, even if the connection is back before it
        ends.
        """
        self._has_joined = False
        self._end_attempt()

    def stop(self) -> None:
        """Do nothing any more."""
        self._is_stopped = True
        self.on_disconnected()

    def _end_attempt(self) -> None:
        self._done.clear()
        if self._running is not None:
            self._running.cancel()
            self._running = None

    async def _run(self) -> None:
        while self._relay.is_connected:
            try:
                await self._attempt()
            except errors.Unavailable as error:
                self._report_refusal(str(error))
            except Exception:
                logger.exception("Failed to synchronize with other processes")
            else:
                self._refusal = ""
                self.has_succeeded = self._has_joined = True
                self._done.set()
                return
            await asyncio.sleep(RETRY)

    def _report_refusal(self, reason: str) -> None:
        """Log why this process cannot join the others, once for each reason."""
        if reason != self._refusal and self._relay.is_connected:
            self._refusal = reason
            logs.relay_refused(reason=reason)

    @property
    def is_done(self) -> bool:
        """Whether this process knows all topics and gets everything that it wants."""
        return self._done.is_set() and self._relay.is_connected

    @property
    def has_joined(self) -> bool:
        """Whether it was done since the relay was connected, even if it has begun again."""
        return self._has_joined and self._relay.is_connected

    async def wait(self) -> None:
        """Wait until it is done, unless this process was cut off from the others.

        Raises:
            Unavailable: The others are out of reach, or it is not done `READY_TIMEOUT` after it has
                begun (or has first been waited for, if the relay was never connected).
        """
        if self.is_done:
            return
        if self.has_succeeded and not self._relay.is_connected:
            raise Unavailable(OUT_OF_REACH)
        if self._begun is None:
            self._begun = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(self._begun + READY_TIMEOUT):
                await self._done.wait()
        except TimeoutError:
            raise Unavailable(OUT_OF_REACH) from None

    def __repr__(self) -> str:
        return f"<Synchronization {'is done' if self.is_done else 'is not done'}>"
