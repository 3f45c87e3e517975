"""The end of a closed loop: publishing stops, and everything in flight has to arrive."""

import select
import time
from collections.abc import Callable

from bench.load.processes import cpu_seconds

PATIENCE = 30.0
"""Seconds by which a measurement may be extended until a first publication is delivered to all.

Only `group_send` with a thousand connections needs them; otherwise it would have no figure.
"""

QUIET = 2.0
"""Seconds without a byte from an idle server after which a delivery counts as missing."""

GRACE = 5.0
"""Seconds after which a server that is still busy is no longer waited for."""


def drain(
    poll: select.epoll,
    take: Callable[[list[tuple[int, int]]], object],
    missing: Callable[[], float],
    pid: int | None,
) -> None:
    """Receive until nothing is missing.

    Args:
        poll: Reports which sockets are readable.
        take: Receives from the sockets it is given.
        missing: Returns the number of deliveries that have not arrived yet.
        pid: The server's process, to see whether it is still busy.

    Raises:
        ConnectionError: Deliveries are missing, or there are more than there should be.
    """
    deadline = time.perf_counter() + GRACE
    while missing() > 0 and time.perf_counter() < deadline:
        before = cpu_seconds(pid) if pid else 0.0
        events = poll.poll(QUIET)
        if not events and (not pid or cpu_seconds(pid) - before < QUIET / 10):
            raise ConnectionError(f"{missing():,.0f} deliveries are missing")
        take(events)
    if missing() < 0:
        raise ConnectionError("more was delivered than was published")
