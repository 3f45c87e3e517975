"""What `websockets` makes of a stream, in the words of the engine."""

import codecs
from collections.abc import Iterable

from websockets.frames import Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from pubsub.websocket.engine import TAIL, Close, Event, Fault, Ping, Pong, TooLarge

PROTOCOL_ERROR, NOT_UTF8, TOO_BIG, NO_CODE = 1002, 1007, 1009, 1005


class Oracle:
    """Assembles messages of the frames that `websockets` has parsed, and applies our limits.

    Args:
        max_message_bytes: As the engine has it.
        max_bytes: Likewise.
    """

    def __init__(self, *, max_message_bytes: int, max_bytes: int) -> None:
        self._max_message = max_message_bytes
        self._max_bytes = max_bytes
        self._opcode: Opcode | None = None
        self._message = b""
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def events(self, stream: bytes) -> list[Event]:
        """Return the events of a whole stream; a fault has no reason."""
        protocol = ServerProtocol(state=State.OPEN, max_size=None)
        protocol.receive_data(stream)
        events: list[Event] = []
        for frame in protocol.events_received():
            event = self._event(frame)
            if event is not None:
                events.append(event)
            if isinstance(event, Fault | Close):
                return events
        # Only `websockets` faults a close frame within a message; the RFC allows it (§5.4, §5.5).
        if (close := protocol.close_rcvd) is not None:
            code = None if close.code == NO_CODE else int(close.code)
            events.append(Close(code, close.reason))
        elif (sent := protocol.close_sent) is not None:
            events.append(Fault(int(sent.code), ""))
        return events

    def _event(self, frame: object) -> Event | None:
        opcode, payload = frame.opcode, bytes(frame.data)
        if opcode is Opcode.PING:
            return Ping(payload)
        if opcode is Opcode.PONG:
            return Pong(payload)
        if opcode is Opcode.CLOSE:
            return None  # read from the protocol, which has parsed it
        if opcode is not Opcode.CONT:
            self._opcode, self._message = opcode, b""
            self._decoder.reset()
        self._message += payload
        if len(self._message) > self._max_bytes:
            return Fault(TOO_BIG, "")
        if self._opcode is Opcode.TEXT:
            try:
                self._decoder.decode(payload, frame.fin)
            except UnicodeDecodeError:
                return Fault(NOT_UTF8, "")
        return self._finished() if frame.fin else None

    def _finished(self) -> Event:
        message = self._message
        if len(message) > self._max_message:
            return too_large(message, self._max_message, is_text=self._opcode is Opcode.TEXT)
        return message.decode() if self._opcode is Opcode.TEXT else message


def too_large(message: bytes, max_message_bytes: int, *, is_text: bool) -> TooLarge:
    """Return what the engine keeps of a message over the limit."""
    return TooLarge(
        is_text=is_text,
        size=len(message),
        head=message[:max_message_bytes],
        tail=message[max_message_bytes:][-TAIL:],
    )


def normalized(events: Iterable[Event], max_message_bytes: int) -> list[Event]:
    """Return what the engine has found in the form that the oracle gives.

    Reasons of faults are free text. The fast path keeps a text whole that exceeds the limit by
    no more than `TAIL` bytes, because then nothing of it is thrown away.
    """
    result: list[Event] = []
    for event in events:
        if isinstance(event, Fault):
            result.append(Fault(event.code, ""))
        elif isinstance(event, str) and len(event.encode()) > max_message_bytes:
            assert len(event.encode()) <= max_message_bytes + TAIL
            result.append(too_large(event.encode(), max_message_bytes, is_text=True))
        else:
            result.append(event)
    return result
