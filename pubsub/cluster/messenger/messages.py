"""The form in which questions and parts of answers are sent."""

from typing import TypeVar

import msgspec

from pubsub.cluster.names import ProcessId
from pubsub.relay.base import Relay

PART_BYTES = 512 * 1024
"""Bytes of an answer that travel as one message, and the most that a question may have; or half of
what the relay takes, if that is less."""

MAX_PARTS = 64
"""Parts of one answer; a longer one is a failure."""

ALL = "ask.all"
"""The channel on which all processes are asked."""

Structure = TypeVar("Structure", bound=msgspec.Struct)


class Question(msgspec.Struct, array_like=True):
    """A question. Its sender and its number identify the answer."""

    sender: ProcessId
    number: int
    kind: str
    body: bytes


class Part(msgspec.Struct, array_like=True):
    """A part of an answer. A failure is a single part with ``has_failed``."""

    sender: str
    number: int
    index: int
    is_last: bool
    has_failed: bool
    body: bytes


def max_bytes(relay: Relay) -> int:
    """Return the bytes that a question, or a part of an answer, may have."""
    return min(PART_BYTES, relay.max_bytes // 2)


def questions_for(process_id: str) -> str:
    """Return the channel on which one process is asked."""
    return f"ask.{process_id}"


def answers_for(process_id: str) -> str:
    """Return the channel on which a process gets its answers."""
    return f"answer.{process_id}"


def encode(message: Question | Part) -> bytes:
    """Encode a message."""
    return msgspec.msgpack.encode(message)


def decode(data: bytes, kind: type[Structure]) -> Structure | None:
    """Return a message; ``None`` if it is none, or of another version of the program."""
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except msgspec.MsgspecError:
        return None
