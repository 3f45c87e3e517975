"""The broker whose topics several processes share: what it notes of its subscribers for them."""

from pubsub.core.broker import Broker
from tests.core.support import join, make_broker, reply


def shared_broker(*topics: str) -> Broker:
    """Return a broker with these topics, as other processes would install them."""
    broker = make_broker(shared=True)
    for name in topics:
        broker.install(name, broker.options_for(name), "epoch")
    return broker


def test_counts_that_have_changed() -> None:
    """Each topic whose subscribers have changed is told once, with its present count."""
    broker = shared_broker("a", "b", "c")
    assert broker.take_recounted() == {}
    client = join(broker, "a", "b")
    join(broker, "a")
    assert broker.take_recounted() == {"a": 2, "b": 1}
    assert broker.take_recounted() == {}
    broker.unsubscribe(client, "b")
    assert broker.take_recounted() == {"b": 0}
    broker.disconnect(client)
    assert broker.take_recounted() == {"a": 1}


def test_counts_of_deleted_topics() -> None:
    """A topic that was deleted with subscribers has none any longer, and others are not told."""
    broker = shared_broker("a", "b")
    join(broker, "a")
    broker.take_recounted()
    broker.remove("a", reply("gone"))
    broker.remove("b", reply("gone"))
    assert broker.take_recounted() == {"a": 0}


def test_nothing_is_noted_for_one_process() -> None:
    """A broker that shares nothing notes nothing."""
    broker = make_broker()
    broker.create_topic("a")
    client = join(broker, "a")
    broker.unsubscribe(client, "a")
    broker.disconnect(join(broker, "a"))
    broker.delete_topic("a", reply("gone"))
    assert broker.take_recounted() == {}
