"""Server-sent events: how the frames of a stream become text (WHATWG HTML §9.2.5).

Nothing here does I/O. Streams with the same frames share the result, as WebSockets do.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from pubsub.core.publication import Frame, Position, Reset
from pubsub.transport.base import Reason

HEADERS = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
)
"""The headers of every stream. The last one has nginx pass events on as they arrive."""

KEEP_ALIVE = Frame(b"")
"""Written as a comment, which clients ignore."""

_SHARED = 64
"""Frames whose text is kept, because the next stream is likely to need it."""

_TYPE = len(b'{"type":"')


_ID = re.compile(r"[0-9A-Za-z]{1,32}:[0-9]{1,16}(,[0-9A-Za-z]{1,32}:[0-9]{1,16})*")


def parse_id(text: str) -> dict[str, int] | None:
    """Return the offset for each epoch in an ``id``; ``None`` if it is none of a `Bookmark`."""
    if _ID.fullmatch(text) is None:
        return None
    pairs = (position.split(":") for position in text.split(","))
    return {epoch: int(offset) for epoch, offset in pairs}


class Bookmark:
    """The positions in the topics of one stream, which its ``id`` fields carry.

    A client that reconnects returns the last ``id`` in ``Last-Event-ID``. The id of an event is the
    position behind it in its topic, and where the stream is in its other topics. Each is an epoch,
    which no two topics share, and an offset, as in ``x9Qa71Bz:42,b3Zk0LqM:7``.

    Args:
        positions: Where the stream begins in each of its topics that keep history.
    """

    __slots__ = ("_epochs", "_positions", "only_epoch")

    def __init__(self, positions: Mapping[str, Position]) -> None:
        self._epochs = {topic: position.epoch.encode() for topic, position in positions.items()}
        # As they are written, because only one of them changes with each event.
        self._positions = {
            topic: b"%b:%d" % (self._epochs[topic], position.offset)
            for topic, position in positions.items()
        }
        first = next(iter(self._epochs.values()), b"")
        self.only_epoch = first if len(positions) < 2 else None
        """What the ids depend on besides the frames: the epoch of the only topic with history,
        nothing (``b""``) without one, and ``None`` if they depend on the stream itself."""

    def move(self, topic: str, offset: int) -> bytes:
        """Note that an event of a topic is written; return its ``id`` field."""
        if topic not in self._epochs:  # it was created again, and not for this stream
            return b""
        self._positions[topic] = b"%b:%d" % (self._epochs[topic], offset)
        return self.field()

    def begin_again(self, topic: str, position: Position) -> bytes:
        """Note that a topic has a new epoch; return the ``id`` field of the notice."""
        if topic in self._epochs:
            self._epochs[topic] = epoch = position.epoch.encode()
            if self.only_epoch is not None:
                self.only_epoch = epoch
        return self.move(topic, position.offset)

    def field(self) -> bytes:
        """Return the ``id`` field with all positions; nothing if no topic keeps history."""
        if not self._positions:
            return b""
        return b"id: %b\n" % b",".join(self._positions.values())


_last_joined: tuple[Sequence[Frame], bytes | None, bytes] = ((), b"", b"")


def serialize(batch: Sequence[Frame], bookmark: Bookmark) -> bytes:
    """Return a batch as the text of events, and move the bookmark behind them.

    All readers of one topic get the same text in turn, so the last result is kept, except where a
    topic begins again: that has to reach each bookmark.
    """
    global _last_joined
    epoch = bookmark.only_epoch
    if epoch is None:
        return _join(batch, bookmark)
    last, last_epoch, text = _last_joined
    if batch != last or epoch != last_epoch:
        text = _join(batch, bookmark)
        if bookmark.only_epoch == epoch:
            _last_joined = batch, epoch, text
    return text


def _join(batch: Sequence[Frame], bookmark: Bookmark) -> bytes:
    pieces = []
    for frame in batch:
        if frame.offset is not None and frame.counters is not None:
            pieces.append(bookmark.move(frame.counters.topic, frame.offset))
        elif frame.counters is None:
            if isinstance(frame, Reset):
                pieces.append(bookmark.begin_again(frame.topic, frame.position))
            elif _is_ack(frame):
                pieces.append(bookmark.field())
        pieces.append(_event(frame))
    return b"".join(pieces)


def _is_ack(frame: Frame) -> bool:
    return frame.payload.startswith(b'{"type":"ack"')


@lru_cache(maxsize=_SHARED)
def _event(frame: Frame) -> bytes:
    """Return the text of a frame without its ``id``."""
    if frame is KEEP_ALIVE:
        return comment("keep-alive")
    payload = frame.payload
    kind = payload[_TYPE : payload.index(b'"', _TYPE)]
    # CR, LF and CRLF each end a line. JSON has them between its tokens only.
    data = b"\ndata: ".join(payload.splitlines())
    return b"event: %b\ndata: %b\n\n" % (kind, data)


def ending(reason: Reason) -> bytes:
    """Return the last comment of a stream, with what a WebSocket would have in its close frame.

    Clients that cannot see comments, as ``EventSource``, see the end of the stream.
    """
    return comment(f"{reason.code} {reason.reason}")


def comment(text: str) -> bytes:
    """Return a comment, which must be one line."""
    return b": %b\n\n" % text.encode()
