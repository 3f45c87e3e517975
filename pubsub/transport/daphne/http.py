"""Bounds for HTTP on Daphne: memory, body sizes, time limits, and an orderly stop.

Daphne reads a request body of any size before it starts the application, lets an application
write a response of any size to a client that does not read, and answers pipelined requests
even if the client does not read the responses. `install` replaces three attributes of Daphne's
classes, so that every connection is a `Channel` and every request a `Request` of this package.
"""

import importlib
import logging
import sys
from typing import Any, cast

from pubsub.transport.daphne.http_limits import HttpLimits

logger = logging.getLogger(__name__)

BACKLOG = 1024
"""Connections that may wait to be accepted. With Twisted's default of 50, a burst of connections
stalls for a second, until the clients repeat their SYN."""

FOREIGN_NAMES = {
    "daphne.http_protocol:HTTPFactory.protocol": "replaced: makes the channel of a connection",
    "daphne.http_protocol:WebRequest.process": "starts the application, or upgrades to WebSocket",
    "daphne.http_protocol:WebRequest.process->transport": "None after an upgrade",
    "daphne.http_protocol:WebRequest.process->_networkProducer": "resumed after an upgrade",
    "daphne.http_protocol:WebRequest.process->Upgrade": "decides about the upgrade",
    "daphne.http_protocol:WebRequest.process->daphne-root-path": "moves the root of the site",
    "daphne.http_protocol:WebRequest.basic_error": "overridden: answers in JSON",
    "daphne.http_protocol:WebRequest.handle_reply": "writes a part of the response",
    "daphne.http_protocol:WebRequest.send_disconnect": "tells the application to end",
    "daphne.http_protocol:WebRequest.finish": "overridden: lets another request start",
    "daphne.http_protocol:WebRequest.connectionLost": "overridden: notifies the application",
    "daphne.http_protocol:WebRequest.__init__->server": "the Server of a request",
    "daphne.server:Server.__init__->root_path": "the root of the site",
    "daphne.server:Server.handle_reply": "replaced: the application's send",
    "daphne.server:Server.kill_all_applications": "replaced: ends the applications at the stop",
    "daphne.server:Server.run->kill_all_applications": "registered when the server starts",
    "daphne.server:Server.run->connections": "requests and WebSockets with their applications",
    "daphne.server:Server.create_application->application_instance": "the task of an application",
    "daphne.server:Server.create_application->handle_reply": "becomes the application's send",
    "twisted.web.http:_GenericHTTPChannelProtocol.dataReceived": "switches to HTTP/2",
    "twisted.web.http:HTTPChannel.connectionMade->_networkProducer": "pauses the socket",
    "twisted.web.http:HTTPChannel.connectionMade->timeOut": "Twisted's own limit, disabled",
    "twisted.web.http:HTTPChannel.connectionLost->requests": "requests that are not answered yet",
    "twisted.web.http:HTTPChannel.dataReceived": "reads what the socket has",
    "twisted.web.http:HTTPChannel.rawDataReceived->_handlingRequest": "a request is in progress",
    "twisted.web.http:HTTPChannel.rawDataReceived->_dataBuffer": "pipelined requests behind it",
    "twisted.web.http:HTTPChannel.lineReceived->requestFactory": "makes the request",
    "twisted.web.http:HTTPChannel.lineReceived->_path": "the path of a request being read",
    "twisted.web.http:HTTPChannel.lineLengthExceeded": "overridden: answers in JSON",
    "twisted.web.http:HTTPChannel._respondToBadRequestAndDisconnect": "overridden: likewise",
    "twisted.web.http:HTTPChannel.allHeadersReceived->length": "the length of the body, if known",
    "twisted.web.http:HTTPChannel.allContentReceived": "hands a complete request on",
    "twisted.web.http:HTTPChannel.requestDone->persistent": "whether the connection is kept",
    "twisted.web.http:HTTPChannel.requestDone->_handlingRequest": "reads the next request",
    "twisted.web.http:HTTPChannel.pauseProducing->_waitingForTransport": "the client does not read",
    "twisted.web.http:HTTPChannel.resumeProducing->_waitingForTransport": "it has read everything",
    "twisted.web.http:HTTPChannel.loseConnection": "closes once everything is written",
    "twisted.web.http:HTTPChannel.clearLineBuffer": "drops what was read",
    "twisted.web.http:HTTPChannel._buffer": "what was read of an incomplete line",
    "twisted.web.http:Request.__init__->requestHeaders": "the headers of a request",
    "twisted.web.http:Request.__init__->responseHeaders": "the headers of a response",
    "twisted.web.http:Request.__init__->parsePOSTFormSubmission": "parses forms, disabled",
    "twisted.web.http:Request.gotLength->content": "keeps the body",
    "twisted.web.http:Request.handleContentChunk": "takes a piece of the body",
    "twisted.web.http:Request.finished": "whether the response is written",
    "twisted.web.http:Request.startedWriting": "whether its headers are written",
    "twisted.internet.abstract:FileDescriptor.dataBuffer": "bytes that wait for the socket",
    "twisted.internet.abstract:FileDescriptor.offset": "those of them that are sent",
    "twisted.internet.abstract:FileDescriptor.__init__->_tempDataLen": "more bytes that wait",
    "twisted.internet.abstract:FileDescriptor.disconnecting": "closed once everything is sent",
    "twisted.internet.abstract:FileDescriptor.loseWriteConnection": "closes one direction",
    "twisted.internet.tcp:Port.backlog": "raised, where it is the default",
    "twisted.internet.tcp:Port.factory": "tells Daphne's ports from others",
    "twisted.internet.tcp:Port.startListening->socket": "the listening socket",
}
"""The names of Daphne and Twisted that are used, and what they are used for.

``module:Class.name`` is an attribute of the class. ``module:Class.method->name`` is a name that
occurs in the code of the method, such as an attribute of the instance."""


