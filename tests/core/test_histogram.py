"""Histograms of durations."""

import pytest

from pubsub.core.histogram import Histogram


def test_durations_count_up_to_their_bounds() -> None:
    """A duration counts for every bound that is not shorter, and always for the total."""
    histogram = Histogram((0.1, 1.0))
    for seconds in (0.0, 0.1, 0.11, 1.0, 60.0):
        histogram.observe(seconds)
    assert histogram.cumulative() == [2, 4, 5]
    assert histogram.total == pytest.approx(61.21)
    assert repr(histogram) == "<Histogram of 5 durations>"
