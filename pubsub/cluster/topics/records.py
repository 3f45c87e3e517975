"""The entries of the room's registry: one for each topic."""

import math
import re
from typing import NamedTuple

import msgspec
from msgspec import Struct

from pubsub.cluster.names import key_of
from pubsub.core.errors import InvalidTopicName
from pubsub.core.names import validate_name
from pubsub.core.options import MAX_CONFIGURED_HISTORY, TopicOptions
from pubsub.core.topic import new_epoch

MAX_PREVIOUS = 8
"""Former epochs that an entry names: a process that has missed more resets counts as new."""


class Record(Struct, array_like=True, frozen=True, gc=False):
    """A topic as the registry has it."""

    name: str
    options: TopicOptions
    epoch: str
    previous: tuple[str, ...] = ()
    """Former epochs, the last one first, of the same topic: its order was lost, not the topic."""

    born: int = 0
    """The revision at which the topic was created; 0 for the revision of this entry."""

    @property
    def keeps_history(self) -> bool:
        """Whether the topic has a log."""
        return self.options.history > 0

    def begun_again(self, born: int) -> "Record":
        """Return the entry of the same topic with a new epoch."""
        previous = (self.epoch, *self.previous)[:MAX_PREVIOUS]
        return Record(self.name, self.options, new_epoch(), previous, born)

    def continues(self, other: "Record") -> bool:
        """Return whether this is the topic of ``other``, perhaps with another epoch."""
        return self.epoch == other.epoch or other.epoch in self.previous


class Known(NamedTuple):
    """An entry and its revision."""

    record: Record
    revision: int

    @property
    def born(self) -> int:
        """The revision at which the topic was created."""
        return self.record.born or self.revision


_EPOCH = re.compile("[A-Za-z0-9-]{1,32}")
"""The epochs that can be a part of a log's name."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Record)


def encode(record: Record) -> bytes:
    """Return the value of an entry."""
    return _encoder.encode(record)


def decode(key: str, value: bytes) -> Record:
    """Return the entry with this key and value.

    Raises:
        ValueError: It is no entry of a topic.
    """
    record = _decoder.decode(value)
    try:
        validate_name(record.name)
    except InvalidTopicName as error:
        raise ValueError(str(error)) from None
    if key_of(record.name) != key:
        raise ValueError("the key and the name of the topic do not match")
    options = record.options
    if not (
        0 <= options.history <= MAX_CONFIGURED_HISTORY
        and 0 <= options.history_seconds < math.inf
        and _EPOCH.fullmatch(record.epoch)
    ):
        raise ValueError("an option or the epoch of the topic is invalid")
    return record
