"""The options of topics, and the rules that give them."""

import pytest

from pubsub.core.errors import TopicNotFound
from pubsub.core.options import NOT_GIVEN, GivenOptions, Overflow, TopicOptions, TopicRules
from tests.core.support import join, make_broker

RULES = TopicRules(
    {
        "orders.*": GivenOptions(history=5),
        "orders.eu": GivenOptions(history=7, auto_create=True),
        "*": GivenOptions(presence=True, auto_create=False),
    }
)


def test_given_options() -> None:
    """An option that is not given keeps its value."""
    base = TopicOptions(history=3, presence=True)
    assert NOT_GIVEN.over(base) == base
    given = GivenOptions(history=0, overflow=Overflow.CATCH_UP)
    assert given.over(base) == TopicOptions(history=0, presence=True, overflow=Overflow.CATCH_UP)
    assert given.else_of(GivenOptions(history=9, presence=False)) == GivenOptions(
        history=0, presence=False, overflow=Overflow.CATCH_UP
    )


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("orders.eu", GivenOptions(history=7, auto_create=True)),
        ("orders.us", GivenOptions(history=5)),
        ("orders", GivenOptions(presence=True, auto_create=False)),
    ],
    ids=["name", "pattern", "last"],
)
def test_rules(name: str, options: GivenOptions) -> None:
    """A name counts before any pattern, and patterns count in their order."""
    assert RULES.options_for(name) == options


def test_rules_are_values() -> None:
    """Rules are equal if they say the same."""
    assert TopicRules() == TopicRules({})
    assert hash(TopicRules()) == hash(TopicRules({}))
    assert TopicRules() != RULES
    assert len(RULES) == 3
    assert TopicRules().options_for("t") is NOT_GIVEN
    assert "orders.eu" in repr(RULES)


def test_topics_from_the_start() -> None:
    """Names exist from the start; patterns give options to topics that are created later."""
    broker = make_broker(topics=RULES, history_size=2)
    assert list(broker.subscriber_counts()) == ["orders.eu"]
    assert broker.topic("orders.eu").options.history == 7
    broker.create_topic("orders.us", GivenOptions(overflow=Overflow.CATCH_UP))
    assert broker.topic("orders.us").options == TopicOptions(history=5, overflow=Overflow.CATCH_UP)
    broker.create_topic("news")
    assert broker.topic("news").options == TopicOptions(history=2, presence=True)


def test_bad_options() -> None:
    """A value out of range is named."""
    for given in ({"history": -1}, {"history": 1_000_001}, {"history_seconds": 0.0}):
        with pytest.raises(ValueError, match=f"^{next(iter(given))} must be"):
            GivenOptions(**given)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="name 'a b': topic must be"):
        TopicRules({"a b": NOT_GIVEN})


def test_topics_on_demand() -> None:
    """A rule says whether clients may create its topics, whatever the setting says."""
    broker = make_broker(topics=RULES, auto_create_topics=True)
    client = join(broker, "orders.us", "orders.eu")
    with pytest.raises(TopicNotFound):
        broker.subscribe(client, "news")
    broker = make_broker(topics=TopicRules({"a*": GivenOptions(auto_create=True, history=3)}))
    client = join(broker, "ab")
    assert broker.topic("ab").options.history == 3
    with pytest.raises(TopicNotFound):
        broker.subscribe(client, "b")


def test_more_topics_than_allowed() -> None:
    """No more topics can exist from the start than are allowed at all."""
    with pytest.raises(ValueError, match="topics must be no more than max_topics, which is 1"):
        make_broker(topics=TopicRules({"a": NOT_GIVEN, "b": NOT_GIVEN}), max_topics=1)


def test_longest_history() -> None:
    """The rules know the largest number of messages that one of them has a topic keep."""
    assert (RULES.max_history, TopicRules().max_history) == (7, 0)
