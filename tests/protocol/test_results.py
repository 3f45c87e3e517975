"""Answers to publications over REST."""

from pubsub.core.errors import TopicNotFound
from pubsub.core.options import GivenOptions
from pubsub.protocol import results
from pubsub.protocol.errors import Unavailable
from tests.core.support import join, make_broker
from tests.protocol.support import UUID


def test_published() -> None:
    """A result has an offset if the topic keeps history, and says if it is a duplicate."""
    broker = make_broker()
    broker.create_topic("plain")
    broker.create_topic("kept", GivenOptions(history=10))
    join(broker, "plain", "kept")
    answers = [
        results.encode_result(results.published(broker.publish(topic, UUID, "1", once=True)))
        for topic in ("plain", "kept", "kept")
    ]
    start = '{"status":"published","topic":"%s","id":"' + UUID + '","subscribers":%d'
    assert [answer.decode() for answer in answers] == [
        start % ("plain", 1) + "}",
        start % ("kept", 1) + ',"offset":1}',
        start % ("kept", 1) + ',"offset":1,"duplicate":true}',
    ]


def test_batch() -> None:
    """The results of a batch stand in its order, with an error for each message refused."""
    broker = make_broker()
    broker.create_topic("t")
    all_ = [
        results.refused(TopicNotFound("x")),
        results.failed(),
        results.published(broker.publish("t", UUID, "1")),
    ]
    assert results.encode_results(all_).decode() == (
        '{"results":[{"error":{"code":"TOPIC_NOT_FOUND","message":"topic does not exist"}},'
        '{"error":{"code":"INTERNAL","message":"internal error"}},'
        '{"status":"published","topic":"t","id":"' + UUID + '","subscribers":0}]}'
    )


def test_published_in_several_processes() -> None:
    """A result counts all subscribers, and says if those elsewhere were not reached."""
    broker = make_broker()
    broker.create_topic("t")
    join(broker, "t")
    published = results.published(broker.publish("t", UUID, "1"), elsewhere=2, scope="process")
    assert (published.subscribers, published.scope) == (3, "process")


def test_refused_with_unknown_fate() -> None:
    """A result says if the message may have been published nevertheless."""
    refused = results.refused(Unavailable("no answer", unknown_fate=True))
    assert results.encode_results([refused]).decode() == (
        '{"results":[{"error":{"code":"UNAVAILABLE","message":"no answer"},"unknown_fate":true}]}'
    )
