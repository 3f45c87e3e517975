"""What clients get when other processes are out of reach."""

from collections.abc import Iterator
from contextlib import contextmanager

from pubsub.protocol.errors import Unavailable
from pubsub.relay import errors

OUT_OF_REACH = "other servers are out of reach; try again"


@contextmanager
def reaching() -> Iterator[None]:
    """Convert what a relay raises to what clients get."""
    try:
        yield
    except errors.Unavailable as error:
        raise Unavailable(OUT_OF_REACH, unknown_fate=error.unknown_fate) from None
