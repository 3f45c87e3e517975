"""How topics are named to a relay: by a partition, and by a key of letters that it allows."""

import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated

from msgspec import Meta

PARTITIONS = 256
"""Groups of topics. A process receives all topics of a group or none."""

ProcessId = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9-]{1,32}\Z")]
"""The id of a process, as it is read from a message. It becomes a part of a channel's name."""


def partition_of(topic: str) -> int:
    """Return the partition of a topic, the same in every process."""
    return zlib.crc32(topic.encode()) % PARTITIONS


def key_of(topic: str) -> str:
    """Return a topic's name in the letters of a relay's keys (RFC 4648 §5, without padding)."""
    return urlsafe_b64encode(topic.encode()).decode().rstrip("=")


def topic_of(key: str) -> str:
    """Return the name of the topic with this key."""
    return urlsafe_b64decode(key + "=" * (-len(key) % 4)).decode()


def log_of(topic: str, epoch: str) -> str:
    """Return the name of a topic's log, which begins with its partition."""
    return f"{partition_of(topic)}.{key_of(topic)}.{epoch}"


def channel_of(partition: int) -> str:
    """Return the name of the channel for publications of a partition's topics without history."""
    return f"topics.{partition}"
