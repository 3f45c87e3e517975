"""Bounds for HTTP on Daphne: memory, body sizes, time limits, and an orderly stop.

Daphne reads a request body of any size before it starts the application, lets an application
write a response of any size to a client that does not read, answers pipelined requests whether
or not the answers are read, and looks at all connections at once. `install` replaces six
attributes of Daphne's classes, so that every connection is served by a `Channel`, every request is
a `Request` of this package, and looking is done in slices. What replaces a function keeps it as
``__wrapped__``.

HTTP/2, which Daphne speaks over TLS if optional packages are installed, is not offered: its
streams belong to other classes of Twisted's, which have none of these bounds, and a WebSocket
needs HTTP/1.1 in any case.
"""

import functools
import socket
from collections.abc import Iterator
from typing import Any, cast

from pubsub.transport.daphne import foreign
from pubsub.transport.daphne.http_limits import HttpLimits

BACKLOG = 1024
"""Connections that may wait to be accepted. Twisted's default of 50 makes bursts stall for a
second, until the clients repeat their SYN."""

KEEP_ALIVE_IDLE = 60
"""Seconds without a packet after which the kernel probes a connection (tcp(7))."""

KEEP_ALIVE_INTERVAL = 15
"""Seconds between two probes."""

KEEP_ALIVE_PROBES = 4
"""Unanswered probes after which a connection is lost. WebSockets are also pinged; this finds lost
peers of HTTP connections, and of WebSockets that the server does not read."""


def install(limits: HttpLimits) -> None:
    """Bound Daphne's HTTP connections from now on; call it before the server is started.

    The first call decides; later ones change nothing. If Daphne or Twisted are not as `foreign`
    says, nothing is changed and one warning is logged.
    """
    if missing := foreign.missing(foreign.HTTP):
        foreign.warn_once(", ".join(missing), "HTTP requests and responses are not bounded")
    elif not _is_installed():
        _replace(limits)


def _is_installed() -> bool:
    from daphne.server import Server

    return hasattr(Server.handle_reply, "__wrapped__")


def _replace(limits: HttpLimits) -> None:
    # Only now: the classes inherit from what has just been checked.
    from daphne.http_protocol import HTTPFactory
    from daphne.server import Server
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred

    from pubsub.transport.daphne.http_channel import Channel, Request
    from pubsub.transport.daphne.http_connections import HttpConnections
    from pubsub.transport.daphne.sweeps import check_applications, check_timeouts

    connections = HttpConnections(limits)
    write = Server.handle_reply

    def make_channel() -> Channel:
        return Channel(connections)

    @functools.wraps(HTTPFactory.acceptableProtocols)
    def acceptable_protocols(factory: Any) -> list[bytes]:
        return [b"http/1.1"]

    @functools.wraps(write)
    async def handle_reply(server: Any, protocol: Any, message: dict[str, Any]) -> None:
        await write(server, protocol, message)
        connections.answered(protocol)
        if isinstance(protocol, Request):
            await protocol.drained()

    @functools.wraps(Server.timeout_checker)
    def timeout_checker(server: Any) -> None:
        check_timeouts(server)

    check = Server.application_checker

    @functools.wraps(check)
    def application_checker(server: Any) -> None:
        check_applications(server, check)

    @functools.wraps(Server.kill_all_applications)
    def kill_all_applications(server: Any) -> "Deferred[None]":
        return Deferred.fromFuture(connections.stop(server))

    def when_running() -> None:
        for port in _ports(HTTPFactory):
            _raise_backlog(port)
            _keep_alive(port)
        connections.watch()

    HTTPFactory.protocol = staticmethod(make_channel)
    HTTPFactory.acceptableProtocols = acceptable_protocols
    Server.handle_reply = handle_reply
    Server.kill_all_applications = kill_all_applications
    Server.timeout_checker = timeout_checker
    Server.application_checker = application_checker
    cast(Any, reactor).callWhenRunning(when_running)


def _ports(factory_class: type) -> Iterator[Any]:
    from twisted.internet import reactor, tcp

    for port in cast(Any, reactor).getReaders():
        if isinstance(port, tcp.Port):
            # TLS wraps the factory.
            factory = getattr(port.factory, "wrappedFactory", port.factory)
            if isinstance(factory, factory_class):
                yield port


def _raise_backlog(port: Any) -> None:
    # A port with another backlog was given it, and an inherited socket (None) has its own.
    if port.backlog == type(port).backlog:
        port.socket.listen(BACKLOG)


def _keep_alive(port: Any) -> None:
    """Have the kernel probe silent connections; on Linux they inherit this from the port."""
    listening = port.socket
    if listening.family == socket.AF_UNIX:
        return
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEP_ALIVE_IDLE)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEP_ALIVE_INTERVAL)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEP_ALIVE_PROBES)
