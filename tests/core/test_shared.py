"""The broker that shares its topics: what enters from other processes, and what it notes."""

import pytest

from pubsub.core.client import Client
from pubsub.core.errors import NoPresence, ReentrantCall, TopicNotFound
from pubsub.core.options import GivenOptions, TopicOptions, TopicRules
from pubsub.core.publication import Publication
from pubsub.core.shared import SharedBroker
from tests.core.support import join, make_shared_broker, publish, read, reply


def shared_broker(*topics: str) -> SharedBroker:
    """Return a broker with these topics, as other processes would install them."""
    broker = make_shared_broker()
    for name in topics:
        broker.install(name, broker.options_for(name), "epoch")
    return broker


def test_counts_that_have_changed() -> None:
    """Each topic whose subscribers have changed is returned once, with its present count."""
    broker = shared_broker("a", "b", "c")
    assert broker.take_changed_counts() == {}
    client = join(broker, "a", "b")
    join(broker, "a")
    assert broker.take_changed_counts() == {"a": 2, "b": 1}
    assert broker.take_changed_counts() == {}
    broker.unsubscribe(client, "b")
    assert broker.take_changed_counts() == {"b": 0}
    broker.disconnect(client)
    assert broker.take_changed_counts() == {"a": 1}


def test_counts_of_deleted_topics() -> None:
    """A deleted topic is returned, with 0, only if it had subscribers."""
    broker = shared_broker("a", "b")
    join(broker, "a")
    broker.take_changed_counts()
    broker.remove("a", reply("gone"))
    broker.remove("b", reply("gone"))
    assert broker.take_changed_counts() == {"a": 0}


# --- Topics ---


def test_it_creates_no_topics() -> None:
    """Neither its rules nor its clients create topics in it, but it knows which ones they may."""
    rules = TopicRules({"a": GivenOptions(history=3), "b*": GivenOptions(auto_create=False)})
    broker = make_shared_broker(topics=rules, auto_create_topics=True)
    assert broker.subscriber_counts() == {}
    client = join(broker)
    for use in (
        lambda: broker.subscribe(client, "c"),
        lambda: publish(broker, "c", "x"),
        lambda: broker.subscribe(client, "c", presence=True),
    ):
        with pytest.raises(TopicNotFound):
            use()
    assert [name for name in ("a", "b", "c") if broker.creates(name)] == ["a", "c"]
    assert broker.options_for("a").history == 3


def test_installed_topics() -> None:
    """A topic of another process has its options and its epoch, whatever is configured here."""
    broker = make_shared_broker(max_topics=1, history_size=5)
    broker.install("kept", TopicOptions(history=2), "epoch001")
    broker.install("plain", TopicOptions(), "epoch002")
    assert broker.topic("kept").position == ("epoch001", 0)
    assert broker.topic("plain").position is None
    with pytest.raises(NoPresence):
        broker.presence("plain")
    assert broker.count_topics() == 2


def test_removed_topics() -> None:
    """The subscribers of a topic that others have deleted are notified, and keep their others."""
    broker = shared_broker("a", "b")
    client = join(broker, "a", "b")
    broker.remove("a", reply("gone"))
    publish(broker, "b", "x")
    assert (read(client), list(client.topics)) == (["gone", "x"], ["b"])
    statistics = broker.statistics()
    assert (statistics.topics, statistics.subscribers) == (1, 1)
    broker.install("a", broker.options_for("a"), "again")


# --- Events of other processes ---


def test_events_of_others() -> None:
    """An event of another process reaches the subscribers of its topic, as it was encoded."""
    broker = shared_broker("a", "b")
    one, other, elsewhere = join(broker, "a"), join(broker, "a"), join(broker, "b")
    assert broker.deliver("a", b"x", publisher_id=None, user=None) == 2
    assert broker.deliver("missing", b"x", publisher_id=None, user=None) == 0
    assert (read(one), read(other), read(elsewhere)) == (["x"], ["x"], [])


def test_event_of_a_topic_that_keeps_history_now() -> None:
    """An event without an offset does not reach a topic whose events have one."""
    broker = shared_broker()
    broker.install("a", TopicOptions(history=3), "epoch")
    client = join(broker, "a")
    assert broker.deliver("a", b"x", publisher_id=None, user=None) == 0
    assert read(client) == []


@pytest.mark.parametrize(
    ("user", "publisher", "copies"),
    [(None, None, []), ("42", "42", []), (None, "42", ["x"]), ("42", None, ["x"])],
    ids=["anonymous", "its user", "another user", "no user"],
)
def test_the_publisher_gets_no_copy(
    user: str | None, publisher: str | None, copies: list[str]
) -> None:
    """A client that another process names as the publisher gets no copy, if the user is its own."""
    broker = shared_broker("a")
    client = join(broker, "a")
    broker.identify(client, user)
    broker.deliver("a", b"x", publisher_id=client.id, user=publisher)
    assert read(client) == copies


def test_events_of_others_are_no_messages_of_this_process() -> None:
    """They are counted as delivered here and accepted there, and are not announced again."""
    announced: list[Publication] = []
    broker = make_shared_broker()
    broker.announce_to(announced.append)
    broker.install("a", TopicOptions(), "")
    broker.install("kept", TopicOptions(history=9), "epoch001")
    join(broker, "a", "kept")
    broker.deliver("a", b"x", publisher_id=None, user=None)
    broker.deliver_kept("kept", b"y", offset=5, publisher_id=None, user=None)
    broker.remove("a", reply("gone"))
    statistics = broker.statistics()
    assert (statistics.messages, statistics.delivered, announced) == (0, 2, [])


def test_callbacks_of_an_outbox_may_not_call_the_broker() -> None:
    """The broker refuses calls in the middle of an event of another process, as of its own."""
    broker = shared_broker("a")
    refused: list[Client] = []

    def on_full() -> None:
        with pytest.raises(ReentrantCall):
            broker.unsubscribe(client, "a")
        refused.append(client)

    client = broker.connect(
        on_frames=lambda: None, on_full=on_full, on_overflow=lambda policy: None
    )
    broker.subscribe(client, "a")
    for _ in range(broker.config.queue_size + 1):
        broker.deliver("a", b"x", publisher_id=None, user=None)
    assert refused
    broker.unsubscribe(client, "a")


def test_clients_are_found_by_their_ids() -> None:
    """A connected client is found by its id; one that has left, or none, is not."""
    broker = shared_broker()
    client = join(broker)
    assert broker.find_client(client.id) is client
    assert broker.find_client(None) is None
    broker.disconnect(client)
    assert broker.find_client(client.id) is None
