"""How the messages of one peer are read on Daphne, and how they are held back."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from pubsub.transport.base import Listener, Receive, payload_of
from pubsub.transport.daphne.framing import NotPlain, frame_size, parse_text

BUFFER_SIZE = 16 * 1024
"""Bytes read from a socket at a time, and bytes that may wait in Twisted before it is full.

Small enough that a chunk of the shortest messages is parsed within a few milliseconds, so that
one client that floods does not keep the others waiting."""

MAX_PLAIN_LENGTH = (1 << 16) - 1
"""Bytes of a message up to which it is parsed here."""

MAX_PIECES = 256
"""Pieces of a message that Autobahn may keep; an object for each is more than their bytes."""

MAX_FOREIGN = 100
"""Frames that Autobahn parses at a stretch, which takes about a millisecond."""

MAX_CONTROL_LENGTH = 125
"""Bytes in a control frame (RFC 6455 §5.5)."""


class Reader:
    """Takes what Twisted reads from a socket before Autobahn sees it.

    Plain text messages go straight to the listener, in the same call in which they arrive,
    without Autobahn's parser, Daphne's queue, and a task's turn. Everything else (control frames,
    fragments, very long messages, faults) is left to Autobahn, frame by frame. When the listener
    refuses a message, the frames behind it wait here, and the socket is not read.
    """

    __slots__ = (
        "_foreign",
        "_held",
        "_listener",
        "_max_length",
        "_parse",
        "_paused",
        "_ping",
        "_protocol",
        "_rest_of_frame",
        "_send_pong",
        "_unread",
    )

    def __init__(
        self, protocol: Any, listener: Listener, send_pong: Callable[[bytes], None]
    ) -> None:
        self._protocol = protocol
        self._listener = listener
        self._send_pong = send_pong
        self._ping: bytes | None = None
        self._unread = b""
        self._rest_of_frame = 0
        self._foreign = 0
        self._held: list[str | bytes] = []
        self._paused = False
        self._max_length = min(
            MAX_PLAIN_LENGTH,
            protocol.maxMessagePayloadSize or MAX_PLAIN_LENGTH,
            protocol.maxFramePayloadSize or MAX_PLAIN_LENGTH,
        )
        self._parse: Callable[[bytes], None] = protocol.dataReceived
        # raises here, not in the first read, if Autobahn has changed
        _ = (protocol.inside_message, protocol.data, protocol.onMessage, protocol.onPing)
        self._note_activity()

    def take_over(self) -> None:
        """Put methods of this object in the place of those of Autobahn and Daphne."""
        protocol = self._protocol
        protocol.dataReceived = self._on_data
        protocol.onMessage = self._on_parsed_message
        protocol.onPing = self._on_ping
        # What came with the handshake may end in the middle of a frame.
        if protocol.current_frame is not None:
            parsed = protocol.current_frame_masker.pointer()
            self._rest_of_frame = protocol.current_frame.length - parsed
        else:
            self._unread, protocol.data = protocol.data, b""

    async def read(self, receive: Receive) -> None:
        """Pass on the peer's messages until the connection has ended."""
        # Daphne queues only what came together with the handshake, and the end.
        while (message := await receive())["type"] != "websocket.disconnect":
            self._pass_on(payload_of(message))

    def resume(self) -> None:
        """Offer again what the listener has refused, if anything, and read on if it is taken."""
        if not self._paused:
            return
        self._paused = False
        held, self._held = self._held, []
        for message in held:
            self._pass_on(message)
        if not self._paused and self._unread:
            self._read(self._unread)
        if not self._paused:
            self._protocol.transport.resumeProducing()

    def _on_data(self, data: bytes) -> None:
        self._read(self._unread + data if self._unread else data)

    def _read(self, data: bytes) -> None:
        """Go through the frames, for as long as the listener takes what is in them."""
        protocol, on_message = self._protocol, self._listener.on_message
        position, size = 0, len(data)
        self._unread = b""
        self._foreign = 0
        if protocol.state == protocol.STATE_CLOSED:
            return  # Autobahn would keep it
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
        if self._ping is not None:
            self._answer_ping(self._ping)

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
        self._limit_pieces()
        self._foreign += 1
        if self._foreign == MAX_FOREIGN and not self._paused:
            self._pause()
            asyncio.get_running_loop().call_soon(self.resume)
        return end

    def _limit_pieces(self) -> None:
        """Join what Autobahn keeps of a message; of a control frame too long it keeps nothing."""
        protocol = self._protocol
        frame = protocol.current_frame
        if frame is not None and frame.opcode > 7:
            if frame.length > MAX_CONTROL_LENGTH:
                protocol.control_frame_data = []
        elif protocol.inside_message:
            if len(protocol.message_data) > MAX_PIECES:
                protocol.message_data = [b"".join(protocol.message_data)]
            if frame is not None and len(protocol.frame_data) > MAX_PIECES:
                protocol.frame_data = [b"".join(protocol.frame_data)]

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
        self._protocol.transport.pauseProducing()

    def _on_ping(self, payload: bytes) -> None:
        self._ping = payload

    def _answer_ping(self, payload: bytes) -> None:
        # RFC 6455 §5.5.3 asks for an answer to the most recent ping only.
        self._ping = None
        self._send_pong(payload)
