"""Typed messages and their codes."""

import pytest

from pubsub.core import errors as core
from pubsub.protocol.codes import Close, ErrorCode
from pubsub.protocol.errors import BadRequest, error_code
from pubsub.protocol.messages import check_message_id
from tests.protocol.support import UUID


def test_message_ids_of_the_server() -> None:
    """Ids that Django code chooses follow the same rule as those of clients."""
    assert check_message_id(UUID) == UUID
    with pytest.raises(ValueError, match="must be a UUID"):
        check_message_id(UUID + "0")


def test_codes() -> None:
    """Every refusal of the broker has a code; a fault that no client can cause is INTERNAL."""
    assert error_code(core.InvalidTopicName("")) is ErrorCode.BAD_REQUEST
    assert error_code(core.LimitExceeded("topics", 1)) is ErrorCode.LIMIT_EXCEEDED
    assert error_code(core.WrongThread()) is ErrorCode.INTERNAL
    assert error_code(BadRequest("x")) is ErrorCode.BAD_REQUEST


def test_codes_of_subclasses() -> None:
    """A subclass has the code of the error that it refines, and may be caught as any error."""

    class TopicArchived(core.TopicNotFound):
        """A refinement that somebody adds later."""

    assert error_code(TopicArchived("t")) is ErrorCode.TOPIC_NOT_FOUND
    assert issubclass(BadRequest, core.PubSubError)


def test_close_codes() -> None:
    """A close has a code and a reason."""
    assert (Close.SLOW.code, Close.SLOW.reason) == (3008, "slow")
