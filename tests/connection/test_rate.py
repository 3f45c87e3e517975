"""The rate limit, with a clock of the test's own."""

from pubsub.connection.rate import PATIENCE, RateLimit


def test_a_second_may_be_used_at_once() -> None:
    """After that the rate applies, and no more than a second's worth is ever saved up."""
    limit = RateLimit(5, now=0)
    assert [limit.admit(0) for _ in range(7)] == [True] * 5 + [False] * 2
    assert [limit.admit(0.5) for _ in range(3)] == [True, True, False]
    assert sum(limit.admit(1000) for _ in range(10)) == 5


def test_less_than_one_a_second() -> None:
    """The first message passes, and the next one after its time."""
    limit = RateLimit(0.5, now=0)
    assert [limit.admit(now) for now in (0, 1, 2, 3, 4)] == [True, False, True, False, True]


def test_client_that_goes_on_and_on_exhausts_the_patience() -> None:
    """A client that is refused only now and then does not."""
    limit = RateLimit(10, now=0)
    for step in range(10_000):
        limit.admit(step / 15)  # half as much again as is allowed
    assert not limit.exhausted
    for _ in range(int(PATIENCE * 10) + 11):
        limit.admit(1000)
    assert limit.exhausted
