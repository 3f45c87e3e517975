"""What REST answers to publications, encoded to JSON."""

from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from pubsub.core.errors import PubSubError
from pubsub.core.publication import Publication
from pubsub.protocol.codes import ErrorCode
from pubsub.protocol.errors import error_code, has_unknown_fate
from pubsub.protocol.messages import ErrorDetail


class Published(Struct):
    """A message was published."""

    status: Literal["published"]
    topic: str
    id: str
    subscribers: int
    offset: int | UnsetType = UNSET
    duplicate: bool | UnsetType = UNSET
    scope: str | UnsetType = UNSET


class Refused(Struct):
    """A message of a batch was not published."""

    error: ErrorDetail
    unknown_fate: bool | UnsetType = UNSET


Result = Published | Refused
"""What became of one message."""


class Results(Struct):
    """What became of the messages of a batch, in their order."""

    results: Sequence[Result]


_encode = msgspec.json.Encoder().encode


def published(
    publication: Publication, *, elsewhere: int = 0, scope: str | UnsetType = UNSET
) -> Published:
    """Return the result for a message that was published.

    Args:
        publication: What its topic made of the message.
        elsewhere: Subscribers in other processes.
        scope: ``process`` if it has not reached others.
    """
    return Published(
        "published",
        publication.topic,
        publication.id,
        publication.subscribers + elsewhere,
        UNSET if publication.offset is None else publication.offset,
        True if publication.duplicate else UNSET,
        scope,
    )


def refused(error: PubSubError) -> Refused:
    """Return the result for a message that was refused."""
    detail = ErrorDetail(error_code(error), str(error))
    return Refused(detail, has_unknown_fate(error) or UNSET)


def failed() -> Refused:
    """Return the result for a message that a fault of the server kept from being published."""
    return Refused(ErrorDetail(ErrorCode.INTERNAL, "internal error"))


def encode_result(result: Published) -> bytes:
    """Encode the answer to a single publication."""
    return _encode(result)


def encode_results(results: Sequence[Result]) -> bytes:
    """Encode the answer to a batch."""
    return _encode(Results(results))
