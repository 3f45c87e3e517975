"""The transport for server-sent events on Daphne."""

import time
from collections.abc import Sequence
from typing import Any

from pubsub.core.publication import Frame
from pubsub.transport import sse
from pubsub.transport.base import Peer, Reason
from pubsub.transport.daphne.sockets import FLUSH_TIMEOUT, DaphneSocket, State
from pubsub.transport.sse import Bookmark
from pubsub.transport.timeouts import Timeouts
from pubsub.transport.traffic import Traffic

LAST_CHUNK = b"0\r\n\r\n"
"""Ends a body in chunks (RFC 9112 §7.1)."""

_last_chunk = (b"", b"")


def chunk(text: bytes) -> bytes:
    """Return a piece of a body as a chunk. The last one is kept, for the next stream with it."""
    global _last_chunk
    last, framed = _last_chunk
    if text is not last:
        framed = b"%x\r\n%b\r\n" % (len(text), text)
        _last_chunk = text, framed
    return framed


def _access_log_details(request: Any) -> dict[str, Any]:
    address = request.client_addr
    return {
        "path": request.uri.decode("ascii", "replace"),
        "status": request.code,
        "method": request.method.decode("ascii", "replace"),
        "client": f"{address[0]}:{address[1]}" if address else None,
    }


class DaphneStream(DaphneSocket):
    """The body of one response on Daphne, whose headers are written.

    What the client sends meanwhile is discarded. If it closes its sending direction, it has left,
    as Twisted treats any other request.

    Args:
        request: The request, a `pubsub.transport.daphne.http_channel.Request`.
        bookmark: Where the stream begins.
        timeouts: The timers of this event loop.
        traffic: Where the bytes are counted.
    """

    __slots__ = ("_bookmark", "_chunked", "_size", "_started")

    kind = "sse"

    def __init__(
        self, request: Any, bookmark: Bookmark, timeouts: Timeouts, traffic: Traffic
    ) -> None:
        server = request.server
        access_log = _access_log_details(request) if server.action_logger else None
        super().__init__(request.transport, server, timeouts, traffic, access_log)
        self._bookmark = bookmark
        self._chunked = bool(request.chunked)
        self._size = 0
        self._started = time.monotonic() - request.duration()
        self._take_over(request)
        request.leave()

    async def serve(self, peer: Peer) -> None:
        """Serve the stream with ``peer``; return when the socket is closed."""
        if self._state is State.OPEN:
            self._peer = peer
            self._timeouts.comments.watch(self)
            self._flush()
        await self.wait_closed()

    # --- Reading ---

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        """Discard what the client sends behind its request."""
        self.traffic.received += len(data)

    def next_message(self) -> None:
        """Return ``None``: the client of a stream sends no messages."""

    def pause_reading(self) -> None:
        """Do nothing: there are no messages that could be too many."""

    def resume_reading(self) -> None:
        """Do nothing: reading was not paused."""

    # --- Writing ---

    def write(self, batch: Sequence[Frame]) -> None:
        """Write the frames in one piece, to the socket if it takes them, else to its buffer."""
        data = sse.serialize(batch, self._bookmark)
        self._write(chunk(data) if self._chunked else data)

    def _write(self, data: bytes) -> None:
        self._size += len(data)
        super()._write(data)

    def comment(self) -> None:
        """Write a comment, if nothing else is waiting, and watch whether it arrives."""
        if self.writable:
            self.write([sse.KEEP_ALIVE])
            self._timeouts.writes.watch(self)

    # --- The end ---

    def close(self, reason: Reason, last: Sequence[Frame] = ()) -> None:
        """Write why the stream ends, as a comment, end the response and close the socket."""
        if self._state is State.OPEN:
            self.close_code, self.close_reason = reason.code, reason.reason
            self._flush()
            text = sse.serialize(last, self._bookmark) + sse.ending(reason)
            self._write(chunk(text) + LAST_CHUNK if self._chunked else text)
            self._lose_connection()

    def _end(self, state: State) -> None:
        self._timeouts.comments.forget(self)
        super()._end(state)

    def _log_end(self, details: dict[str, Any]) -> None:
        taken = time.monotonic() - self._started
        log = {**details, "time_taken": taken, "size": self._size}
        self._server.log_action("http", "complete", log)

    # For `pubsub.transport.timeouts`.

    @property
    def unread(self) -> int:
        """What is unread, less all that was written: the negative of what the peer has read.

        A stream is also watched while it is written to, so the bytes that are unread need not get
        fewer although the peer reads.
        """
        return super().unread - self._size

    @property
    def blocked(self) -> bool:
        """Whether the peer still has something to read, even if only a comment."""
        return super().blocked or (self._state is State.OPEN and self._unsent() > 0)

    @property
    def patience(self) -> float:
        """Seconds that the peer may go without progress."""
        if self._state is State.OPEN:
            return self._timeouts.write_timeout
        return max(FLUSH_TIMEOUT, self._timeouts.write_timeout)

    # Daphne's side.

    def check_timeouts(self) -> None:
        """Do nothing: Daphne's limit for a response (``--http-timeout``) is not for streams."""
