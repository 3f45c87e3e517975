"""At most ten events of a kind in a second, and an exact count of the others."""

from pubsub.logs.throttle import RATE, Throttle


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def test_ten_a_second() -> None:
    """Ten events are admitted in any second, wherever it begins."""
    clock = Clock()
    throttle = Throttle[str](clock)
    admitted: list[float] = []
    for step in range(300):
        clock.now = 100 + step / 100
        if throttle.admit("a") is not None:
            admitted.append(clock.now)
    assert len(admitted) == 3 * RATE
    assert all(
        later - earlier >= 1 for earlier, later in zip(admitted, admitted[RATE:], strict=False)
    )


def test_next_event_knows_the_number() -> None:
    """The next event that is admitted gets the number of those left out, once."""
    clock = Clock()
    throttle = Throttle[str](clock)
    assert [throttle.admit("a") for _ in range(RATE + 3)] == [0] * RATE + [None] * 3
    clock.now += 1
    assert [throttle.admit("a") for _ in range(2)] == [3, 0]


def test_kinds_are_independent() -> None:
    """A flood of one kind hides no other."""
    throttle = Throttle[str](Clock())
    for _ in range(RATE + 1):
        throttle.admit("a")
    assert throttle.admit("b") == 0


def test_counts_can_be_taken() -> None:
    """A kind that has become rare gives its count away; one that still floods, on request only."""
    clock = Clock()
    throttle = Throttle[str](clock)
    for _ in range(RATE + 2):
        throttle.admit("a")
    clock.now += 1
    for _ in range(RATE + 5):
        throttle.admit("b")
    assert throttle.has_suppressed
    assert list(throttle.take_suppressed()) == [("a", 2)]
    assert list(throttle.take_suppressed()) == []
    assert list(throttle.take_suppressed(all_kinds=True)) == [("b", 5)]
    assert not throttle.has_suppressed
    assert throttle.admit("a") == 0
