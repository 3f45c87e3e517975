"""The transport for Daphne, with the flow control that Daphne's own ``send`` lacks.

It has three roles: it is the protocol of Twisted's transport (which passes received bytes to it),
the push producer (which Twisted notifies when its buffer is full and when it has drained), and one
of Daphne's connections.

Bytes are written straight to the socket while Twisted's buffers are empty. This is several times
cheaper than Twisted's ``write``, which goes through the selector.
"""

import array
import asyncio
import fcntl
import logging
import termios
import time
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

from pubsub.core.configuration import Configuration
from pubsub.core.publication import Frame
from pubsub.fairness import CHUNK_BYTES
from pubsub.protocol.codes import Close
from pubsub.transport.base import OTHER, Message, Other, Peer, Reason
from pubsub.transport.daphne.foreign import is_tls
from pubsub.transport.timeouts import Timeouts
from pubsub.websocket import engine, frames
from pubsub.websocket.engine import Engine
from pubsub.websocket.frames import text_header

logger = logging.getLogger(__name__)

CLOSE_TIMEOUT = 5.0
"""Seconds that a client has to answer a close frame after receiving it."""

FLUSH_TIMEOUT = 10.0
"""Seconds without progress after which a client that still has data to read is disconnected, once
its connection is being closed.

If the server closes the connection, the write timeout applies if it is longer, because the client
may be slow."""

NORMAL = 1000
"""The close code for a normal closure (RFC 6455 §7.4.1)."""

NO_STATUS = 1005
"""Stands for a close frame without a code (RFC 6455 §7.1.5)."""


class State(Enum):
    """How far the connection is from its end."""

    OPEN = "open"
    CLOSING = "closing"
    """The close frame was written, and the peer's close frame has not arrived yet."""
    FLUSHING = "flushing"
    """No frame is expected any more; the socket is closed once the peer has read everything."""
    CLOSED = "closed"


_last_joined: tuple[Sequence[Frame], bytes] = ((), b"")


def serialize(batch: Sequence[Frame]) -> bytes:
    """Return a batch as the bytes of WebSocket frames.

    All subscribers of a topic get the same frames in turn. So each frame keeps its form, and the
    last result is kept here.
    """
    global _last_joined
    last, data = _last_joined
    if batch != last:
        data = b"".join([frame.wire or frame_text(frame) for frame in batch])
        _last_joined = batch, data
    return data


def frame_text(frame: Frame) -> bytes:
    """Return the bytes of a frame that no transport has framed before, and keep them in it."""
    payload, frame.unframed = frame.unframed, None
    frame.wire = wire = text_header(frame.size) + payload  # type: ignore[operator]  # not framed
    return wire


def _send_nothing(data: bytes) -> int:
    return 0


def _access_log_details(protocol: Any) -> dict[str, Any]:
    address = protocol.client_addr
    return {
        "path": protocol.request.path,
        "client": f"{address[0]}:{address[1]}" if address else None,
    }


