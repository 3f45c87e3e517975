"""What a topic shows of itself."""

from pubsub.core.topic import Topic
from tests.core.support import encode


def test_repr() -> None:
    """It tells how it is doing."""
    assert repr(Topic("orders", encode=encode)) == "<Topic 'orders', 0 subscribers>"
