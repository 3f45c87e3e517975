"""How many processes, machines and NATS servers a number of clients takes.

Everything is an expected value: clients are spread over the processes at random, as a load balancer
spreads them, and publications over time evenly.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from bench.scaling.costs import Costs

PARTITIONS = 256


@dataclass(frozen=True)
class Kind:
    """Topics that are alike."""

    title: str
    size: int
    """Subscribers of each; 0 for one topic of which every client is a subscriber."""

    each: int
    """How many of these topics a client subscribes to."""

    rate: float
    """Publications a second to each topic."""

    kept: bool = False
    """Whether the topics have history."""

    def subscribers(self, clients: int) -> int:
        """Return the subscribers of each topic."""
        return min(self.size or clients, clients)

    def topics(self, clients: int) -> float:
        """Return how many topics there are."""
        return clients * self.each / self.subscribers(clients)


WORKLOAD = (
    Kind("small rooms", size=10, each=2, rate=1 / 12),
    Kind("large rooms", size=1000, each=1, rate=1.0, kept=True),
    Kind("announcements", size=0, each=1, rate=0.1),
)


@dataclass(frozen=True)
class Assumptions:
    """What is not measured."""

    utilisation: float = 0.6
    """Of a core, a network card or a NATS server: the rest is for peaks."""

    clients_per_process: int = 20_000
    """At most, so that not too many come back at a time when a process ends."""

    memory_per_process: float = 4e9
    cores: int = 16
    """Of a machine; two of them are left to the kernel and its network."""

    processes_per_machine: int = 14
    bits_per_second: float = 10e9
    """Of each machine's network card, in each direction."""

    nats_cores: int = 8
    ping_interval: float = 20.0
    """Seconds; a ping and its answer are counted as one publication without deliveries."""

    connection_seconds: float = 3600.0
    """How long a client stays connected."""

    wire_bytes: int = 300
    """A delivery of 230 bytes with all headers."""

    relay_bytes: int = 350
    """The same message between processes."""

    heartbeat_seconds: float = 60e-6
    """The processor time for another process' heartbeat, with a position for each partition."""

    count_seconds: float = 1e-6
    """The processor time to take over another process' number of subscribers of one topic."""

    history_bytes: float = 256 * (1 << 20)
    """`CHATROOM_HISTORY_BYTES`."""


ASSUMED = Assumptions()


@dataclass(frozen=True)
class Load:
    """What one of several equal processes, and NATS, have to do."""

    clients: float
    """Cores of a process for its own clients."""

    relay: float
    """Cores of a process for messages from the others."""

    heartbeats: float
    """Cores of a process for the others' heartbeats and numbers of subscribers."""

    received: float
    """Messages a second from other processes."""

    memory: float
    topic_memory: float
    published: float
    """Messages a second to NATS, from all processes."""

    passed_on: float
    """Messages a second from NATS, to all processes."""

    appended: float
    """Messages a second to topics with history."""

    deliveries: float
    """A second, to all clients."""

    @property
    def cores(self) -> float:
        """Cores of a process in all."""
        return self.clients + self.relay + self.heartbeats


def load(costs: Costs, clients: int, processes: int, partitions: int | None = PARTITIONS) -> Load:
    """Return the load of each process.

    Args:
        costs: The unit costs.
        clients: In all processes.
        processes: Their number.
        partitions: Into how many subjects topics are divided; None for a subject of each topic.
    """
    wanted = [
        (kind, 1 - (1 - 1 / processes) ** kind.subscribers(clients)) for kind in WORKLOAD
    ]  # with the probability that a process has a subscriber of such a topic
    own_topics = sum(kind.topics(clients) * share for kind, share in wanted)
    taken = 1 - (1 - 1 / partitions) ** own_topics if partitions else 0.0
    others = 1 - 1 / processes
    alone = processes == 1
    own = relay = received = passed_on = published = appended = deliveries = 0.0
    for kind, share in wanted:
        rate = kind.topics(clients) * kind.rate
        published += rate * (not alone)
        deliveries += rate * kind.subscribers(clients)
        appended += rate * kind.kept
        own += rate * (costs.append if kind.kept else costs.publish)
        cost = costs.follow if kind.kept else costs.receive
        idle = (1 - share) * taken  # it wants another topic of the partition
        relay += rate * others * (share * cost + idle * costs.ignore)
        received += rate * others * (share + idle)
        passed_on += rate * others * processes * (share + idle)
    own += deliveries * costs.deliver
    own += clients / ASSUMED.ping_interval * costs.publish
    own += clients / ASSUMED.connection_seconds * costs.connect
    changes = 2 * clients / ASSUMED.connection_seconds * sum(kind.each for kind in WORKLOAD)
    beats = processes - 1
    topic_memory = sum(kind.topics(clients) for kind in WORKLOAD) * costs.topic_bytes
    return Load(
        clients=own / processes,
        relay=relay,
        heartbeats=beats * ASSUMED.heartbeat_seconds + changes * others * ASSUMED.count_seconds,
        received=received,
        memory=costs.process_bytes
        + topic_memory
        + clients / processes * costs.client_bytes
        + ASSUMED.history_bytes,
        topic_memory=topic_memory,
        published=published + processes * (not alone),
        passed_on=passed_on + processes * beats,
        appended=appended,
        deliveries=deliveries,
    )


@dataclass(frozen=True)
class Plan:
    """The fewest processes and servers that are enough."""

    clients: int
    processes: int
    load: Load
    nats_servers: int | None
    """0 for a single process; None if no cluster is large enough."""

    @property
    def machines(self) -> int:
        """Return the machines for the processes, without those for NATS."""
        return math.ceil(self.processes / ASSUMED.processes_per_machine)

    @property
    def relay_network(self) -> float:
        """Return the share of the processes' traffic that is between them."""
        relay = (self.load.published + self.load.passed_on) * ASSUMED.relay_bytes
        return relay / (relay + self.load.deliveries * ASSUMED.wire_bytes)


MOST_PROCESSES = 100_000


def plan(costs: Costs, clients: int, partitions: int | None = PARTITIONS) -> Plan | None:
    """Return the fewest processes that are enough, or None if no number is."""
    for processes in _numbers(math.ceil(clients / ASSUMED.clients_per_process)):
        found = load(costs, clients, processes, partitions)
        if found.cores <= ASSUMED.utilisation and found.memory <= ASSUMED.memory_per_process:
            return Plan(clients, processes, found, nats_servers(costs, found, processes))
    return None


def _numbers(start: int) -> Iterator[int]:
    number = start
    while number < MOST_PROCESSES:
        yield number
        number += max(1, number // 100)


MOST_NATS_SERVERS = 100


def nats_servers(costs: Costs, needed: Load, processes: int) -> int | None:
    """Return the servers of a full mesh, of which three are the fewest that survive a failure.

    Each message goes once to every other server that has an interested process, and there to the
    processes.
    """
    if processes == 1:
        return 0
    copies = needed.passed_on / needed.published
    for servers in range(3, MOST_NATS_SERVERS):
        routed = needed.published * min(servers - 1, copies)
        cores = (
            (needed.published - needed.appended + routed) * costs.nats_in
            + (needed.passed_on + routed) * costs.nats_out
            + needed.appended * costs.nats_append
        )
        bits = 8 * ASSUMED.relay_bytes * (needed.passed_on + routed)
        if (
            cores <= servers * ASSUMED.nats_cores * ASSUMED.utilisation
            and bits <= servers * ASSUMED.bits_per_second * ASSUMED.utilisation
        ):
            return servers
    return None
