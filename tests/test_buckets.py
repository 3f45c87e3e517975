"""The rate limits of many askers."""

import pytest

from pubsub import buckets
from pubsub.buckets import Buckets


class Clock:
    """A clock that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def test_burst_and_rate() -> None:
    """As many requests as the rate may come at once, and then one after the other."""
    clock = Clock()
    rates = Buckets(2, clock)
    assert [rates.wait("a") for _ in range(4)] == [0, 0, 1, 1]
    assert rates.refused == 2
    clock.now += 0.5
    assert [rates.wait("a"), rates.wait("a")] == [0, 1]
    clock.now += 3600
    assert [rates.wait("a") for _ in range(3)] == [0, 0, 1]


def test_askers_are_independent() -> None:
    """What one asker does costs no other one anything."""
    rates = Buckets(1, Clock())
    assert [rates.wait("a"), rates.wait("a"), rates.wait("b")] == [0, 1, 0]


def test_slow_rate() -> None:
    """The time to wait is in whole seconds, and long enough."""
    clock = Clock()
    rates = Buckets(0.1, clock)
    assert [rates.wait("a"), rates.wait("a")] == [0, 10]
    clock.now += 9.5
    assert rates.wait("a") == 1
    clock.now += 1
    assert rates.wait("a") == 0


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that were seen longest ago are forgotten; the one that goes on is not."""
    monkeypatch.setattr(buckets, "MAX_BUCKETS", 100)
    rates = Buckets(1, Clock())
    assert rates.wait("loud") == 0
    for number in range(1000):
        rates.wait(str(number))
        assert rates.wait("loud") == 1
        assert len(rates) <= 100


def test_full_buckets_are_forgotten() -> None:
    """An asker whose bucket is full again takes no memory once others ask."""
    clock = Clock()
    rates = Buckets(1, clock)
    for number in range(50):
        rates.wait(str(number))
    clock.now += 1
    for _ in range(50):
        rates.wait("last")
    assert len(rates) == 1
    assert repr(rates) == "<Buckets 1 askers, 49 refused>"
