"""Waiting for a server: how long at most, and for what nothing announces."""

import socket
import time
from collections.abc import Callable

PATIENCE = 60.0
"""Seconds after which something that must happen fails a test, on a machine under heavy load."""

PAUSE = 0.005


def accepts_connections(port: int) -> bool:
    """Return whether a server listens on this port."""
    try:
        socket.create_connection(("127.0.0.1", port), PATIENCE).close()
    except ConnectionRefusedError:
        return False
    return True


def wait_until(
    condition: Callable[[], object],
    explain: Callable[[], object] = lambda: "it never happened",
    seconds: float = PATIENCE,
) -> None:
    """Poll until the condition holds; after so many seconds fail with what ``explain`` returns.

    The pauses leave the processor to the server, and to the tests that run at the same time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, explain()
        time.sleep(PAUSE)
