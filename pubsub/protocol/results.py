"""What REST answers to publications, encoded to JSON."""

from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from pubsub.core.errors import PubSubError
from pubsub.core.publication import Publication
from pubsub.protocol.codes import ErrorCode
from pubsub.protocol.errors import error_code
from pubsub.protocol.messages import ErrorDetail


class Published(Struct):
    """A message was published."""

    status: Literal["published"]
    topic: str
    id: str
    subscribers: int
    offset: int | UnsetType = UNSET
    duplicate: bool | UnsetType = UNSET


class Refused(Struct):
    """A message of a batch was not published."""

    error: ErrorDetail


Result = Published | Refused
"""What became of one message."""


class Results(Struct):
    """What became of the messages of a batch, in their order."""

    results: Sequence[Result]


_encode = msgspec.json.Encoder().encode


def published(publication: Publication) -> Published:
    """Return the result for a message that was published."""
    return Published(
        "published",
        publication.topic,
        publication.id,
        publication.subscribers,
        UNSET if publication.offset is None else publication.offset,
        True if publication.duplicate else UNSET,
    )


def refused(error: PubSubError) -> Refused:
    """Return the result for a message that was refused."""
    return Refused(ErrorDetail(error_code(error), str(error)))


def failed() -> Refused:
    """Return the result for a message that a fault of the server kept from being published."""
    return Refused(ErrorDetail(ErrorCode.INTERNAL, "internal error"))


def encode_result(result: Published) -> bytes:
    """Encode the answer to a single publication."""
    return _encode(result)


def encode_results(results: Sequence[Result]) -> bytes:
    """Encode the answer to a batch."""
    return _encode(Results(results))
