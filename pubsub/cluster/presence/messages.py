"""Messages between processes about the members of topics."""

from collections.abc import Iterator
from typing import TypeVar

import msgspec
from msgspec import Struct

from pubsub.cluster.names import ProcessId
from pubsub.core.notices import Member, Who

SLICE = 300
"""Members that are read or changed in one turn of the event loop, which takes about 2 ms."""

Item = TypeVar("Item")


class Said(Struct, array_like=True, frozen=True):
    """One member of a process, as it tells the others."""

    user: str | None
    client_id: str | None
    info: bytes | None
    """``None`` if it is no longer a member."""
    clients: int


class Changes(Struct, array_like=True, frozen=True):
    """A message on the channel of a partition. Without topics it repeats the last number."""

    process: ProcessId
    sequence: int
    topics: dict[str, list[Said]]


class State(Struct, array_like=True):
    """The answer to a question about topics: all members of this process."""

    sequences: dict[int, int]
    """The number of the last message in each partition; the members are at least as recent."""
    topics: dict[str, list[Said]]
    complete: bool = True


def channel_of(partition: int) -> str:
    """Return the channel on which changes in a partition are published."""
    return f"presence.{partition}"


def said_about(who: Who, member: Member | None) -> Said:
    """Return what a process tells about a member; without ``member``, that it has left."""
    if member is None:
        return Said(who.user, who.client_id, None, 0)
    return Said(who.user, who.client_id, member.info, member.clients)


def who_of(said: Said) -> Who:
    """Return the identity of the member."""
    return Who(said.user, said.client_id)


_encoder = msgspec.msgpack.Encoder()
_changes = msgspec.msgpack.Decoder(Changes)
_states = msgspec.msgpack.Decoder(State)
_names = msgspec.msgpack.Decoder(list[str])


def encode(message: Changes | State | list[str]) -> bytes:
    """Encode a message, an answer or a question."""
    return _encoder.encode(message)


def decode_changes(data: bytes) -> Changes | None:
    """Return a message; ``None`` if it is none, or of another version."""
    try:
        return _changes.decode(data)
    except ValueError:
        return None


def decode_state(data: bytes) -> State | None:
    """Return an answer; ``None`` if it is none, or of another version."""
    try:
        return _states.decode(data)
    except ValueError:
        return None


def decode_question(data: bytes) -> list[str]:
    """Return the topics that a question is about.

    Raises:
        ValueError: It is no question.
    """
    return _names.decode(data)


def slices(items: list[Item]) -> Iterator[list[Item]]:
    """Yield slices of `SLICE` items."""
    for start in range(0, len(items), SLICE):
        yield items[start : start + SLICE]
