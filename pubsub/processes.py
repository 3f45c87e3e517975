"""Detects deployments that split the topics between processes.

Without a relay, all clients have to be served by one process. With several worker processes on
one port, each worker has topics of its own: a topic can be created twice, and a message reaches
only the clients of the worker that accepted it. Under WSGI no process can serve clients at all,
because every request has its own event loop.

On Linux, a process that serves clients *claims* its port: it binds a Unix socket to a name in the
abstract namespace that consists of the port and the process id. The kernel releases the name when
the process ends, however it ends. Claims are not exclusive; they only make a process discoverable.

Two processes conflict if both have claimed a port and both hold a listening socket with the same
address, whether inherited (the workers of uvicorn and gunicorn) or with SO_REUSEPORT. There is no
warning for a supervisor, which claims nothing; for an old process that no longer listens but still
serves its last clients; for containers, which have separate network namespaces; or for other
projects that use the same port on other addresses.
"""

import logging
import os
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import HttpRequest

logger = logging.getLogger(__name__)

WSGI_MESSAGE = (
    "this project is served over WSGI, where requests and clients cannot share topics; "
    "serve it over ASGI, for example with: daphne your_project.asgi:application"
)

_SECONDS_BETWEEN_LOOKS = 1.0
_SHARE_OF_TIME = 0.01
"""Largest share of the process's time spent looking, which is slow if there are many sockets."""

_WSGI = "pubsub.wsgi"
_LISTENS = "0A"  # a state in /proc/net/tcp
_ACCEPTS = 0x10000  # a flag in /proc/net/unix


# --- WSGI ---------------------------------------------------------------------------------------


def mark_wsgi(sender: object, environ: dict[str, Any], **kwargs: Any) -> None:
    """Mark a request that came over WSGI; a receiver of Django's signal ``request_started``.

    Requests of Django's test client look the same, but do not come from a `WSGIHandler`.
    """
    environ[_WSGI] = True


def is_wsgi(request: HttpRequest) -> bool:
    """Return whether the request came over WSGI."""
    return _WSGI in request.META


# --- Several processes --------------------------------------------------------------------------


class Neighbours:
    """The other processes that serve clients on a port of this process.

    Args:
        clock: Returns the seconds of a monotonic clock.
        welcome: Whether they belong to the same room, through a relay; then nothing is looked for.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, *, welcome: bool = False
    ) -> None:
        self._clock = clock
        self._welcome = welcome
        self._messages: dict[str, str] = {}
        self._claims: dict[str, socket.socket] = {}
        self._next_look = 0.0
        self._warned = False

    def look(self, scope: Mapping[str, Any]) -> None:
        """Look for others on the port of an ASGI connection, and log one warning if there are any.

        It looks at most once a second, so it is cheap enough to be called for every connection.
        """
        start = self._clock()
        if start < self._next_look or self._welcome or sys.platform != "linux":
            return
        port = _port(scope)
        with suppress(OSError):  # no Unix sockets in this sandbox, or the claim exists already
            self._claim(port)
        with suppress(OSError):  # no /proc in this sandbox
            count = _processes_on(port)
            self._messages[port] = _message(count, port) if count > 1 else ""
        if self.message and not self._warned:
            self._warned = True
            logger.warning("%s", self.message)
        end = self._clock()
        self._next_look = end + max(_SECONDS_BETWEEN_LOOKS, (end - start) / _SHARE_OF_TIME)

    @property
    def message(self) -> str:
        """What is wrong and what to do about it; empty if there are no others."""
        return next(filter(None, self._messages.values()), "")

    def _claim(self, port: str) -> None:
        if port not in self._claims:
            claim = self._claims[port] = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            claim.bind(f"\0{_prefix(port)}{os.getpid()}")

    def close(self) -> None:
        """Release the claims of this process."""
        while self._claims:
            self._claims.popitem()[1].close()


@cache
def neighbours() -> Neighbours:
    """Return the `Neighbours` of this process; the first call creates it."""
    return Neighbours(welcome=bool(getattr(settings, "CHATROOM", {}).get("RELAY")))


def _message(count: int, port: str) -> str:
    place = "one Unix socket" if port == _UNIX else f"port {port}"
    return (
        f"{count} processes serve the chat room on {place}, and each is a room of its own: "
        "messages do not reach the clients of the others. Run one process (for example --workers 1)"
    )


_UNIX = "unix"


def _port(scope: Mapping[str, Any]) -> str:
    server = scope.get("server") or (None, None)
    return str(server[1] or _UNIX)


def _prefix(port: str) -> str:
    return f"pubsub/{port}/"


def _processes_on(port: str) -> int:
    """Return how many processes have claimed the port and listen there, this one included."""
    others = _claimants(port) - {os.getpid()}
    if not others:
        return 1
    listeners = dict(_listeners(port))
    own = _addresses("self", listeners)
    return 1 + sum(bool(own & _addresses(str(process), listeners)) for process in others)


def _claimants(port: str) -> set[int]:
    """Return the ids of the processes that have claimed the port."""
    table = Path("/proc/self/net/unix").read_text(encoding="utf-8", errors="replace")
    return {int(pid) for pid in re.findall(rf" @{_prefix(port)}(\d+)$", table, re.MULTILINE)}


def _listeners(port: str) -> Iterator[tuple[str, str]]:
    """Yield the inode and the address of every listening socket on the port."""
    if port == _UNIX:
        yield from ((inode, path) for flags, inode, path in _unix_sockets() if flags & _ACCEPTS)
        return
    suffix = f":{int(port):04X}"
    for table in ("tcp", "tcp6"):
        for line in _table(table):
            _, address, _, state, *_, inode = line.split(maxsplit=10)[:10]
            if state == _LISTENS and address.endswith(suffix):
                yield inode, address


def _addresses(process: str, listeners: dict[str, str]) -> set[str]:
    """Return the addresses of the listening sockets that a process holds."""
    found = set()
    try:
        for descriptor in Path("/proc", process, "fd").iterdir():
            inode = str(descriptor.readlink()).removeprefix("socket:[").removesuffix("]")
            if inode in listeners:
                found.add(listeners[inode])
    except OSError:  # the process has just ended, or belongs to another user
        pass
    return found


def _unix_sockets() -> Iterator[tuple[int, str, str]]:
    """Yield the flags, inode and path of each Unix socket that has a path."""
    for line in _table("unix"):
        fields = line.split(maxsplit=7)
        if len(fields) == 8:
            yield int(fields[3], 16), fields[6], fields[7].rstrip("\n")


def _table(name: str) -> Iterator[str]:
    path = Path("/proc/self/net", name)
    if path.exists():  # a kernel without IPv6 has no tcp6
        with path.open(encoding="utf-8", errors="replace") as lines:
            next(lines)
            yield from lines
