"""A configuration refuses values that make no sense."""

import pytest

from pubsub.core.configuration import Configuration


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("queue_size", 0),
        ("queue_bytes", 0),
        ("max_message_bytes", -1),
        ("max_topics", 0),
        ("max_subscriptions", 0),
        ("history_size", -1),
        ("history_size", 1_000_001),
        ("history_bytes", 0),
        ("ping_interval", 0),
        ("request_timeout", -1),
        ("rate_limit", -1),
        ("rate_limit", float("nan")),
        ("write_timeout", 0),
        ("write_timeout", float("nan")),
        ("write_timeout", float("inf")),
    ],
)
def test_out_of_range(field: str, value: float) -> None:
    """A value out of range is refused with a message that starts with the field's name."""
    with pytest.raises(ValueError, match=f"^{field} "):
        Configuration(**{field: value})


def test_edges_are_allowed() -> None:
    """The smallest and largest valid values are accepted."""
    Configuration(queue_size=1, queue_bytes=1, history_size=0, write_timeout=0.001)
    Configuration(history_size=1000)