class DaphneTransport:
    """One accepted WebSocket on Daphne.

    Args:
        protocol: Daphne's protocol, after `foreign.check` has succeeded.
        config: The limit for incoming messages.
        timeouts: The timers of this event loop.
    """

    __slots__ = (
        "_access_log",
        "_buffer",
        "_direct",
        "_engine",
        "_peer",
        "_reading",
        "_receive",
        "_send",
        "_server",
        "_state",
        "_tcp",
        "_timeouts",
        "_waiters",
        "_write_later",
        "close_code",
        "close_reason",
        "heard",
        "received_bytes",
        "sent_bytes",
        "silent_looks",
        "writable",
    )

    kind = "websocket"

    _inflates = False
    """Whether the client may send compressed messages."""

    def __init__(self, protocol: Any, config: Configuration, timeouts: Timeouts) -> None:
        self._tcp = tcp = protocol.transport
        self._direct = not is_tls(tcp)
        self._buffer = tcp if self._direct else tcp.transport
        self._send: Callable[[bytes], int] = tcp.socket.send if self._direct else _send_nothing
        self._receive: Callable[[int], bytes] = self._buffer.socket.recv
        self._write_later: Callable[[bytes], None] = tcp.write
        self._server = server = protocol.server
        self._access_log = _access_log_details(protocol) if server.action_logger else None
        self._timeouts = timeouts
        self._peer: Peer | None = None
        self._state = State.OPEN
        self._reading = True
        self._waiters: list[asyncio.Future[None]] = []
        self.writable = True
        self.close_code = 1006
        self.sent_bytes = 0
        self.received_bytes = len(protocol.data)
        self.close_reason: str | None = None
        self.heard = True
        self.silent_looks = 0
        limits = (protocol.maxMessagePayloadSize, protocol.maxFramePayloadSize)
        self._engine = Engine(
            max_message_bytes=config.max_message_bytes,
            max_bytes=min(filter(None, limits), default=1 << 62),
            inflates=self._inflates,
        )
        self._engine.feed(protocol.data)
        self._take_over(protocol)

    def _take_over(self, protocol: Any) -> None:
        tcp, server = self._tcp, self._server
        # Twisted's HTTP channel is still registered from before the upgrade.
        tcp.unregisterProducer()
        tcp.registerProducer(self, True)
        self._buffer.bufferSize = CHUNK_BYTES
        if self._direct:
            tcp.protocol = self
            tcp.resumeProducing()
            self._read_directly()
            if self.backlog:
                # The response to the handshake is waiting. As in `_write_rest`, but without a peer.
                self.writable = False
                tcp.producerPaused = True
        else:
            tcp.wrappedProtocol = self
        # Daphne's entry has the time of the day, which somebody may set.
        server.connections[self] = server.connections.pop(protocol) | {
            "connected": time.monotonic()
        }
        protocol.factory.countConnections -= 1
        # Daphne's `send` refers to the protocol as long as the application runs. Emptying it frees
        # what it held, and leaves no cycle to the garbage collector.
        vars(protocol).clear()

    def __repr__(self) -> str:
        return f"<DaphneTransport {self._state.value}>"

    async def serve(self, peer: Peer) -> None:
        """Serve the connection with ``peer``; return when the socket is closed."""
        if self._state is State.OPEN:
            self._peer = peer
            self._timeouts.pings.watch(self)
            peer.on_readable()  # messages that arrived together with the handshake
        await self.wait_closed()

    # --- Reading ---

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        """Take what was read from the socket, by Twisted or directly."""
        self.heard = True
        self.received_bytes += len(data)
        self._engine.feed(data)
        try:
            if self._state is State.CLOSING:
                self._await_close_frame()
            elif self._peer is not None:
                self._peer.on_readable()
        except Exception:
            # Twisted would discard the exception.
            logger.exception("Failed to read from a client, which is disconnected")
            self.close(Close.INTERNAL)

    def next_message(self) -> Message | Other | None:
        """Return the next message, after handling the control frames before it."""
        event = self._engine.next_event()
        if event is None or type(event) is str:
            return event
        if isinstance(event, bytes | engine.TooLarge):
            return event
        if isinstance(event, engine.Close):
            self._answer_close(event)
            return None
        if isinstance(event, engine.Fault):
            self._fail(event.code, event.reason)
            return None
        if isinstance(event, engine.Ping):
            self._answer_ping(event.payload)
        return OTHER

    def pause_reading(self) -> None:
        """Take no more input from the socket."""
        if self._state is State.OPEN:
            self._reading = False
            self._tcp.pauseProducing()

    def resume_reading(self) -> None:
        """Take input from the socket again."""
        if self._state is State.OPEN:
            self._reading = True
            self._tcp.resumeProducing()
            self._read_directly()

    def _read_directly(self) -> None:
        """Take the place of Twisted's callback for the socket, which Twisted has just registered.

        Twisted goes through a dozen calls before it reads.
        """
        tcp = self._tcp
        if self._direct and tcp.connected and not tcp.disconnecting:
            asyncio.get_running_loop().add_reader(tcp.fileno(), self._read)

    def _read(self) -> None:
        try:
            data = self._receive(CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.dataReceived(data)
        else:
            # The end, or a real error: let Twisted's own read hit it and handle it.
            self._tcp.pauseProducing()
            self._tcp.resumeProducing()

    def _answer_ping(self, payload: bytes) -> None:
        self._flush()  # the replies to the messages before it
        if self.writable:
            self._write(frames.pong_frame(payload))

    # --- Writing ---

    @property
    def backlog(self) -> int:
        """Bytes in Twisted's buffers."""
        buffer = self._buffer
        return len(buffer.dataBuffer) - buffer.offset + buffer._tempDataLen  # type: ignore[no-any-return]

    def write(self, batch: Sequence[Frame]) -> None:
        """Write the frames in one piece, to the socket if it takes them, else to its buffer."""
        # The fast path: this is all that a publication does to a socket. Twisted's buffers are
        # empty while the transport is writable, so there is no need to check them.
        data = batch[0].wire if len(batch) == 1 else None
        if data is None:
            data = serialize(batch)
        size = len(data)
        self.sent_bytes += size
        try:
            sent = self._send(data)
        except OSError:
            sent = 0  # EAGAIN or a real error: let Twisted's own write hit it and handle it
        if sent != size:
            self._write_rest(data[sent:])

    def _write(self, data: bytes) -> None:
        """Write a control frame, after everything that is waiting."""
        self.sent_bytes += len(data)
        sent = 0
        if self.writable:
            try:
                sent = self._send(data)
            except OSError:
                sent = 0
        if sent < len(data):
            self._write_rest(data[sent:])

    def _write_rest(self, data: bytes) -> None:
        tcp = self._tcp
        self._write_later(data)
        if self._direct and not tcp.producerPaused:
            # Twisted pauses a producer, and resumes it once the buffer has drained, only if many
            # bytes are waiting. Here it has to for any number, or later writes would overtake them.
            tcp.producerPaused = True
            self.pauseProducing()

    def _flush(self) -> None:
        if self.writable and self._peer is not None:
            self._peer.on_writable()

    # Twisted's side: twisted.internet.interfaces.IPushProducer.

    def pauseProducing(self) -> None:  # noqa: N802
        """Stop writing: bytes are waiting in Twisted's buffer."""
        self.writable = False
        self._timeouts.writes.watch(self)

    def resumeProducing(self) -> None:  # noqa: N802
        """Write again: Twisted's buffer has drained."""
        if self._state is State.OPEN:
            self.writable = True
            self._flush()

    def stopProducing(self) -> None:  # noqa: N802
        """Do nothing: the socket is being closed, and `connectionLost` follows."""

    # --- The end ---

    def close(self, reason: Reason, last: Sequence[Frame] = ()) -> None:
        """Send the close frame, and close the socket if it is not answered in time."""
        self._start_closing(reason.code, reason.reason, last)

    def _start_closing(self, code: int, reason: str, last: Sequence[Frame] = ()) -> None:
        if self._state is State.OPEN:
            self.close_code, self.close_reason = code, reason
            self._flush()
            self._write(serialize(last) + frames.close_frame(code, reason))
            self._end(State.CLOSING)
            if not self._reading:
                self._tcp.resumeProducing()
            self._await_close_frame()

    def _await_close_frame(self) -> None:
        """Discard input until the peer's close frame (RFC 6455 §5.5.1)."""
        while (event := self._engine.next_event()) is not None:
            if isinstance(event, engine.Close | engine.Fault):
                self._lose_connection()
                return

    def _answer_close(self, event: engine.Close) -> None:
        self.close_code = event.code or NO_STATUS
        self._flush()
        self._write(frames.close_frame(NORMAL))
        self._lose_connection()

    def _fail(self, code: int, reason: str) -> None:
        """Send a close frame to a peer that violated the protocol (RFC 6455 §7.1.7).

        Only the sending direction is closed, and input is read until the peer closes the other:
        closing the socket with unread input would reset the connection, and the peer might not see
        the close frame.
        """
        self.close_code, self.close_reason = code, reason
        self._flush()
        self._write(frames.close_frame(code, reason))
        if self._direct:
            self._end(State.FLUSHING)
            self._tcp.loseWriteConnection()
        else:
            self._lose_connection()

    def _lose_connection(self) -> None:
        self._end(State.FLUSHING)
        self._tcp.loseConnection()

    def _end(self, state: State) -> None:
        """Write nothing more, and release the peer."""
        self._state = state
        self.writable = False
        if state is State.FLUSHING:
            self._engine.close()
            # A producer would keep Twisted from closing the socket.
            self._tcp.unregisterProducer()
        self._timeouts.pings.forget(self)
        self._timeouts.writes.forget(self)
        if state is not State.CLOSED:
            self._timeouts.writes.watch(self)
        peer, self._peer = self._peer, None
        if peer is not None:
            peer.on_lost()

    def connectionLost(self, reason: Any) -> None:  # noqa: N802
        """Release everything: Twisted has closed the socket."""
        self._end(State.CLOSED)
        self._engine.close()
        self._tcp = self._buffer = self._send = self._receive = self._write_later = None  # type: ignore[assignment]
        self._server.protocol_disconnected(self)
        if self._access_log is not None:
            self._server.log_action("websocket", "disconnected", self._access_log)
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait_closed(self) -> None:
        """Wait until the socket is closed."""
        if self._state is not State.CLOSED:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    # For `pubsub.transport.timeouts`.

    @property
    def blocked(self) -> bool:
        """Whether the peer still has something to read or to answer."""
        return self._state is not State.CLOSED and not self.writable

    @property
    def unread(self) -> int:
        """Bytes in Twisted's buffers, and those in the kernel's that the peer has not taken."""
        return self.backlog + self._unsent()

    def _unsent(self) -> int:
        # SIOCOUTQ: what the peer's kernel has not acknowledged (tcp(7)).
        size = array.array("i", [0])
        try:
            fcntl.ioctl(self._buffer.socket, termios.TIOCOUTQ, size)
        except (OSError, ValueError):
            return 0
        return size[0]

    @property
    def patience(self) -> float:
        """Seconds that the peer may go without progress."""
        if self._state is State.OPEN:
            return self._timeouts.write_timeout
        if not self.unread:
            return CLOSE_TIMEOUT
        if self._state is State.FLUSHING:
            return FLUSH_TIMEOUT
        return max(FLUSH_TIMEOUT, self._timeouts.write_timeout)

    def expire(self) -> None:
        """Disconnect a client that does not read, or close the socket if that was done before."""
        if self._state is State.OPEN:
            self.close(Close.SLOW)
        else:
            self._tcp.abortConnection()

    @property
    def listening(self) -> bool:
        """Whether the transport reads from the peer and can write to it."""
        return self._reading and self.writable

    def ping(self) -> None:
        """Send a ping to a silent client."""
        self._write(frames.ping_frame())

    def expire_silently(self) -> None:
        """Disconnect a client that has sent nothing since a ping."""
        self.close(Close.NO_PONG)

    # Daphne's side: the methods that it calls on its connections.

    def check_timeouts(self) -> None:
        """Enforce Daphne's own time limit for a connection (``--websocket_timeout``)."""
        limit = self._server.websocket_timeout
        connected = self._server.connections[self]["connected"]
        if limit >= 0 and time.monotonic() - connected > limit:
            self._start_closing(NORMAL, "")

    def handle_exception(self, exception: BaseException) -> None:
        """Close the connection: the application has failed, which Daphne has logged."""
        self.close(Close.INTERNAL)
