"""The limits of one client, driven by a clock of the test."""

from pubsub.connection.rate import MALFORMED_SECONDS, PATIENCE, MalformedLimit, RateLimit


def test_burst() -> None:
    """A burst of one second's allowance passes, and no more than that is ever saved up."""
    limit = RateLimit(5, burst=0, now=0)
    assert [limit.admit(0) for _ in range(7)] == [True] * 5 + [False] * 2
    assert [limit.admit(0.5) for _ in range(3)] == [True, True, False]
    assert sum(limit.admit(1000) for _ in range(10)) == 5


def test_less_than_one_a_second() -> None:
    """Below one message a second, the first passes and the next after the full interval."""
    limit = RateLimit(0.5, burst=0, now=0)
    assert [limit.admit(now) for now in (0, 1, 2, 3, 4)] == [True, False, True, False, True]


def test_persistent_client_exhausts_the_patience() -> None:
    """Only a client that persists exhausts the patience, not one refused now and then."""
    limit = RateLimit(10, burst=0, now=0)
    for step in range(10_000):
        limit.admit(step / 15)  # 50 % above the limit
    assert not limit.exhausted
    for _ in range(int(PATIENCE * 10) + 11):
        limit.admit(1000)
    assert limit.exhausted


def test_burst_of_its_own() -> None:
    """The burst may be larger than what a second allows."""
    limit = RateLimit(1, burst=3, now=0)
    assert [limit.admit(0) for _ in range(4)] == [True] * 3 + [False]
    assert [limit.admit(1) for _ in range(2)] == [True, False]


def test_malformed_messages_within_a_minute() -> None:
    """Only messages of the last minute count, at any time."""
    limit = MalformedLimit(3)
    assert [limit.exceeds(now) for now in (0, 1, MALFORMED_SECONDS)] == [False] * 3
    assert limit.exceeds(MALFORMED_SECONDS + 0.9)
