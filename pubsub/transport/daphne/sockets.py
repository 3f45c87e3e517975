"""A socket that is taken over from Daphne, with the flow control that Daphne's ``send`` lacks.

A `DaphneSocket` has three roles: it is the protocol of Twisted's transport (which passes received
bytes to it), the push producer (which Twisted notifies when its buffer is full and when it has
drained), and one of Daphne's connections.

Bytes are written straight to the socket while Twisted's buffers are empty. This is several times
cheaper than Twisted's ``write``, which goes through the selector.
"""

import array
import asyncio
import fcntl
import termios
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

from pubsub.core.publication import Frame
from pubsub.fairness import CHUNK_BYTES
from pubsub.protocol.codes import Close
from pubsub.transport.base import Peer, Reason
from pubsub.transport.daphne.foreign import is_tls
from pubsub.transport.timeouts import Timeouts
from pubsub.transport.traffic import Traffic

FLUSH_TIMEOUT = 10.0
"""Seconds without progress after which a client that still has data to read is disconnected, once
its connection is being closed.

If the server closes the connection, the write timeout applies if it is longer, because the client
may be slow."""


class State(Enum):
    """How far the connection is from its end."""

    OPEN = "open"
    CLOSING = "closing"
    """The close frame was written, and the peer's close frame has not arrived yet."""
    FLUSHING = "flushing"
    """Nothing more is expected; the socket is closed once the peer has read everything."""
    CLOSED = "closed"


def _send_nothing(data: bytes) -> int:
    return 0


class DaphneSocket(ABC):
    """The socket of one client, and Twisted's transport around it.

    Args:
        tcp: Twisted's TCP or TLS transport.
        server: Daphne's server.
        timeouts: The timers of this event loop.
        traffic: Where the bytes are counted.
        access_log: What Daphne's access log is told at the end; ``None`` if there is no log.
    """

    __slots__ = (
        "_access_log",
        "_buffer",
        "_direct",
        "_peer",
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
        "traffic",
        "writable",
    )

    def __init__(
        self,
        tcp: Any,
        server: Any,
        timeouts: Timeouts,
        traffic: Traffic,
        access_log: dict[str, Any] | None,
    ) -> None:
        self._tcp = tcp
        self._direct = not is_tls(tcp)
        self._buffer = tcp if self._direct else tcp.transport
        self._send: Callable[[bytes], int] = tcp.socket.send if self._direct else _send_nothing
        self._receive: Callable[[int], bytes] = self._buffer.socket.recv
        self._write_later: Callable[[bytes], None] = tcp.write
        self._server = server
        self._access_log = access_log
        self._timeouts = timeouts
        self._peer: Peer | None = None
        self._state = State.OPEN
        self._waiters: list[asyncio.Future[None]] = []
        self.writable = True
        self.close_code = 1006
        self.close_reason: str | None = None
        self.traffic = traffic

    def _take_over(self, protocol: Any) -> None:
        """Become the protocol and the producer of the socket, and the connection of Daphne's.

        Args:
            protocol: What the connection was to Daphne so far.
        """
        tcp, server = self._tcp, self._server
        # Twisted's HTTP channel is still registered.
        tcp.unregisterProducer()
        tcp.registerProducer(self, True)
        self._buffer.bufferSize = CHUNK_BYTES
        if self._direct:
            tcp.protocol = self
            tcp.resumeProducing()
            self._read_directly()
            if self.backlog:
                # The head of the response is waiting. As in `_write_rest`, but without a peer.
                self.writable = False
                tcp.producerPaused = True
        else:
            tcp.wrappedProtocol = self
        # Daphne's entry has the time of the day, which somebody may set.
        server.connections[self] = server.connections.pop(protocol) | {
            "connected": time.monotonic()
        }

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._state.value}>"

    # --- Reading ---

    @abstractmethod
    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        """Take what was read from the socket, by Twisted or directly."""

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

    # --- Writing ---

    @property
    def backlog(self) -> int:
        """Bytes in Twisted's buffers."""
        buffer = self._buffer
        return len(buffer.dataBuffer) - buffer.offset + buffer._tempDataLen  # type: ignore[no-any-return]

    def _write(self, data: bytes) -> None:
        """Write bytes, after everything that is waiting."""
        self.traffic.sent += len(data)
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
            # The peer has read. `unread` does not show that if the buffer is filled again at once.
            self._timeouts.writes.forget(self)
            self._flush()

    def stopProducing(self) -> None:  # noqa: B027, N802
        """Do nothing: the socket is being closed, and `connectionLost` follows."""

    # --- The end ---

    @abstractmethod
    def close(self, reason: Reason, last: Sequence[Frame] = ()) -> None:
        """Say why, and close the socket."""

    def _lose_connection(self) -> None:
        self._end(State.FLUSHING)
        self._tcp.loseConnection()

    def _end(self, state: State) -> None:
        """Write nothing more, and release the peer."""
        self._state = state
        self.writable = False
        if state is State.FLUSHING:
            # A producer would keep Twisted from closing the socket.
            self._tcp.unregisterProducer()
        self._timeouts.writes.forget(self)
        if state is not State.CLOSED:
            self._timeouts.writes.watch(self)
        peer, self._peer = self._peer, None
        if peer is not None:
            peer.on_lost()

    def connectionLost(self, reason: Any) -> None:  # noqa: N802
        """Release everything: Twisted has closed the socket."""
        self._end(State.CLOSED)
        self._tcp = self._buffer = self._send = self._receive = self._write_later = None  # type: ignore[assignment]
        self._server.protocol_disconnected(self)
        if self._access_log is not None:
            self._log_end(self._access_log)
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    @abstractmethod
    def _log_end(self, details: dict[str, Any]) -> None:
        """Write a line of Daphne's access log."""

    async def wait_closed(self) -> None:
        """Wait until the socket is closed."""
        if self._state is not State.CLOSED:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    # For `pubsub.transport.timeouts`.

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
    @abstractmethod
    def patience(self) -> float:
        """Seconds that the peer may go without progress."""

    @property
    def blocked(self) -> bool:
        """Whether the peer still has something to read or to answer."""
        return self._state is not State.CLOSED and not self.writable

    def expire(self) -> None:
        """Disconnect a client that does not read, or close the socket if that was done before."""
        if self._state is State.OPEN:
            self.close(Close.SLOW)
        else:
            self._tcp.abortConnection()

    # Daphne's side: the methods that it calls on its connections.

    def handle_exception(self, exception: BaseException) -> None:
        """Close the connection: the application has failed, which Daphne has logged."""
        self.close(Close.INTERNAL)
