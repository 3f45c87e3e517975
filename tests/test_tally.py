"""What a process counts beside the topics."""

import pytest

from pubsub.protocol.codes import ErrorCode
from pubsub.protocol.messages import Ping
from pubsub.tally import AuthFailure, Tally


@pytest.mark.parametrize(
    ("code", "label"), [(1000, "1000"), (3504, "3504"), (4321, "other"), (2999, "other")]
)
def test_close_codes_are_a_fixed_set(code: int, label: str) -> None:
    """A code that only a client may have chosen counts as `other`, so that it adds no label."""
    tally = Tally()
    known = set(tally.closed)
    tally.count_end(code)
    assert tally.closed[label] == sum(tally.closed.values()) == 1
    assert set(tally.closed) == known


def test_failures_count_by_type_and_code() -> None:
    """A message that is not a command counts as invalid, whatever type it says it has."""
    tally = Tally()
    tally.count_failure(None, ErrorCode.BAD_REQUEST)
    tally.count_failure(Ping(), ErrorCode.INTERNAL)
    assert {labels: count for labels, count in tally.failed.items() if count} == {
        ("invalid", "BAD_REQUEST"): 1,
        ("ping", "INTERNAL"): 1,
    }
    assert tally.failed["publish", ErrorCode.INTERNAL] == 0


def test_auth_failures_count_by_reason() -> None:
    """Every reason is there from the start, so that a rate can be computed at once."""
    tally = Tally()
    tally.count_auth_failure(AuthFailure.EXPIRED)
    assert tally.auth_failures == {reason: reason == "expired" for reason in AuthFailure}
