"""Topic names, and what a topic shows of itself."""

import pytest

from pubsub.core.errors import InvalidTopicName
from pubsub.core.topic import Topic, validate_name
from tests.core.support import encode


@pytest.mark.parametrize(
    "name", ["a", "orders", "x" * 128, "комната", "😀", "a.b-c_d:e", "a\\b", "%"]
)
def test_names(name: str) -> None:
    """Printable characters of any script."""
    assert validate_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "x" * 129,
        "a b",
        "a/b",
        "\t",
        "a\n",
        "\x00",
        "\x7f",
        "\u00a0",
        "\u2028",
        "\u200b",
        "\ud800",
    ],
)
def test_no_names(name: str) -> None:
    """Nothing, too much, white space, a slash, control characters, half a surrogate pair."""
    with pytest.raises(InvalidTopicName) as refused:
        validate_name(name)
    assert refused.value.topic == name


def test_repr() -> None:
    """It tells how it is doing."""
    assert repr(Topic("orders", encode=encode)) == "<Topic 'orders', 0 subscribers>"
