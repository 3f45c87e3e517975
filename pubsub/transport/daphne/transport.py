"""The transport for Daphne, with the flow control that Daphne's own ``send`` does not have.

It goes past ``send``, to the objects below it:

``send`` is ``partial(Server.handle_reply, protocol)``; ``protocol`` is Autobahn's WebSocket
protocol, and ``protocol.transport`` Twisted's TCP (or TLS) transport. The transport registers
itself there as the push producer, so that Twisted says when its buffer is full and when it has
drained, and stops reading from the socket of a client that is not to send more.

Bytes are written straight to the socket while nothing waits in Twisted's buffers: that is several
times cheaper than Twisted's ``write``, which takes a detour over the selector. The transport puts
its own `write` in the place of Twisted's, so that nothing can come between.
"""

import asyncio
import contextlib
import functools
import logging
from collections.abc import Callable, Sequence
from typing import Any

from pubsub.core.frame import Frame
from pubsub.protocol.codes import Close
from pubsub.transport.base import Listener, Receive, Send
from pubsub.transport.daphne.reader import BUFFER_SIZE, Reader
from pubsub.transport.daphne.server import is_running

logger = logging.getLogger(__name__)

CLOSE_TIMEOUT = 10.0
"""Seconds that a client which does not read has left, once it is closed, to read the rest."""

HANDSHAKE_TIMEOUT = 5.0
"""Seconds that any other client has to answer a close frame. Autobahn's timer ends at the full
second before that, so its own default of 1 may be nothing."""


def open_transport(send: Send, listener: Listener) -> "DaphneTransport | None":
    """Return the transport for an accepted connection on Daphne; None on any other server.

    Where Daphne is not as this module knows it, the answer is None as well, with one warning.
    """
    if not is_running():
        return None
    try:
        protocol = _protocol_of(send)
        if protocol.state != protocol.STATE_OPEN:
            return None  # gone already
        return DaphneTransport(protocol, listener)
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


_last_joined: tuple[Sequence[Frame], bytes] = ((), b"")


def _join(frames: Sequence[Frame]) -> bytes:
    """Join frames; once only, when all subscribers of a topic get the same ones in turn."""
    global _last_joined
    last_frames, data = _last_joined
    if frames != last_frames:
        data = b"".join([frame.wire for frame in frames])
        _last_joined = frames, data
    return data


def _send_nothing(data: bytes) -> int:
    return 0


class DaphneTransport:
    """One accepted WebSocket on Daphne; Twisted's push producer (IPushProducer) for its socket."""

    __slots__ = (
        "_buffer",
        "_direct",
        "_handed_over",
        "_listener",
        "_protocol",
        "_reader",
        "_send",
        "_send_close_frame",
        "_tcp",
        "_write_later",
        "writable",
    )

    def __init__(self, protocol: Any, listener: Listener) -> None:
        self._protocol = protocol
        self._listener = listener
        self._tcp = tcp = protocol.transport
        # A TLS transport passes unknown attributes on to the TCP transport below it, so it does
        # seem to have a socket, but what is written to that leaves in plain text.
        self._direct = isinstance(tcp, _file_descriptor_class())
        self._buffer = tcp if self._direct else tcp.transport
        self._send: Callable[[bytes], int] = tcp.socket.send if self._direct else _send_nothing
        self._handed_over = 0
        self.writable = True
        self._reader = Reader(protocol, listener, self._send_pong)
        # These raise here as well, while everything still is as it was.
        self._write_later: Callable[[bytes], None] = tcp.write
        self._send_close_frame: Callable[..., None] = protocol.sendCloseFrame
        _ = (self.backlog, self.closed, self._direct and tcp.producerPaused)
        self._take_over()

    def _take_over(self) -> None:
        """Put methods of this object in the place of those of Twisted and Autobahn."""
        protocol, tcp = self._protocol, self._tcp
        self._buffer.bufferSize = BUFFER_SIZE
        # Answer a broken message with a close frame that says so, not with a dropped connection.
        protocol.failByDrop = False
        protocol.closeHandshakeTimeout = HANDSHAKE_TIMEOUT
        # Twisted's HTTP channel is still registered, from the time before the upgrade.
        tcp.unregisterProducer()
        tcp.registerProducer(self, True)
        tcp.write = self._write
        if self._direct and self.backlog:
            # The response to the handshake; as in `_write`, but nobody need be told.
            self.writable = False
            tcp.producerPaused = True
        self._reader.take_over()
        # Nothing may follow a close frame (RFC 6455 §5.5.1), whoever sends it.
        protocol.sendCloseFrame = self._on_close_frame
        # The first thing that Autobahn does whenever it drops a connection, and the only sign of
        # it that comes at once: Daphne's own waits in a queue behind the client's messages.
        protocol.unregisterProducer = self._dropped

    # --- Writing ---

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
        # All that happens to a socket in a publication. That the transport is writable says that
        # nothing waits in Twisted's buffers, so that they need not be looked at.
        data = frames[0].wire if len(frames) == 1 else _join(frames)
        try:
            sent = self._send(data)
        except OSError:
            # Full, or broken: then Twisted finds it again, in the place where it handles it.
            sent = 0
        if sent == len(data):
            return True
        self._write_rest(data[sent:])
        return False

    def _write(self, data: bytes) -> None:
        """Stand in for Twisted's ``write``, which Autobahn calls for its control frames."""
        sent = 0
        if self.writable:
            with contextlib.suppress(OSError):
                sent = self._send(data)
        if sent < len(data):
            self._write_rest(data[sent:])

    def _write_rest(self, data: bytes) -> None:
        tcp = self._tcp
        self._handed_over += len(data)
        self._write_later(data)
        if self._direct and not tcp.producerPaused:
            # Twisted pauses its producer, and so will tell it when the buffer has drained, only
            # when much waits. Here whatever waits is too much, or it would be overtaken.
            tcp.producerPaused = True
            self.pauseProducing()

    def _send_pong(self, payload: bytes) -> None:
        # Autobahn answers each ping at once, whether the answers are read or not.
        if self.writable:
            self._protocol.sendPong(payload)

    # --- Reading ---

    async def read(self, receive: Receive) -> None:
        """Pass on the peer's messages until the connection has ended."""
        await self._reader.read(receive)

    def resume_reading(self) -> None:
        """Offer again what the listener has refused, and read on if it is taken."""
        if not self.closed:
            self._reader.resume()

    # --- The end ---

    def close(self, why: Close) -> None:
        """Send the close frame, and drop the connection if it is not answered in time."""
        if why is Close.SLOW:
            self._protocol.closeHandshakeTimeout = CLOSE_TIMEOUT
        if self._protocol.state == self._protocol.STATE_OPEN:
            # sendClose would refuse the codes below 3000, and Daphne would lose the reason.
            self._protocol.sendCloseFrame(why.code, why.reason.encode())
        self.resume_reading()

    def _on_close_frame(self, *args: Any, **kwargs: Any) -> None:
        if self.writable:
            self._listener.on_writable()  # what the messages before it have caused
        self._send_close_frame(*args, **kwargs)
        self.stopProducing()

    def _dropped(self) -> None:
        self._tcp.unregisterProducer()
        self.stopProducing()
        if self.backlog or not self._direct:
            # Twisted waits for the peer to read the rest, or to end TLS, be it for ever.
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
        if self._protocol.state == self._protocol.STATE_OPEN:
            self.writable = True
            self._listener.on_writable()

    def stopProducing(self) -> None:  # noqa: N802
        """The connection is lost, or as good as lost."""
        self.writable = False
        self._listener.on_lost()
