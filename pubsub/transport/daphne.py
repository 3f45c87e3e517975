"""The transport for Daphne, with the flow control that Daphne's own ``send`` does not have.

It goes past ``send``, to the objects below it:

``send`` is ``partial(Server.handle_reply, protocol)``; ``protocol`` is Autobahn's WebSocket
protocol, and ``protocol.transport`` Twisted's TCP (or TLS) transport. The transport registers
itself there as the push producer, so that Twisted says when its buffer is full and when it has
drained, and stops reading from the socket of a client that is not to send more.

Bytes are written straight to the socket while nothing waits in Twisted's buffers: that is several
times cheaper than Twisted's ``write``, which takes a detour over the selector. The transport puts
its own `write` in the place of Twisted's, so that nothing can come between.

Bytes are read before Autobahn sees them. Plain text messages go straight to the listener, in the
same call in which they arrive, without Daphne's queue and a task's turn; everything else (control
frames, fragments, very long messages, faults) is left to Autobahn, frame by frame. When the
listener refuses a message, the frames behind it wait here, and the socket is not read.
"""

import asyncio
import functools
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from pubsub.core.frame import Frame
from pubsub.protocol.codes import Close
from pubsub.transport.base import Listener, Receive, Send, Transport
from pubsub.transport.framing import NotPlain, frame_size, parse_text

logger = logging.getLogger(__name__)

BUFFER_SIZE = 16 * 1024
"""Bytes read from a socket at a time, and bytes that may wait in Twisted before it is full.

Small enough that a chunk of the shortest messages is parsed within a few milliseconds, so that
one client that floods does not keep the others waiting."""

MAX_FRAGMENTS = 256
"""Fragments of a message that are kept one by one; an object each is more than their bytes."""

MAX_PLAIN_LENGTH = (1 << 16) - 1
"""Bytes of a message up to which it is parsed here."""

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
        "_begin_fragment",
        "_buffer",
        "_direct",
        "_handed_over",
        "_held",
        "_listener",
        "_max_length",
        "_parse",
        "_paused",
        "_protocol",
        "_rest_of_frame",
        "_send",
        "_send_close_frame",
        "_tcp",
        "_unread",
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
        _ = self.backlog  # raises here, not in the first write, if Twisted has changed
        self._buffer.bufferSize = BUFFER_SIZE
        self._unread = b""
        self._rest_of_frame = 0
        self._held: list[str | bytes] = []
        self._paused = False
        self._max_length = min(
            MAX_PLAIN_LENGTH,
            protocol.maxMessagePayloadSize or MAX_PLAIN_LENGTH,
            protocol.maxFramePayloadSize or MAX_PLAIN_LENGTH,
        )
        # Answer a broken message with a close frame that says so, not with a dropped connection.
        protocol.failByDrop = False
        # Twisted's HTTP channel is still registered, from the time before the upgrade.
        tcp.unregisterProducer()
        tcp.registerProducer(self, True)
        self._take_over()

    def _take_over(self) -> None:
        """Put methods of this object in the place of those of Twisted, Autobahn and Daphne."""
        protocol, tcp = self._protocol, self._tcp
        self._write_later = tcp.write
        tcp.write = self._write
        self._parse = protocol.dataReceived
        protocol.dataReceived = self._on_data
        protocol.onMessage = self._on_parsed_message
        # Autobahn answers each ping at once, whether the answers are read or not, and keeps
        # each fragment of a message that never ends.
        protocol.onPing = self._on_ping
        self._begin_fragment = protocol.onMessageFrameBegin
        protocol.onMessageFrameBegin = self._on_fragment
        # Nothing may follow a close frame (RFC 6455 §5.5.1), whoever sends it.
        self._send_close_frame = protocol.sendCloseFrame
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
        return self._write(frames[0].wire if len(frames) == 1 else _join(frames))

    def _write(self, data: bytes) -> bool:
        # This and `write_nowait` are all that happens to a socket in a publication. `writable`
        # says that nothing waits in Twisted's buffers, so that they need not be looked at.
        if self.writable:
            try:
                sent = self._send(data)
            except OSError:
                # Full, or broken: then Twisted finds it again, in the place where it handles it.
                sent = 0
            if sent == len(data):
                return True
            data = data[sent:]
        tcp = self._tcp
        self._handed_over += len(data)
        self._write_later(data)
        if self._direct and not tcp.producerPaused:
            # Twisted pauses its producer, and so will tell it when the buffer has drained, only
            # when much waits. Here whatever waits is too much, or it would be overtaken.
            tcp.producerPaused = True
            self.pauseProducing()
        return False

    # --- Reading ---

    async def read(self, receive: Receive) -> None:
        """Pass on the peer's messages until the connection has ended."""
        # Daphne queues only what came together with the handshake, and the end.
        while (message := await receive())["type"] != "websocket.disconnect":
            self._pass_on(message.get("text") or message.get("bytes") or "")

    def resume_reading(self) -> None:
        """Offer again what the listener has refused, and read on if it is taken."""
        if self.closed:
            return
        self._paused = False
        held, self._held = self._held, []
        for message in held:
            self._pass_on(message)
        if not self._paused and self._unread:
            self._read(self._unread)
        if not self._paused:
            self._tcp.resumeProducing()

    def _on_data(self, data: bytes) -> None:
        self._read(self._unread + data if self._unread else data)

    def _read(self, data: bytes) -> None:
        """Go through the frames, for as long as the listener takes what is in them."""
        protocol, on_message = self._protocol, self._listener.on_message
        position, size = 0, len(data)
        self._note_activity()
        while position < size and not self._paused:
            if not (self._rest_of_frame or protocol.inside_message):
                try:
                    text, end = parse_text(data, position, self._max_length)
                except NotPlain:
                    pass
                else:
                    if text is None:
                        break
                    if on_message(text):
                        position = end
                    else:
                        self._pause()
                    continue
            end = self._parse_foreign(data, position)
            if end == position:
                break
            position = end
        self._unread = data[position:]

    def _parse_foreign(self, data: bytes, start: int) -> int:
        """Give Autobahn one frame, or what has come of it; return where the next one begins.

        Not more, so that what follows can be held back.
        """
        rest = self._rest_of_frame or frame_size(data, start)
        if rest is None:
            return start
        end = min(start + rest, len(data))
        self._rest_of_frame = start + rest - end
        self._parse(data[start:end])
        return end

    def _note_activity(self) -> None:
        # As Daphne and Autobahn do for each message, so that no client is pinged, or dropped for
        # want of a pong, while it sends.
        protocol = self._protocol
        protocol.last_ping = time.time()
        if protocol.autoPingTimeoutCall and protocol.autoPingRestartOnAnyTraffic:
            protocol._cancelAutoPingTimeoutCall()

    def _on_parsed_message(self, payload: bytes, is_binary: bool) -> None:
        self._note_activity()
        self._pass_on(payload if is_binary else payload.decode())

    def _pass_on(self, message: str | bytes) -> None:
        if self._paused or not self._listener.on_message(message):
            self._held.append(message)
            self._pause()

    def _pause(self) -> None:
        self._paused = True
        self._tcp.pauseProducing()

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
        if self._protocol.state == self._protocol.STATE_OPEN:
            self.writable = True
            self._listener.on_writable()

    def stopProducing(self) -> None:  # noqa: N802
        """The connection is lost, or as good as lost."""
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
