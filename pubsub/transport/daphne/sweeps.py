"""What Daphne looks at for every connection once a second, in slices.

With ten thousand connections each of its two loops holds the event loop for ten milliseconds.
"""

from collections.abc import Callable
from typing import Any, cast

from pubsub.fairness import TICK_SLICE

LOOKED_AT = 4 * TICK_SLICE
"""Connections that are looked at in one slice: about 1 ms, unless something is to be done."""


def check_timeouts(server: Any) -> None:
    """Enforce Daphne's own time limits, and again after two seconds, as it does itself."""

    def check(connections: list[Any]) -> None:
        for connection in connections:
            connection.check_timeouts()

    def again() -> None:
        _call_later(2, server.timeout_checker)

    _sweep(server, list(server.connections), check, again)


def check_applications(server: Any, check: Callable[[Any], None]) -> None:
    """Have Daphne forget the connections that have ended.

    Args:
        server: Daphne's server.
        check: Its own `application_checker`, which calls itself again after a second. It sees only
            those connections that it does something about.
    """
    ended: dict[Any, Any] = {}

    def look(connections: list[Any]) -> None:
        for connection in connections:
            details = server.connections[connection]
            application = details.get("application_instance")
            if application is None or application.done() or details.get("disconnected"):
                ended[connection] = details

    def check_ended() -> None:
        before = list(ended)
        check(_Part(server, ended))
        for connection in before:
            if connection not in ended:
                server.connections.pop(connection, None)

    _sweep(server, list(server.connections), look, check_ended)


class _Part:
    """Daphne's server with a part of its connections."""

    def __init__(self, server: Any, connections: dict[Any, Any]) -> None:
        self._server = server
        self.connections = connections

    def __getattr__(self, name: str) -> Any:
        return getattr(self._server, name)


def _sweep(
    server: Any,
    connections: list[Any],
    look: Callable[[list[Any]], None],
    finish: Callable[[], None],
) -> None:
    """Pass the connections that are still there to ``look``, and ``finish`` after the last ones."""
    look([each for each in connections[:LOOKED_AT] if each in server.connections])
    if rest := connections[LOOKED_AT:]:
        _call_later(0, _sweep, server, rest, look, finish)
    else:
        finish()


def _call_later(seconds: float, function: Callable[..., None], *args: Any) -> None:
    from twisted.internet import reactor

    cast(Any, reactor).callLater(seconds, function, *args)
