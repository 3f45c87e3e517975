"""Every foreign name that this package relies on, with what it is needed for.

None of these names is documented as an interface, so any upgrade may change them. The table has
one part for each thing that is lost when one of its names is missing:

==================== ============================ ===============================================
part                 read                         if a name is missing
==================== ============================ ===============================================
`WEBSOCKET`          for each connection          one warning; the portable transport serves it
`HTTP`               when the application is made one warning; HTTP has no bounds
`SIGNALS`            when the application is made one warning; a signal spreads no clients
`COMPRESSION`        at the first offer of it     one warning; connections are not compressed
`DEBUG_MESSAGES`     at the first handshake       handshakes are slower
`ACCESS_LOG`         when the application is made the access log has Daphne's own form
==================== ============================ ===============================================

All names of a part are read before anything is changed. What Twisted documents (its reactor, for
example) is not in the table.
"""

import asyncio
import functools
import importlib
import logging
from types import ModuleType
from typing import Any, TypeAlias

logger = logging.getLogger(__name__)

Table: TypeAlias = dict[str, dict[str, str]]
"""Place → name → what it is needed for.

A place is a module (``module``), a class (``module:Class``) or a function
(``module:Class.function``). The names of a module or a class are its attributes. The names of a
function occur in its code; that is how instances get their attributes.
"""

PROTOCOL = "daphne.ws_protocol:WebSocketProtocol"
FACTORY = "daphne.ws_protocol:WebSocketFactory"
SERVER = "daphne.server:Server"
TCP = "twisted.internet.tcp:Server"
TLS = "twisted.protocols.tls:TLSMemoryBIOProtocol"
REACTOR = "twisted.internet.asyncioreactor:AsyncioSelectorReactor"

WEBSOCKET: Table = {
    PROTOCOL: {
        "STATE_OPEN": "the state of a connection after its handshake",
        "STATE_CLOSED": "the state of a connection that was lost",
        "state": "whether the handshake was completed",
        "transport": "Twisted's transport of the socket",
        "factory": "Autobahn's count of connections",
        "data": "bytes that arrived before the handshake was completed",
        "processData": "disabled during the handshake, so that Autobahn parses no frame",
        "consumeData": "has Autobahn parse frames after all, if they may be compressed",
        "maxMessagePayloadSize": "Daphne's limit for a message",
        "maxFramePayloadSize": "Daphne's limit for a frame",
        "_perMessageCompress": "whether Autobahn has negotiated compression itself",
        "is_closed": "Autobahn's Deferred, whose cycle with the protocol is broken",
        "server": "Daphne's server",
        "request": "the path, for the access log",
        "client_addr": "the client's address, for the access log",
    },
    FACTORY: {
        "countConnections": "Autobahn's count, without the connections that are taken over",
    },
    SERVER: {
        "create_application": "wrapped: puts a reference to the protocol into the scope",
        "connections": "Daphne's connections, among which the transport replaces the protocol",
        "protocol_disconnected": "tells Daphne that a connection has ended",
        "log_action": "writes Daphne's access log",
        "action_logger": "whether there is an access log",
        "verbosity": "whether Autobahn's debug messages go anywhere",
        "websocket_timeout": "Daphne's own limit for the age of a connection",
    },
    TCP: {
        "protocol": "the object that gets the received bytes and learns of the end",
        "registerProducer": "makes Twisted report when its buffer is full and when it has drained",
        "unregisterProducer": "removes Twisted's HTTP channel, and the transport at the end",
        "producerPaused": "makes Twisted resume its producer as soon as the buffer has drained",
        "write": "buffers what the kernel does not take, and tries again",
        "pauseProducing": "stops reading from the socket",
        "resumeProducing": "reads from the socket again",
        "loseConnection": "closes the socket once everything is written",
        "loseWriteConnection": "closes the sending direction and still reads",
        "abortConnection": "closes the socket now",
        "socket": "the socket itself",
        "fileno": "the socket's number, to be called when it is readable",
        "connected": "whether the socket is open",
        "disconnecting": "whether Twisted is closing the socket, and so no longer reads from it",
        "reactor": "Twisted's reactor, whose event loop has to be the running one",
        "bufferSize": "bytes that are read at a time, and that may wait before a producer pauses",
        "dataBuffer": "bytes that wait",
        "offset": "how many of these were written already",
        "_tempDataLen": "more bytes that wait",
    },
    TLS: {
        "transport": "the TCP transport below it",
        "wrappedProtocol": "the object that gets the decrypted bytes and learns of the end",
        "registerProducer": "as without TLS",
        "unregisterProducer": "as without TLS",
        "write": "encrypts, and writes to the TCP transport",
        "pauseProducing": "as without TLS",
        "resumeProducing": "as without TLS",
        "loseConnection": "as without TLS",
        "abortConnection": "as without TLS",
    },
    REACTOR: {"_asyncioEventloop": "the event loop in which sockets are registered"},
}
"""What the transport uses of the objects of a connection. They are looked at themselves, because
most of these names exist in instances only; `TLS` is read where there is TLS."""

