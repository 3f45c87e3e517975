"""The counts of a process as Prometheus metrics.

Nothing is counted here. A `Scrape` reads what the objects of the process count anyway, when
somebody asks for it.
"""

import asyncio
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from prometheus_client import Metric, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

from pubsub.cluster.statistics import ClusterStatistics
from pubsub.core.broker import Broker
from pubsub.core.configuration import Configuration
from pubsub.core.histogram import Histogram
from pubsub.core.outbox import Outbox
from pubsub.lag import EventLoopLag
from pubsub.protocol.messages import Publish
from pubsub.tally import Tally
from pubsub.transport.base import Transport
from pubsub.transport.traffic import Traffic

_PUBLISH = str(Publish.__struct_config__.tag)

SLICE = 1_000
"""Connections that are looked at in one turn of the event loop, in less than a millisecond."""


class Connection(Protocol):
    """A client's connection, as the metrics see it."""

    outbox: Outbox
    transport: Transport


class Refusals(Protocol):
    """The registry of connections, as the metrics see it."""

    refused: dict[str, int]


class Cluster(Protocol):
    """The other processes of the room, as the metrics see them."""

    def statistics(self) -> ClusterStatistics:
        """Return what this process has counted of its exchange with them."""


class Source(Protocol):
    """The runtime, as the metrics see it."""

    config: Configuration
    broker: Broker

    @property
    def registry(self) -> Refusals:
        """The registry of connections."""

    tally: Tally
    traffic: Traffic
    lag: EventLoopLag

    @property
    def cluster(self) -> Cluster | None:
        """The other processes of the room; ``None`` without a relay."""

    @property
    def connections(self) -> Sequence[Connection]:
        """The connections that have not ended."""

    @property
    def readiness(self) -> str:
        """``ok``, or the reason why new clients are not welcome."""


class Scrape(Collector):
    """The metrics of one process at one time, for `prometheus_client.generate_latest`.

    No label has a value that a client chooses. Counters never decrease from one scrape to the next,
    and all counts of messages are of the same moment, in which offered = delivered + dropped.

    Args:
        source: The runtime. It must belong to the running event loop.
        version: The version of the package.
    """

    def __init__(self, source: Source, *, version: str) -> None:
        self._source = source
        self._version = version
        tally = source.tally
        self._connections = source.connections
        self._totals = source.broker.statistics()
        self._rest_publications = tally.rest_publications
        self._client_publications = (
            self._totals.client_publications - tally.rest_client_publications
        )
        self._queued_frames = 0
        self._clients = dict.fromkeys(tally.opened, 0)
        self._process: list[Metric] = []

    async def look(self) -> None:
        """Look at each connection, a slice at a time, and at the process; then call `collect`."""
        for start in range(0, len(self._connections), SLICE):
            await asyncio.sleep(0)
            self._look_at(self._connections[start : start + SLICE])
        # In a thread, because the kernel needs milliseconds to list ten thousand descriptors.
        self._process = await asyncio.to_thread(_process_metrics)

    def _look_at(self, connections: Iterable[Connection]) -> None:
        for connection in connections:
            transport, outbox = connection.transport, connection.outbox
            if not outbox.closed:
                self._queued_frames += outbox.qsize()
                self._clients[transport.kind] += 1

    def collect(self) -> Iterator[Metric]:
        """Return all metrics, without waiting."""
        yield _gauge("build_info", "The version that runs.", {self._version: 1}, "version")
        yield from self._collect_connections()
        yield from self._collect_commands()
        yield from self._collect_messages()
        yield from self._collect_durations()
        if self._source.cluster is not None:
            yield from _collect_relay(self._source.cluster.statistics())
        yield from self._process

    def _collect_connections(self) -> Iterator[Metric]:
        source, tally = self._source, self._source.tally
        yield _gauge("clients", "Connected clients.", self._clients, "transport")
        yield _gauge(
            "connections_limit",
            "Connections that are accepted at most; 0 if there is no limit.",
            source.config.max_connections,
        )
        yield _counter(
            "connections_opened_total", "Accepted connections.", tally.opened, "transport"
        )
        yield _counter(
            "connections_closed_total",
            "Ended connections, by the code of the first close frame; 1006 if there was none.",
            tally.closed,
            "code",
        )
        yield _counter("sent_bytes_total", "Bytes sent to clients.", source.traffic.sent)
        yield _counter(
            "connections_refused_total",
            "WebSockets and event streams that were refused, by reason.",
            source.registry.refused,
            "reason",
        )
        yield _counter(
            "received_bytes_total", "Bytes received from clients.", source.traffic.received
        )
        yield _gauge("queued_frames", "Frames that wait for clients.", self._queued_frames)
        yield _counter(
            "auth_failures_total",
            "Clients and requests without sufficient credentials.",
            tally.auth_failures,
            "reason",
        )
        yield _gauge(
            "draining", "1 while the server is stopping.", int(source.readiness == "draining")
        )

    def _collect_commands(self) -> Iterator[Metric]:
        tally = self._source.tally
        family = CounterMetricFamily(
            "chatroom_commands_total",
            "Messages from clients, by type and by `ok` or the code of the error.",
            labels=["type", "result"],
        )
        carried_out = {str(each.__struct_config__.tag): n for each, n in tally.commands.items()}
        for (tag, code), count in tally.failed.items():
            family.add_metric([tag, code], count)
            if tag in carried_out:
                carried_out[tag] -= count
        carried_out[_PUBLISH] = self._client_publications
        for tag, count in carried_out.items():
            family.add_metric([tag, "ok"], count)
        yield family

    def _collect_messages(self) -> Iterator[Metric]:
        totals, rest, clients = self._totals, self._rest_publications, self._client_publications
        yield _gauge("topics", "Topics.", totals.topics)
        yield _gauge("subscriptions", "Subscriptions over all topics.", totals.subscribers)
        yield _counter(
            "messages_published_total",
            "Messages published, by what published them.",
            {
                "websocket": clients,
                "rest": rest,
                "server": totals.messages - clients - rest,
            },
            "source",
        )
        yield _counter(
            "messages_offered_total",
            "Sum over all messages of the subscribers that each was meant for.",
            totals.offered,
        )
        yield _counter(
            "messages_delivered_total",
            "Messages queued for a subscriber and not dropped, once for each subscriber.",
            totals.delivered,
        )
        yield _counter(
            "messages_dropped_total",
            "Messages that a subscriber lost, once for each subscriber.",
            {
                "queue_full": totals.dropped - totals.dropped_from_history,
                "history_evicted": totals.dropped_from_history,
            },
            "reason",
        )
        yield _counter(
            "recoveries_total",
            "Subscriptions that asked for what they had missed, by whether they got it.",
            {"true": totals.recovered, "false": totals.not_recovered},
            "recovered",
        )
        yield _counter(
            "repetitions_total",
            "Messages not delivered because they repeated an earlier one.",
            totals.repetitions,
        )
        yield _gauge("history_bytes", "Bytes that all histories take.", totals.history_bytes)
        yield _counter(
            "history_evicted_total",
            "Messages evicted because the histories exceeded their bound.",
            totals.history_evicted,
        )

    def _collect_durations(self) -> Iterator[Metric]:
        yield _histogram(
            "publish_duration_seconds",
            "Time to accept a message and put it into all queues; of one message in 16.",
            self._source.broker.publish_seconds,
        )
        yield _histogram(
            "event_loop_lag_seconds",
            "How late the event loop runs a timer; measured twice a second.",
            self._source.lag.seconds,
        )


