"""The transport for Daphne, with the flow control that Daphne's own ``send`` does not have.

It goes past ``send``, to the objects below it:

``send`` is ``partial(Server.handle_reply, protocol)``; ``protocol`` is Autobahn's WebSocket
protocol, and ``protocol.transport`` Twisted's TCP (or TLS) transport. The transport registers
itself there as the push producer, so that Twisted says when its buffer is full and when it has
drained, and stops reading from the socket of a client that is not to send more.

Frames are written straight to the socket while Twisted's buffers are empty: that is several times
cheaper than ``transport.write``, which takes a detour over the selector.
"""

import asyncio
import functools
import logging
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from pubsub.core.frame import Frame
from pubsub.protocol.codes import Close
from pubsub.transport.base import Listener, Send, Transport

logger = logging.getLogger(__name__)

BUFFER_SIZE = 16 * 1024
"""Bytes read from a socket at a time, and bytes that may wait in Twisted before it is full.

Small enough that a chunk of the shortest messages is parsed within a few milliseconds, so that
one client that floods does not keep the others waiting."""

MAX_FRAGMENTS = 256
"""Fragments of a message that are kept one by one; an object each is more than their bytes."""

CLOSE_TIMEOUT = 10.0
"""Seconds that a client which does not read has left, once it is closed, to read the rest."""

DRAIN_TIMEOUT = 3.0
"""Seconds that all clients together have for the closing handshake when the server stops."""


def is_running() -> bool:
    """Tell whether this process is served by Daphne."""
    reactor = sys.modules.get("twisted.internet.reactor")
    return bool(getattr(reactor, "running", False))


def open_transport(send: Send, listener: Listener) -> "DaphneTransport | None":
    """Return the transport for an accepted connection on Daphne; None on any other server.

    Where Daphne is not as this module knows it, the answer is None as well, with one warning.
    """
    if not is_running():
        return None
    try:
        return DaphneTransport(_protocol_of(send), listener)
    except (AttributeError, IndexError, TypeError) as error:
        _warn_once(str(error))
        return None


@functools.cache
def _warn_once(what: str) -> None:
    logger.warning(
        "This version of Daphne, Autobahn or Twisted is not as expected (%s): clients that do "
        "not read will cost memory without a bound",
        what,
    )


@functools.cache
def _file_descriptor_class() -> type:
    # Twisted must not be imported before Daphne has chosen its reactor.
    from twisted.internet.abstract import FileDescriptor

    return FileDescriptor


def _protocol_of(send: Send) -> Any:
    if not isinstance(send, functools.partial):
        raise TypeError("send is wrapped by a middleware")
    protocol = send.args[0]
    if protocol._perMessageCompress is not None:
        raise TypeError("compression is on")
    return protocol


