"""How fast connections are opened, and how they are closed when the server stops."""

import os
import select
import signal
import time

from bench.load.dialects import Dialect
from bench.load.meter import Meter
from bench.load.websocket import open_connections

CLOSE_SHUTDOWN = b"\x88\x0a\x0b\xb9shutdown"
"""The close frame with code 3001 and its reason."""


def connect(port: int, dialect: Dialect, pid: int | None, count: int) -> dict[str, float]:
    """Open ``count`` WebSockets, each until the response to its handshake has arrived."""
    scripts = [dialect.opening[:1]] * count
    meter = Meter(pid)
    connections = open_connections(port, scripts)
    elapsed, share = meter.read()
    cost = meter.server_cost(count)
    for sock in connections:
        sock.close()
    return {"connections_per_second": count / elapsed, "generator_share": share, **cost}


def stop(port: int, dialect: Dialect, pid: int, count: int) -> dict[str, float]:
    """Send SIGTERM to a server with ``count`` clients; wait for the close frames and its end."""
    connections = open_connections(port, [dialect.opening] * count)
    process = os.pidfd_open(pid)
    meter = Meter()
    begin = time.perf_counter()
    os.kill(pid, signal.SIGTERM)
    told = sum(CLOSE_SHUTDOWN in sock.recv(4096) for sock in connections)
    for sock in connections:
        sock.close()
    select.select([process], [], [], 30)
    _, share = meter.read()
    return {
        "told": told,
        "stop_seconds": time.perf_counter() - begin,
        "generator_share": share,
    }
