"""How publications travel: many in one message, with their place in the order of their process."""

from collections.abc import Iterator

import msgspec
from msgspec import Struct

from pubsub.cluster.names import ProcessId
from pubsub.core.publication import Publication

MAX_BATCH_BYTES = 256 * 1024
"""Bytes of a message with more than one publication."""


class Item(Struct, array_like=True, gc=False):
    """One publication of a topic without history."""

    topic: str
    publisher_id: str | None
    user: str | None
    event: bytes
    """The encoded event, as every subscriber gets it."""


class Batch(Struct, array_like=True):
    """Publications of one process to topics of one partition, with consecutive sequence numbers.

    Without any, it says where those begin that a process could not send while it was cut off.
    """

    process_id: ProcessId
    first: int
    """The sequence number of the first one. A process numbers its publications from 1, those of
    each partition by themselves."""
    items: list[Item]

    @property
    def last(self) -> int:
        """The sequence number of the last publication."""
        return self.first + len(self.items) - 1


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Batch)


def encode_batch(batch: Batch) -> bytes:
    """Encode a batch."""
    return _encoder.encode(batch)


def decode_batch(data: bytes) -> Batch:
    """Decode a batch.

    Raises:
        msgspec.DecodeError: It is not one.
    """
    return _decoder.decode(data)


def item_of(publication: Publication) -> Item:
    """Return what other processes have to know of a publication."""
    return Item(
        publication.topic,
        publication.publisher_id,
        publication.user,
        publication.frame.payload,
    )


def split(items: list[Item], max_bytes: int) -> Iterator[list[Item]]:
    """Yield items in runs of at most about ``max_bytes`` bytes, but of at least one item."""
    run: list[Item] = []
    size = 0
    for item in items:
        item_size = _size_of(item)
        if run and size + item_size > max_bytes:
            yield run
            run, size = [], 0
        run.append(item)
        size += item_size
    if run:
        yield run


def _size_of(item: Item) -> int:
    """Return an upper bound of the bytes that an item takes, with its share of the batch's head."""
    text = len(item.topic) + len(item.user or "") + len(item.publisher_id or "")
    return len(item.event) + 4 * text + 64
