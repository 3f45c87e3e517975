"""Takes a connection over from Daphne: a WebSocket after its handshake, a response to stream.

``send`` is ``partial(Server.handle_reply, protocol)``. ``protocol`` is Daphne's WebSocket protocol,
a subclass of Autobahn's, and ``protocol.transport`` is Twisted's TCP or TLS transport. The
transport of this package replaces the protocol in Twisted, just as Daphne replaces its HTTP channel
by the protocol, and among Daphne's connections. Autobahn takes no further part.

For HTTP the ``protocol`` is Daphne's request. Its response is taken over after the headers, in the
same way.
"""

import functools
from collections.abc import Mapping
from typing import Any

from pubsub.core.configuration import Configuration
from pubsub.protocol.errors import Unavailable
from pubsub.transport.base import Send
from pubsub.transport.daphne import foreign
from pubsub.transport.daphne.compression import DeflateTransport, negotiate
from pubsub.transport.daphne.handshake import spare_debug_messages
from pubsub.transport.daphne.server import SCOPE_KEY, is_running
from pubsub.transport.daphne.stream import DaphneStream
from pubsub.transport.daphne.transport import DaphneTransport
from pubsub.transport.sse import Bookmark
from pubsub.transport.timeouts import Timeouts
from pubsub.transport.traffic import Traffic


def prepare(scope: Mapping[str, Any], send: Send, *, compression: bool) -> "TakeOver | None":
    """Prepare to take a connection over once it is accepted; return ``None`` on other servers.

    If a name in `foreign` is missing, this logs one warning and returns ``None``, too.

    Args:
        scope: The scope of the connection.
        send: What its application was given to send with.
        compression: Whether the client may negotiate compression.
    """
    if not is_running():
        return None
    try:
        protocol = _protocol_of(scope, send)
        if foreign.is_lost(protocol):
            return None
        foreign.check(protocol)
    except foreign.NotAsExpected as error:
        foreign.warn_once(str(error))
        return None
    compressed = compression and negotiate(protocol, scope["headers"])
    return TakeOver(protocol, DeflateTransport if compressed else DaphneTransport)


def _protocol_of(scope: Mapping[str, Any], send: Send) -> Any:
    reference = scope.get(SCOPE_KEY)
    if reference is not None:
        return reference()
    if isinstance(send, functools.partial):
        return send.args[0]
    raise foreign.NotAsExpected("send is wrapped by a middleware")


def _parse_nothing() -> bool:
    return False


def prepare_stream(scope: Mapping[str, Any], send: Send) -> "ResponseTakeOver | None":
    """Prepare to take over the response to a request once its headers are written.

    Like `prepare`, this returns ``None`` on other servers, and after one warning if that is not
    possible.

    Raises:
        Unavailable: The process is short of file descriptors.
    """
    if not is_running():
        return None
    from pubsub.transport.daphne.http_channel import TOO_MANY, Request  # they need the reactor

    try:
        request = _protocol_of(scope, send)
        if not isinstance(request, Request):
            raise foreign.NotAsExpected("HTTP is not bounded")
        if request.is_lost():
            return None
        foreign.check_response(request)
        if request.channel.is_short():
            raise Unavailable(TOO_MANY)
    except foreign.NotAsExpected as error:
        foreign.warn_once(str(error))
        return None
    return ResponseTakeOver(request)


class ResponseTakeOver:
    """A response that is about to begin."""

    __slots__ = ("_request",)

    headers = ((b"connection", b"close"),)
    """What the response has to say: the connection ends with the stream."""

    def __init__(self, request: Any) -> None:
        self._request = request

    def finish(
        self, bookmark: Bookmark, timeouts: Timeouts, traffic: Traffic
    ) -> DaphneStream | None:
        """Take the response over after its headers; return ``None`` if the client has left."""
        request = self._request
        if request.is_lost():
            return None
        return DaphneStream(request, bookmark, timeouts, traffic)


class TakeOver:
    """A connection that is about to be accepted."""

    __slots__ = ("_protocol", "_transport")

    def __init__(self, protocol: Any, transport: type[DaphneTransport]) -> None:
        self._protocol = protocol
        self._transport = transport
        # Frames that arrived together with the handshake are left for the engine.
        protocol.processData = _parse_nothing

    def finish(
        self, config: Configuration, timeouts: Timeouts, traffic: Traffic
    ) -> DaphneTransport | None:
        """Take the accepted connection over; return ``None`` if that is not possible.

        The connection may be lost already, or compressed by Autobahn (with one warning).
        """
        protocol = self._protocol
        del protocol.processData
        if protocol.state != protocol.STATE_OPEN:
            return None
        if protocol._perMessageCompress is not None:
            foreign.warn_once("compression is on")
            protocol.consumeData()
            return None
        if protocol.server.verbosity <= 1:
            spare_debug_messages()
        return self._transport(protocol, config, timeouts, traffic)
