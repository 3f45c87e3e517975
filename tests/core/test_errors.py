"""The messages of the exceptions that no client sees."""

from pubsub.core.errors import MustAwait


def test_a_call_that_has_to_wait() -> None:
    """The error says what to do instead."""
    assert str(MustAwait()).endswith("on the event loop, await its other form")
