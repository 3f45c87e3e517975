"""Compression (permessage-deflate, RFC 7692) for the clients of Daphne that negotiate it.

Autobahn would compress each message once for each client, and keep a window for it. So it never
learns of the client's offer: it is answered here, with a header of the response.
"""

import functools
from collections.abc import Iterable, Sequence
from typing import Any

from pubsub import fairness
from pubsub.core.publication import Frame
from pubsub.transport.base import Message, Other
from pubsub.transport.daphne import foreign
from pubsub.transport.daphne.transport import DaphneTransport, frame_text
from pubsub.websocket import deflate
from pubsub.websocket.frames import compressed_text_frame

EXTENSIONS = b"sec-websocket-extensions"


def negotiate(protocol: Any, headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Prepare the answer to the client's offer; return whether the connection is compressed.

    Autobahn rejects handshakes in which the header occurs twice. Nothing happens without an offer.
    If a name in `foreign` is missing, this logs one warning and returns false.

    Args:
        protocol: Daphne's protocol, before the connection is accepted.
        headers: Those of the client's request.
    """
    offers = dict(headers).get(EXTENSIONS)
    if offers is None:
        return False
    if missing := _missing_names():
        foreign.warn_once(missing, "connections are not compressed")
        return False
    protocol.websocket_extensions = []
    answer = deflate.negotiate(offers.decode("latin-1"))
    if answer is not None:
        response = {"Sec-WebSocket-Extensions": answer}
        protocol.serverAccept = functools.partial(_accept, protocol, response)
    return answer is not None


@functools.cache
def _missing_names() -> str:
    return ", ".join(foreign.missing(foreign.COMPRESSION))


def _accept(protocol: Any, headers: dict[str, str], subprotocol: str | None = None) -> None:
    """Accept the connection with additional headers, which Autobahn takes but Daphne does not."""
    del protocol.serverAccept
    protocol.serverAccept((subprotocol, headers))


_last_joined: tuple[Sequence[Frame], bytes] = ((), b"")


def serialize(batch: Sequence[Frame]) -> bytes:
    """Return a batch as the bytes of WebSocket frames, with long events compressed.

    A reply is never compressed: it is for one client, which could make the server compress as much
    as it asks for. As in `transport.serialize`, all subscribers of a topic get the same frames in
    turn, so each frame keeps its form, and the last result is kept here.
    """
    global _last_joined
    last, data = _last_joined
    if batch != last:
        data = b"".join([frame.compressed or _compress(frame) for frame in batch])
        _last_joined = batch, data
    return data


def _compress(frame: Frame) -> bytes:
    if frame.size >= deflate.MIN_BYTES and frame.counters is not None:
        payload = deflate.deflate(frame.payload)
        if len(payload) < frame.size:
            frame.compressed = compressed_text_frame(payload)
            return frame.compressed
    frame.compressed = frame.wire or frame_text(frame)
    return frame.compressed


class DeflateTransport(DaphneTransport):
    """An accepted WebSocket on Daphne whose client has negotiated compression.

    It costs no more memory than one without: nothing is kept between messages.
    """

    __slots__ = ()

    _inflates = True

    def next_message(self) -> Message | Other | None:
        """Return the next message, or first the cost of the previous one if it was compressed."""
        inflated = self._engine.take_inflated()
        if inflated:
            return Other(inflated // fairness.INFLATED_BYTES)
        return super().next_message()

    def write(self, batch: Sequence[Frame]) -> None:
        """Write the frames in one piece, in the form that all compressed connections share."""
        data = batch[0].compressed if len(batch) == 1 else None
        self._write(serialize(batch) if data is None else data)
