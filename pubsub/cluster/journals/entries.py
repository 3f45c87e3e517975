"""The messages in a log, in the form in which other processes get them.

The first entry of each log is a *birth*, which is empty: it tells a log whose messages were all
accepted by this room from one that was lost.
"""

import msgspec

from pubsub.core.publication import Publication
from pubsub.protocol import replies

BIRTH = b""


class Message(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One message of a topic with history, without its offset, which is that of its entry."""

    publisher_id: str | None
    """The id of the publishing client, or ``None``."""

    user: str | None
    """The authenticated user who published it, or ``None``."""

    time: int
    """When it was accepted, in milliseconds since the Unix epoch."""

    event: bytes
    """The encoded event, without an offset and without a user."""

    def event_at(self, offset: int) -> bytes:
        """Return the event as subscribers get it."""
        return replies.complete_event(self.event, offset, self.user)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Message)


def encode(publication: Publication) -> bytes:
    """Return the entry of a publication that has no offset yet."""
    return _encoder.encode(
        Message(
            publication.publisher_id,
            publication.user,
            publication.time,
            replies.encode_event(publication),
        )
    )


def decode(data: bytes) -> Message:
    """Return the message of an entry that is not a birth.

    Raises:
        msgspec.MsgspecError: It was written by a version that is not understood here.
    """
    return _decoder.decode(data)