def _collect_relay(cluster: ClusterStatistics) -> Iterator[Metric]:
    yield _gauge(
        "relay_connected",
        "1 while the network between the processes can be reached.",
        int(cluster.connected),
    )
    yield _gauge(
        "relay_processes", "Living processes of the room, this one included.", cluster.processes
    )
    yield _counter(
        "relay_reconnections_total",
        "How often the connection to the network was restored after a loss.",
        cluster.reconnections,
    )
    yield _counter(
        "relay_sent_total", "Publications that were handed to the network.", cluster.sent
    )
    yield _counter(
        "relay_received_total", "Publications that arrived from other processes.", cluster.received
    )
    yield _counter(
        "relay_unsent_total",
        "Publications that were accepted while other processes were out of reach.",
        cluster.unsent,
    )
    yield _counter(
        "relay_gaps_total",
        "How often publications of another process were found missing.",
        cluster.gaps,
    )
    yield _counter(
        "relay_lost_total",
        "Publications of other processes that did not arrive.",
        cluster.lost,
    )
    yield _gauge("relay_buffered_bytes", "Bytes that wait for the network.", cluster.buffered_bytes)


@functools.cache
def _process_collector() -> ProcessCollector:
    return ProcessCollector(registry=None)


def _process_metrics() -> list[Metric]:
    return list(_process_collector().collect())


Value = int | Mapping[str, int]
"""A number, or a number for each value of one label."""


def _gauge(name: str, documentation: str, value: Value, label: str = "") -> Metric:
    return _filled(
        GaugeMetricFamily(f"chatroom_{name}", documentation, labels=[label] if label else []), value
    )


def _counter(name: str, documentation: str, value: Value, label: str = "") -> Metric:
    return _filled(
        CounterMetricFamily(f"chatroom_{name}", documentation, labels=[label] if label else []),
        value,
    )


def _filled(family: GaugeMetricFamily | CounterMetricFamily, value: Value) -> Metric:
    for label, number in value.items() if isinstance(value, Mapping) else [("", value)]:
        family.add_metric([label] if label else [], number)
    return family


def _histogram(name: str, documentation: str, histogram: Histogram) -> Metric:
    bounds = [*map(str, histogram.bounds), "+Inf"]
    return HistogramMetricFamily(
        f"chatroom_{name}",
        documentation,
        buckets=list(zip(bounds, histogram.cumulative(), strict=True)),
        sum_value=histogram.total,
    )