class DaphneTransport:
    """One accepted WebSocket on Daphne; Twisted's push producer (IPushProducer) for its socket."""

    __slots__ = (
        "_begin_fragment",
        "_buffer",
        "_direct",
        "_handed_over",
        "_listener",
        "_protocol",
        "_tcp",
        "writable",
    )

    def __init__(self, protocol: Any, listener: Listener) -> None:
        self._protocol = protocol
        self._listener = listener
        self._tcp = protocol.transport
        # A TLS transport passes unknown attributes on to the TCP transport below it, so it does
        # seem to have writeSomeData, but what is written through that leaves in plain text.
        self._direct = isinstance(self._tcp, _file_descriptor_class())
        self._buffer = self._tcp if self._direct else self._tcp.transport
        self._handed_over = 0
        self.writable = True
        _ = self.backlog  # raises here, not in the first write, if Twisted has changed
        self._buffer.bufferSize = BUFFER_SIZE
        # Answer a broken message with a close frame that says so, not with a dropped connection.
        protocol.failByDrop = False
        # Twisted's HTTP channel is still registered, from the time before the upgrade.
        self._tcp.unregisterProducer()
        self._tcp.registerProducer(self, True)
        # Autobahn answers each ping at once, whether the answers are read or not, and keeps
        # each fragment of a message that never ends.
        protocol.onPing = self._on_ping
        self._begin_fragment = protocol.onMessageFrameBegin
        protocol.onMessageFrameBegin = self._on_fragment
        # The first thing that Autobahn does whenever it drops a connection, and the only sign of
        # it that comes at once: Daphne's own waits in a queue behind the client's messages.
        protocol.unregisterProducer = self._dropped

    @property
    def backlog(self) -> int:
        """Bytes in Twisted's buffers."""
        buffer = self._buffer
        return len(buffer.dataBuffer) - buffer.offset + buffer._tempDataLen  # type: ignore[no-any-return]

    @property
    def progress(self) -> int:
        """Bytes that Twisted had to keep and has passed on since."""
        return self._handed_over - self.backlog

    @property
    def closed(self) -> bool:
        """Whether the socket is closed."""
        return not self._buffer.connected

    def write_nowait(self, frames: Sequence[Frame]) -> bool:
        """Write the frames in one piece, to the socket if it takes them, else to its buffer."""
        if self._protocol.state != self._protocol.STATE_OPEN:
            return True  # the closing handshake has begun: RFC 6455 §5.5.1 allows nothing more
        data = frames[0].wire if len(frames) == 1 else b"".join([frame.wire for frame in frames])
        tcp = self._tcp
        if self._direct and not (tcp.dataBuffer or tcp._tempDataBuffer):
            sent = tcp.writeSomeData(data)
            if sent == len(data):
                return True
            # On an error let Twisted find it again, in the place where it handles it.
            data = data[sent:] if isinstance(sent, int) else data
        self._handed_over += len(data)
        tcp.write(data)
        return False

    def pause_reading(self) -> None:
        """Stop reading from the socket."""
        self._tcp.pauseProducing()

    def resume_reading(self) -> None:
        """Read from the socket again, unless it is being closed."""
        if not self.closed:
            self._tcp.resumeProducing()

    def close(self, why: Close) -> None:
        """Send the close frame, and drop the connection if it is not answered in time."""
        if why is Close.SLOW:
            self._protocol.closeHandshakeTimeout = CLOSE_TIMEOUT
        if self._protocol.state == self._protocol.STATE_OPEN:
            # sendClose would refuse the codes below 3000, and Daphne would lose the reason.
            self._protocol.sendCloseFrame(why.code, why.reason.encode())
        self.resume_reading()

    def _on_ping(self, payload: bytes) -> None:
        # RFC 6455 §5.5.3 asks for an answer to the most recent ping only.
        if self.writable:
            self._protocol.sendPong(payload)

    def _on_fragment(self, length: int) -> None:
        protocol = self._protocol
        if len(protocol.message_data) > MAX_FRAGMENTS:
            protocol.message_data = [b"".join(protocol.message_data)]
        self._begin_fragment(length)

    def _dropped(self) -> None:
        self._tcp.unregisterProducer()
        self.stopProducing()
        if self.backlog:
            # Twisted waits for the peer to read the rest, be it for ever.
            asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, self._abort)

    def _abort(self) -> None:
        if not self.closed:
            self._tcp.abortConnection()

    # Twisted's side: twisted.internet.interfaces.IPushProducer.

    def pauseProducing(self) -> None:  # noqa: N802
        """The buffer is full."""
        self.writable = False
        self._listener.on_blocked()

    def resumeProducing(self) -> None:  # noqa: N802
        """The buffer has drained."""
        self.writable = True
        self._listener.on_writable()

    def stopProducing(self) -> None:  # noqa: N802
        """The connection is lost."""
        self.writable = False
        self._listener.on_lost()


def before_stop(start_drain: Callable[[], Awaitable[None]]) -> None:
    """Have Daphne call ``start_drain`` when it is told to stop, and wait for what that returns.

    Daphne itself cancels the applications and closes the sockets, without a close frame. The call
    comes in the same tick, before any of the cancelled applications runs again.
    """
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred

    def drain() -> "Deferred[None]":
        return Deferred.fromFuture(asyncio.ensure_future(start_drain()))

    cast(Any, reactor).addSystemEventTrigger("before", "shutdown", drain)


async def wait_closed(transports: Sequence[Transport]) -> None:
    """Wait until all these connections are closed, `DRAIN_TIMEOUT` seconds at most."""
    deadline = asyncio.get_running_loop().time() + DRAIN_TIMEOUT
    while not all(transport.closed for transport in transports):
        if asyncio.get_running_loop().time() > deadline:
            return
        await asyncio.sleep(0.01)
