"""The metrics of a runtime, with connections over an in-memory transport."""

import asyncio
from collections.abc import Sequence

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from pubsub.cluster.statistics import ClusterStatistics
from pubsub.metrics import SLICE, Connection, Scrape, Source
from pubsub.protocol.codes import Close
from pubsub.runtime import Runtime
from tests.connection.support import Room, open_room, publication, turn

RELAY_METRICS = {
    "chatroom_relay_connected": 1,
    "chatroom_relay_processes": 3,
    "chatroom_relay_reconnections_total": 4,
    "chatroom_relay_sent_total": 5,
    "chatroom_relay_received_total": 6,
    "chatroom_relay_unsent_total": 7,
    "chatroom_relay_gaps_total": 8,
    "chatroom_relay_lost_total": 9,
    "chatroom_relay_buffered_bytes": 10,
}
"""Those that a process has only with a relay, and their values in `FakeCluster`."""

Samples = dict[tuple[str, frozenset[str]], float]


class FakeCluster:
    """The cluster of a process that has counted something different everywhere."""

    def statistics(self) -> ClusterStatistics:
        """Return the counts."""
        return ClusterStatistics(
            connected=True,
            processes=3,
            reconnections=4,
            sent=5,
            received=6,
            unsent=7,
            gaps=8,
            lost=9,
            buffered_bytes=10,
        )


class InCluster:
    """A runtime that has a relay, as the metrics see it."""

    def __init__(self, runtime: Runtime) -> None:
        self.config = runtime.config
        self.broker = runtime.broker
        self.registry = runtime.registry
        self.tally = runtime.tally
        self.traffic = runtime.traffic
        self.lag = runtime.lag
        self.cluster = FakeCluster()
        self.connections: Sequence[Connection] = ()
        self.readiness = "ok"


async def scrape(source: Source) -> Samples:
    """Return the value of each sample, by its name and the values of its labels."""
    scrape = Scrape(source, version="1.2.3")
    await scrape.look()
    return samples(scrape)


def samples(scrape: Scrape) -> Samples:
    """Return what Prometheus reads."""
    text = generate_latest(scrape).decode()
    return {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: Samples, name: str, *labels: str) -> float:
    """Return the value of one sample."""
    return found[f"chatroom_{name}", frozenset(labels)]


async def test_commands() -> None:
    """Each command counts with its result, and each message that is none as invalid."""
    async with open_room(auto_create_topics=False) as room:
        transport, _ = await room.connect()
        transport.receive({"type": "ping"}, {"type": "ping"}, publication("none"), "nonsense")
        found = await scrape(room.runtime)
    assert value(found, "commands_total", "ping", "ok") == 2
    assert value(found, "commands_total", "publish", "ok") == 0
    assert value(found, "commands_total", "publish", "TOPIC_NOT_FOUND") == 1
    assert value(found, "commands_total", "invalid", "BAD_REQUEST") == 1


async def test_connections_and_their_bytes() -> None:
    """Bytes count when they are sent or received, and each end of a connection with its code."""
    async with open_room() as room:
        transport, connection = await room.connect()
        await room.connect()
        transport.receive({"type": "ping"})
        room.runtime.traffic.sent, room.runtime.traffic.received = 30, 20
        await turn()
        during = await scrape(room.runtime)
        connection.close(Close.SLOW)
        assert connection in room.runtime.connections
        assert value(await scrape(room.runtime), "clients", "websocket") == 1
        await turn()
        after = await scrape(room.runtime)
    for found, clients in ((during, 2), (after, 1)):
        assert value(found, "clients", "websocket") == clients
        assert value(found, "connections_opened_total", "websocket") == 2
        assert value(found, "connections_closed_total", "3008") == 2 - clients
        assert value(found, "sent_bytes_total") == 30
        assert value(found, "received_bytes_total") == 20


async def test_connection_that_ends_during_a_scrape() -> None:
    """A connection that ends between two slices is looked at without harm."""
    async with open_room() as room:
        _, connection = await room.connect()
        await connect_many(room, SLICE)
        scrape = Scrape(room.runtime, version="1.2.3")
        looking = asyncio.create_task(scrape.look())
        for _ in range(2):  # to the end of the first slice
            await asyncio.sleep(0)
        connection.close(Close.SLOW)
        await turn()
        await looking
        assert value(samples(scrape), "clients", "websocket") == SLICE + 1


async def connect_many(room: Room, count: int) -> None:
    """Connect clients of a room at once."""
    await asyncio.gather(*[room.connect() for _ in range(count)])


async def test_messages_and_queues() -> None:
    """Published, offered, delivered and dropped messages add up while frames are waiting."""
    async with open_room(queue_size=3) as room:
        slow, _ = await room.connect()
        publisher, _ = await room.connect()
        slow.receive({"type": "subscribe", "topic": "t"})
        await turn()
        slow.writable = False
        publisher.receive(*[publication()] * 5)
        room.runtime.broker.publish("t", "id", b"1")
        room.runtime.tally.rest_publications += 1
        room.runtime.broker.publish("t", "id", b"1")
        await turn()
        found = await scrape(room.runtime)
    assert value(found, "messages_published_total", "websocket") == 5
    assert value(found, "messages_published_total", "rest") == 1
    assert value(found, "messages_published_total", "server") == 1
    assert value(found, "messages_offered_total") == 7
    assert value(found, "messages_delivered_total") == 3
    assert value(found, "messages_dropped_total", "queue_full") == 4
    assert value(found, "queued_frames") == 3
    assert (value(found, "topics"), value(found, "subscriptions")) == (1, 1)


async def test_limits_and_state() -> None:
    """The version, the limit of connections and the state of the server are there for alerts."""
    runtime = Runtime(Room(max_connections=7).runtime.config)
    runtime.enter()
    found = await scrape(runtime)
    assert value(found, "build_info", "1.2.3") == 1
    assert value(found, "connections_limit") == 7
    assert value(found, "draining") == 0
    assert value(found, "event_loop_lag_seconds_count") == 0
    assert found["process_max_fds", frozenset()] > found["process_open_fds", frozenset()] > 0


async def test_recoveries_and_repetitions() -> None:
    """Recoveries count by their result, and repeated messages count although nobody gets them."""
    async with open_room(history_size=5) as room:
        transport, _ = await room.connect()
        transport.receive(publication() | {"once": True}, publication() | {"once": True})
        recover = {"epoch": room.runtime.broker.topic("t").epoch, "offset": 0}
        for _ in range(2):  # the second one is subscribed already
            transport.receive({"type": "subscribe", "topic": "t", "recover": recover})
        found = await scrape(room.runtime)
    assert value(found, "recoveries_total", "true") == 1
    assert value(found, "recoveries_total", "false") == 1
    assert value(found, "repetitions_total") == 1
    assert value(found, "messages_published_total", "websocket") == 1


async def test_relay() -> None:
    """With a relay, there is a metric for each count of the cluster."""
    async with open_room() as room:
        found = await scrape(InCluster(room.runtime))
    values = {name: value for (name, _), value in found.items()}
    relay = {name: value for name, value in values.items() if name.startswith("chatroom_relay")}
    assert relay == RELAY_METRICS


async def test_no_relay() -> None:
    """Without a relay, no metric is about one."""
    async with open_room() as room:
        found = await scrape(room.runtime)
    assert not {name for name, _ in found} & RELAY_METRICS.keys()
