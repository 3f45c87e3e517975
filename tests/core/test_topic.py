"""The repr of a topic."""

from pubsub.core.topic import Topic
from tests.core.support import encode


def test_repr() -> None:
    """The repr shows the name and the number of subscribers."""
    assert repr(Topic("orders", encode=encode)) == "<Topic 'orders', 0 subscribers>"
