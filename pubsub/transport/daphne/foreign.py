"""Everything foreign that the transport for Daphne relies on, in one table.

None of it is documented as an interface, so any upgrade may change it. All names are read before
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
    "data": "what came together with the handshake",
    "processData": "held while the handshake is completed, so that Autobahn parses no frame",
    "maxMessagePayloadSize": "Daphne's limit for a message",
    "maxFramePayloadSize": "Daphne's limit for a frame",
    "_perMessageCompress": "whether compression was negotiated, which the engine does not know",
    "server": "Daphne's server",
    "request": "the path, for the access log",
    "client_addr": "the client's address, for the access log",
}
"""``daphne.ws_protocol.WebSocketProtocol``, an Autobahn protocol: name → what it is needed for."""

FACTORY = {"countConnections": "Autobahn no longer counts a connection that was taken over"}
"""``daphne.ws_protocol.WebSocketFactory``."""

SERVER = {
    "connections": "Daphne's books: the transport takes the protocol's place in them",
    "protocol_disconnected": "tells Daphne that a connection has ended",
    "log_action": "writes Daphne's access log",
    "action_logger": "whether there is an access log",
    "verbosity": "whether anyone reads Autobahn's debug messages",
    "websocket_timeout": "Daphne's own limit for the age of a connection",
}
"""``daphne.server.Server``."""

TRANSPORT = {
    "protocol": "who gets what the socket receives and learns of its end",
    "registerProducer": "makes Twisted say when its buffer is full, and when it has drained",
    "unregisterProducer": "removes Twisted's HTTP channel, and the transport at the end",
    "write": "keeps what the kernel does not take, and tries again",
    "pauseProducing": "stops reading from the socket",
    "resumeProducing": "reads from the socket again",
    "loseConnection": "closes the socket once everything is written",
    "abortConnection": "closes the socket now",
}
"""Twisted's transport, be it TCP or TLS."""

BUFFER = {
    "connected": "whether the socket is open",
    "socket": "the socket itself",
    "bufferSize": "bytes that are read at a time, and that may wait before a producer is paused",
    "dataBuffer": "bytes that wait",
    "offset": "how many of these were written already",
    "_tempDataLen": "more bytes that wait",
}
"""``twisted.internet.tcp.Connection``: the transport, or what lies below it with TLS."""

DIRECT = {
    "disconnecting": "whether Twisted still reads from the socket",
    "fileno": "the socket's number, to be called when it is readable",
    "reactor": "Twisted's reactor, whose event loop has to be asyncio's",
    "producerPaused": "makes Twisted resume its producer as soon as the buffer has drained",
    "loseWriteConnection": "sends the end of the stream and still reads",
}
"""``twisted.internet.tcp.Connection`` where there is no TLS above it."""


REACTOR = {"_asyncioEventloop": "the event loop in which sockets are registered"}
"""``twisted.internet.asyncioreactor.AsyncioSelectorReactor``."""


class NotAsExpected(Exception):
    """Daphne, Autobahn or Twisted are not as the table says; the message tells what is wrong."""


def check(protocol: Any) -> None:
    """Read every name of the table.

    Raises:
        NotAsExpected: One is missing.
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
    """Tell whether the client has left already; Twisted's transport is half empty then.

    Raises:
        NotAsExpected: There is no telling.
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
    """Tell whether a transport of Twisted's encrypts.

    A TLS transport passes unknown attributes on to the TCP transport below it, so it does seem to
    have a socket, but what is written to that would leave in plain text.
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
        "This version of Daphne, Autobahn or Twisted is not as expected (%s): clients that do "
        "not read will take memory without a bound",
        what,
    )
