"""The transport for WebSockets on Daphne."""

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from pubsub.core.configuration import Configuration
from pubsub.core.publication import Frame
from pubsub.protocol.codes import Close
from pubsub.transport.base import OTHER, Message, Other, Peer, Reason
from pubsub.transport.daphne.sockets import FLUSH_TIMEOUT, DaphneSocket, State
from pubsub.transport.timeouts import Timeouts
from pubsub.transport.traffic import Traffic
from pubsub.websocket import engine, frames
from pubsub.websocket.engine import Engine
from pubsub.websocket.frames import text_header

logger = logging.getLogger(__name__)

CLOSE_TIMEOUT = 5.0
"""Seconds that a client has to answer a close frame after receiving it."""

NORMAL = 1000
"""The close code for a normal closure (RFC 6455 §7.4.1)."""

NO_STATUS = 1005
"""Stands for a close frame without a code (RFC 6455 §7.1.5)."""


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


def _access_log_details(protocol: Any) -> dict[str, Any]:
    address = protocol.client_addr
    return {
        "path": protocol.request.path,
        "client": f"{address[0]}:{address[1]}" if address else None,
    }


class DaphneTransport(DaphneSocket):
    """One accepted WebSocket on Daphne.

    Args:
        protocol: Daphne's protocol, after `foreign.check` has succeeded.
        config: The limit for incoming messages.
        timeouts: The timers of this event loop.
        traffic: Where the bytes are counted.
    """

    __slots__ = (
        "_engine",
        "_reading",
        "heard",
        "silent_looks",
    )

    kind = "websocket"

    _inflates = False
    """Whether the client may send compressed messages."""

    def __init__(
        self, protocol: Any, config: Configuration, timeouts: Timeouts, traffic: Traffic
    ) -> None:
        server = protocol.server
        access_log = _access_log_details(protocol) if server.action_logger else None
        super().__init__(protocol.transport, server, timeouts, traffic, access_log)
        traffic.received += len(protocol.data)
        self._reading = True
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
        protocol.factory.countConnections -= 1
        # Daphne's `send` refers to the protocol as long as the application runs. Emptying it frees
        # what it held, and leaves no cycle to the garbage collector.
        vars(protocol).clear()

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
        self.traffic.received += len(data)
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
            self._end_after_answers(partial(self._answer_close, event))
            return None
        if isinstance(event, engine.Fault):
            self._end_after_answers(partial(self._fail, event.code, event.reason))
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

    def _answer_ping(self, payload: bytes) -> None:
        self._flush()  # the replies to the messages before it
        if self.writable:
            self._write(frames.pong_frame(payload))

    # --- Writing ---

    def write(self, batch: Sequence[Frame]) -> None:
        """Write the frames in one piece, to the socket if it takes them, else to its buffer."""
        # The fast path: this is all that a publication does to a socket. Twisted's buffers are
        # empty while the transport is writable, so there is no need to check them.
        data = batch[0].wire if len(batch) == 1 else None
        if data is None:
            data = serialize(batch)
        size = len(data)
        self.traffic.sent += size
        try:
            sent = self._send(data)
        except OSError:
            sent = 0  # EAGAIN or a real error: let Twisted's own write hit it and handle it
        if sent != size:
            self._write_rest(data[sent:])

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

    def _end_after_answers(self, end: Callable[[], None]) -> None:
        assert self._peer is not None  # noqa: S101  # only the peer reads
        self._peer.on_end(end)

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

    def _end(self, state: State) -> None:
        """Write nothing more, and release the peer."""
        if state is not State.CLOSING:
            self._engine.close()
        self._timeouts.pings.forget(self)
        super()._end(state)

    def _log_end(self, details: dict[str, Any]) -> None:
        self._server.log_action("websocket", "disconnected", details)

    # For `pubsub.transport.timeouts`.

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