HTTP: Table = {
    "daphne.http_protocol:HTTPFactory": {
        "protocol": "replaced: makes the channel of a connection",
        "acceptableProtocols": "replaced: offers HTTP/1.1 only",
    },
    "daphne.http_protocol:HTTPFactory.buildProtocol": {
        "requestFactory": "the channel has its own",
    },
    "daphne.http_protocol:WebRequest": {
        "process": "starts the application, or upgrades to WebSocket",
        "basic_error": "overridden: answers in JSON",
        "handle_reply": "writes a part of the response",
        "send_disconnect": "tells the application to end",
        "finish": "overridden: another request has its turn",
        "connectionLost": "overridden: tells the application",
    },
    "daphne.http_protocol:WebRequest.__init__": {"server": "Daphne's server"},
    "daphne.http_protocol:WebRequest.process": {
        "transport": "None after an upgrade",
        "_networkProducer": "resumed after an upgrade",
        "Upgrade": "decides about the upgrade",
        "daphne-root-path": "moves the root of the site",
    },
    "daphne.server:Server": {
        "handle_reply": "replaced: the application's send",
        "kill_all_applications": "replaced: ends the applications at the stop",
        "application_checker": "replaced: looks at all connections in slices",
        "timeout_checker": "replaced: likewise",
    },
    "daphne.server:Server.__init__": {"root_path": "the root of the site"},
    "daphne.server:Server.run": {
        "kill_all_applications": "registered when the server starts",
        "connections": "requests and WebSockets with their applications",
    },
    "daphne.server:Server.create_application": {
        "application_instance": "the task of an application",
        "connections": "the details of each connection",
        "handle_reply": "becomes the application's send",
    },
    "twisted.web.http:HTTPChannel": {
        "dataReceived": "reads what the socket has",
        "lineLengthExceeded": "overridden: answers in JSON",
        "_respondToBadRequestAndDisconnect": "overridden: likewise",
        "allContentReceived": "hands a complete request on",
        "loseConnection": "closes once everything is written",
        "clearLineBuffer": "drops what was read",
        "_buffer": "what was read of an incomplete line",
    },
    "twisted.web.http:HTTPChannel.connectionMade": {
        "_networkProducer": "pauses the socket",
        "timeOut": "Twisted's own limit, switched off",
    },
    "twisted.web.http:HTTPChannel.connectionLost": {
        "requests": "requests that are not answered yet",
    },
    "twisted.web.http:HTTPChannel.rawDataReceived": {
        "_handlingRequest": "whether a request is at work",
        "_dataBuffer": "the requests behind it",
    },
    "twisted.web.http:HTTPChannel.lineReceived": {
        "requestFactory": "makes the request",
        "_path": "the path of a request that is being read",
    },
    "twisted.web.http:HTTPChannel.allHeadersReceived": {
        "length": "the length of the body, if it is known",
    },
    "twisted.web.http:HTTPChannel.requestDone": {
        "persistent": "whether the connection is kept",
        "_handlingRequest": "reset, to read the next request",
    },
    "twisted.web.http:HTTPChannel.pauseProducing": {
        "_waitingForTransport": "whether the client has not read everything",
    },
    "twisted.web.http:HTTPChannel.resumeProducing": {
        "_waitingForTransport": "reset when it has",
    },
    "twisted.web.http:Request": {
        "method": "HEAD has no body",
        "handleContentChunk": "takes a piece of the body",
        "finished": "whether the response is written",
        "startedWriting": "whether its headers are written",
    },
    "twisted.web.http:Request.__init__": {
        "requestHeaders": "the headers of a request",
        "responseHeaders": "the headers of a response",
        "parsePOSTFormSubmission": "parses forms, switched off",
    },
    "twisted.web.http:Request.gotLength": {"content": "keeps the body"},
    "twisted.internet.abstract:FileDescriptor": {
        "dataBuffer": "bytes that wait for the socket",
        "offset": "how many of these are sent",
        "disconnecting": "whether it is closed once everything is sent",
        "loseWriteConnection": "closes one direction",
    },
    "twisted.internet.abstract:FileDescriptor.__init__": {"_tempDataLen": "more bytes that wait"},
    "twisted.internet.tcp:Port": {
        "backlog": "raised, where it is the default",
    },
    "twisted.internet.tcp:Port.__init__": {"factory": "tells Daphne's ports from others"},
    "twisted.internet.tcp:Port.startListening": {"socket": "the listening socket"},
}
"""What is used and replaced to bound HTTP."""