def missing_names() -> list[str]:
    """Return the names of `FOREIGN_NAMES` that do not exist in the installed versions."""
    return [name for name in FOREIGN_NAMES if not _exists(name)]


def _exists(name: str) -> bool:
    path, _, mentioned = name.partition("->")
    module, _, attributes = path.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for attribute in attributes.split("."):
            found = getattr(found, attribute)
    except (ImportError, AttributeError):
        return False
    return not mentioned or _mentions(found, mentioned)


def _mentions(function: Any, name: str) -> bool:
    # inlineCallbacks, which decorates `process`, keeps the function as __wrapped__.
    code = getattr(function, "__wrapped__", function).__code__
    return name in code.co_names or name in code.co_varnames or name in _constants(code)


def _constants(code: Any) -> set[str]:
    return {
        constant.decode("latin-1") if isinstance(constant, bytes) else constant
        for constant in code.co_consts
        if isinstance(constant, str | bytes)
    }


def install(limits: HttpLimits) -> bool:
    """Bound all later HTTP connections of Daphne. Call this before the server starts.

    Nothing happens unless Daphne is imported, as it always is in a process that Daphne serves. If
    another server runs although Daphne is imported, the replaced attributes are never used. Only
    the first call has an effect.

    Returns:
        Whether the bounds are in force. If a name in `FOREIGN_NAMES` is missing, nothing is changed
        and one warning is logged.
    """
    if "daphne.server" not in sys.modules:
        return False
    if _is_installed():
        return True
    missing = missing_names()
    if missing:
        logger.warning(
            "This version of Daphne or Twisted is not as expected (%s): HTTP requests and "
            "responses are not bounded",
            ", ".join(missing),
        )
        return False
    _replace(limits)
    return True


def _is_installed() -> bool:
    from daphne.server import Server

    return getattr(Server.handle_reply, "__module__", None) == __name__


def _replace(limits: HttpLimits) -> None:
    # Imported only now, because these classes inherit from the ones that were just checked.
    from daphne.http_protocol import HTTPFactory
    from daphne.server import Server
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred
    from twisted.web.http import _GenericHTTPChannelProtocol

    from pubsub.transport.daphne.http_channel import Channel, Request
    from pubsub.transport.daphne.http_connections import HttpConnections

    connections = HttpConnections(limits)
    write = Server.handle_reply

    def make_channel() -> _GenericHTTPChannelProtocol:
        return _GenericHTTPChannelProtocol(Channel(connections))

    async def handle_reply(server: Any, protocol: Any, message: dict[str, Any]) -> None:
        await write(server, protocol, message)
        if isinstance(protocol, Request):
            connections.answered(protocol)
            await protocol.drained()

    def kill_all_applications(server: Any) -> "Deferred[None]":
        return Deferred.fromFuture(connections.stop(server))

    def when_running() -> None:
        _raise_backlog(HTTPFactory)
        connections.watch()

    HTTPFactory.protocol = staticmethod(make_channel)
    Server.handle_reply = handle_reply
    Server.kill_all_applications = kill_all_applications
    cast(Any, reactor).callWhenRunning(when_running)


def _raise_backlog(factory_class: type) -> None:
    from twisted.internet import reactor, tcp

    for port in cast(Any, reactor).getReaders():
        # Another backlog was set on purpose, and an inherited socket (None) has its own.
        if isinstance(port, tcp.Port) and port.backlog == tcp.Port.backlog:
            # TLS wraps the factory.
            factory = getattr(port.factory, "wrappedFactory", port.factory)
            if isinstance(factory, factory_class):
                port.socket.listen(BACKLOG)
