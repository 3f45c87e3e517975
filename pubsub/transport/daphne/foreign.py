"""Every name of Daphne, Autobahn and Twisted that the transport relies on, in one table.

None of these is a documented interface, so any upgrade may change them. All names are read before
anything is changed; if one is missing, the portable transport serves the connection.
"""

import asyncio
import functools
import logging
from typing import Any

logger = logging.getLogger(__name__)

PROTOCOL = {
    "STATE_OPEN": "the state of a connection after its handshake",
    "STATE_CLOSED": "the state of a connection that was lost",
    "state": "whether the handshake was completed",
    "transport": "Twisted's transport of the socket",
    "factory": "Autobahn's count of connections",
    "data": "bytes that arrived together with the handshake",
    "processData": "disabled while the handshake is completed, so that Autobahn parses no frame",
    "maxMessagePayloadSize": "Daphne's limit for a message",
    "maxFramePayloadSize": "Daphne's limit for a frame",
    "_perMessageCompress": "whether compression was negotiated, which the engine does not support",
    "server": "Daphne's server",
    "request": "the path, for the access log",
    "client_addr": "the client's address, for the access log",
}
"""``daphne.ws_protocol.WebSocketProtocol``, an Autobahn protocol: name → what it is used for."""

FACTORY = {"countConnections": "Autobahn's count, without the connections that are taken over"}
"""``daphne.ws_protocol.WebSocketFactory``."""

SERVER = {
    "connections": "Daphne's connections, among which the transport replaces the protocol",
    "protocol_disconnected": "tells Daphne that a connection has ended",
    "log_action": "writes Daphne's access log",
    "action_logger": "whether there is an access log",
    "verbosity": "whether Autobahn's debug messages go anywhere",
    "websocket_timeout": "Daphne's own time limit for a connection",
}
"""``daphne.server.Server``."""

TRANSPORT = {
    "protocol": "the object that gets the received bytes and learns of the end",
    "registerProducer": "makes Twisted report when its buffer is full and when it has drained",
    "unregisterProducer": "removes Twisted's HTTP channel, and the transport at the end",
    "write": "buffers what the kernel does not take, and tries again",
    "pauseProducing": "stops reading from the socket",
    "resumeProducing": "reads from the socket again",
    "loseConnection": "closes the socket once everything is written",
    "abortConnection": "closes the socket now",
}
"""Twisted's transport, for TCP or TLS."""

BUFFER = {
    "connected": "whether the socket is open",
    "socket": "the socket itself",
    "bufferSize": "bytes that are read at a time, and bytes waiting that pause a producer",
    "dataBuffer": "waiting bytes",
    "offset": "how many of these are written already",
    "_tempDataLen": "more waiting bytes",
}
"""``twisted.internet.tcp.Connection``: the transport or, with TLS, the one below it."""

DIRECT = {
    "disconnecting": "whether Twisted still reads from the socket",
    "fileno": "the socket's number, to be called when it is readable",
    "reactor": "Twisted's reactor, whose event loop has to be asyncio's",
    "producerPaused": "makes Twisted resume its producer as soon as the buffer has drained",
    "loseWriteConnection": "closes the sending direction and still reads",
}
"""``twisted.internet.tcp.Connection`` without TLS above it."""


REACTOR = {"_asyncioEventloop": "the event loop in which sockets are registered"}
"""``twisted.internet.asyncioreactor.AsyncioSelectorReactor``."""


class NotAsExpected(Exception):
    """Daphne, Autobahn or Twisted differ from the table; the message says how."""


def check(protocol: Any) -> None:
    """Read every name in the table.

    Raises:
        NotAsExpected: A name is missing.
    """
    _check(protocol, PROTOCOL)
    _check(protocol.factory, FACTORY)
    _check(protocol.server, SERVER)
    tcp = protocol.transport
    if is_tls(tcp):
        _check(tcp, TRANSPORT.keys() - {"protocol"} | {"wrappedProtocol", "transport"})
        _check(tcp.transport, BUFFER)
    else:
        _check(tcp, TRANSPORT)
        _check(tcp, BUFFER)
        _check(tcp, DIRECT)
        _check(tcp.reactor, REACTOR)
        if tcp.reactor._asyncioEventloop is not asyncio.get_running_loop():
            raise NotAsExpected("Twisted's reactor runs in another event loop")


def is_lost(protocol: Any) -> bool:
    """Return whether the client has left already. Twisted's transport lacks some names then.

    Raises:
        NotAsExpected: A name that is needed to find out is missing.
    """
    _check(protocol, ("state", "STATE_CLOSED"))
    return bool(protocol.state == protocol.STATE_CLOSED)


def _check(of: Any, names: Any) -> None:
    for name in names:
        try:
            getattr(of, name)
        except AttributeError as error:
            raise NotAsExpected(str(error)) from None


def is_tls(tcp: Any) -> bool:
    """Return whether a transport of Twisted encrypts.

    A TLS transport delegates unknown attributes to the TCP transport below it, so it seems to have
    a socket, but bytes written to that socket would not be encrypted.
    """
    return not isinstance(tcp, _file_descriptor_class())


@functools.cache
def _file_descriptor_class() -> type:
    # Twisted must not be imported before Daphne has chosen its reactor.
    from twisted.internet.abstract import FileDescriptor

    return FileDescriptor


@functools.cache
def warn_once(what: str) -> None:
    """Log that a guarantee is missing, once for each reason."""
    logger.warning(
        "This version of Daphne, Autobahn or Twisted is not as expected (%s): memory for clients "
        "that do not read is not bounded",
        what,
    )