SIGNALS: Table = {
    "twisted.internet.base:ReactorBase": {
        "sigTerm": "the handler of SIGTERM, before it is replaced",
        "sigInt": "the handler of SIGINT, before it is replaced",
    },
}
"""What tells whether Twisted handles the signals that stop the server."""

COMPRESSION: Table = {
    PROTOCOL: {"serverAccept": "wrapped: adds a header to the response"},
    "autobahn.websocket.protocol:WebSocketServerProtocol.succeedHandshake": {
        "websocket_extensions": "emptied, so that Autobahn negotiates no extension itself",
        "headers": "additional headers of the response, beside the subprotocol",
    },
}
"""What is used and replaced to negotiate compression in the response to the handshake."""

DEBUG_MESSAGES: Table = {
    "autobahn.websocket.protocol": {
        "pformat": "replaced: formats all options of a connection",
        "hltype": "replaced: colours the name of a function",
        "hlval": "replaced: colours a value",
    },
    "autobahn.twisted.websocket": {
        "hltype": "replaced: as above",
        "hlval": "replaced: as above",
    },
}

ACCESS_LOG: Table = {
    "daphne.access:AccessLogGenerator.__call__": {
        "protocol": "the function is replaced; http or websocket",
        "action": "what has happened",
        "complete": "a request has been answered",
        "connected": "a WebSocket was accepted",
        "rejected": "a WebSocket was refused",
        "disconnected": "a connection has ended",
        "details": "a dictionary with the fields of the line",
    },
    "daphne.access:AccessLogGenerator.__init__": {
        "stream": "where the lines go: standard output, or a file that was chosen",
    },
}
"""What formats Autobahn's debug messages, and does nothing else."""


class NotAsExpected(Exception):
    """Daphne, Autobahn or Twisted are not as the table says; the message names the difference."""


def missing(table: Table) -> list[str]:
    """Return the names of a part of the table that the installed versions do not have.

    They are looked for in modules, classes and functions, so there need not be a connection.
    """
    return [
        f"{place}.{name}"
        for place, names in table.items()
        for name in names
        if not _exists(place, name)
    ]


def find(place: str) -> Any:
    """Return the module, the class or the function that is meant by a place of the table.

    Raises:
        ImportError: There is no such module.
        AttributeError: It has nothing of that name.
    """
    module, _, attributes = place.partition(":")
    found: Any = importlib.import_module(module)
    for attribute in filter(None, attributes.split(".")):
        found = getattr(found, attribute)
    return found


def _exists(place: str, name: str) -> bool:
    try:
        found = find(place)
    except (ImportError, AttributeError):
        return False
    if isinstance(found, type | ModuleType):
        return hasattr(found, name)
    # A decorator (inlineCallbacks, or one of this package) keeps the function as __wrapped__.
    code = getattr(found, "__wrapped__", found).__code__
    return name in {*code.co_names, *code.co_varnames, *code.co_consts} or (
        name.encode() in code.co_consts
    )


def check(protocol: Any) -> None:
    """Read every name of `WEBSOCKET` on the objects of a connection.

    Raises:
        NotAsExpected: One is missing.
    """
    _check(protocol, PROTOCOL)
    _check(protocol.factory, FACTORY)
    _check(protocol.server, SERVER)
    tcp = protocol.transport
    if is_tls(tcp):
        _check(tcp, TLS)
        tcp = tcp.transport
    _check(tcp, TCP)
    _check(tcp.reactor, REACTOR)
    if tcp.reactor._asyncioEventloop is not asyncio.get_running_loop():
        raise NotAsExpected("Twisted's reactor runs in another event loop")


def _check(of: Any, place: str) -> None:
    for name in WEBSOCKET[place]:
        _check_name(of, place, name)


def _check_name(of: Any, place: str, name: str) -> None:
    if not hasattr(of, name):
        raise NotAsExpected(f"{place}.{name}")


def is_lost(protocol: Any) -> bool:
    """Tell whether the client has left already; Twisted's transport is half empty then.

    Raises:
        NotAsExpected: It cannot be determined.
    """
    _check_name(protocol, PROTOCOL, "state")
    _check_name(protocol, PROTOCOL, "STATE_CLOSED")
    return bool(protocol.state == protocol.STATE_CLOSED)


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
def warn_once(
    what: str, consequence: str = "memory for clients that do not read is not bounded"
) -> None:
    """Log that a guarantee is missing, once for each reason."""
    logger.warning(
        "This version of Daphne, Autobahn or Twisted is not as expected (%s): %s",
        what,
        consequence,
    )
