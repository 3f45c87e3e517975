"""The unit costs that the calculation begins with, read from results of the benchmark."""

import statistics
from dataclasses import dataclass

from bench.results import Results

ROOM = "chatroom-relay"
"""The peer whose costs they are: the chat room in two processes."""

MICROSECONDS = 1e-6
KIB, MIB = 1 << 10, 1 << 20


@dataclass(frozen=True)
class Costs:
    """Seconds of processor time, and bytes of memory."""

    publish: float
    """Accept and acknowledge a publication, deliver it once, and hand it to NATS."""

    deliver: float
    """Deliver a message to one subscriber, in a system call of its own."""

    receive: float
    """Receive a message from another process, and deliver it once."""

    ignore: float
    """Receive a message that no client here wants, since another topic of the partition does."""

    append: float
    """The same as `publish`, for a topic with history."""

    follow: float
    """The same as `receive`, for a topic with history."""

    nats_in: float
    """NATS: take a message."""

    nats_out: float
    """NATS: pass it to one process."""

    nats_append: float
    """NATS: store a message, acknowledge it, and pass it to two processes."""

    connect: float
    """Open a connection and subscribe it, measured as elapsed time on a busy core."""

    process_bytes: float
    """A process without clients and topics."""

    client_bytes: float
    topic_bytes: float

    @classmethod
    def of(cls, results: Results) -> "Costs":
        """Take the medians of the runs.

        Raises:
            KeyError: A scenario was not measured.
        """

        def median(scenario: str, key: str) -> float:
            return statistics.median(one[key] for one in results.samples[scenario][ROOM].values())

        def seconds(scenario: str, key: str) -> float:
            return max(0.0, median(scenario, key)) * MICROSECONDS

        nats_in = seconds("relay-unwanted", "broker_us")
        return cls(
            publish=seconds("relay-unwanted", "own_us"),
            deliver=seconds("relay-fan-out-window-1", "server_us"),
            receive=seconds("relay-wanted", "other_us"),
            ignore=seconds("relay-neighbour", "other_us"),
            append=seconds("relay-history", "own_us"),
            follow=seconds("relay-history", "other_us"),
            nats_in=nats_in,
            nats_out=max(0.0, seconds("relay-wanted", "broker_us") - nats_in),
            nats_append=seconds("relay-history", "broker_us"),
            connect=1 / median("connect", "connections_per_second"),
            process_bytes=median("relay-topics", "start_mib") * MIB,
            client_bytes=median("idle", "kib_per_connection") * KIB,
            topic_bytes=median("relay-topics", "other_kib_per_topic") * KIB,
        )
