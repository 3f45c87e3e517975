"""The tables of ``docs/scaling.md``, each between two marks that have its name."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench.metrics import PER_PROCESSOR_SECOND
from bench.peers import PEERS, SUBJECT, Peer
from bench.results import Results
from bench.scaling.costs import Costs
from bench.scaling.model import ASSUMED, PARTITIONS, WORKLOAD, Kind, Plan, plan

NONE = "–"
MEBIBYTE = 1 << 20
FAN_OUTS = ("window 1", "window 8", "burst 8", "window 32")
MILLION = 1_000_000
SIZES = (100_000, MILLION, 100 * MILLION)
CELL = MILLION
"""Clients of a cell, where more clients than one room can have are divided among rooms."""

CELLS = (20_000, 50_000, 100_000, 250_000, 500_000, MILLION, 2 * MILLION, 5 * MILLION)
DIVISIONS = (16, PARTITIONS, 4096, 65_536, None)
DEFAULT_MAX_TOPICS = 10_000
LEAST_SHARE = 0.01
IMPOSSIBLE, NO_MESH = "impossible", "more than 100"


def blocks(results: Results) -> dict[str, str]:
    """Return every table by its name."""
    costs = Costs.of(results)
    makers: dict[str, Callable[[], Iterator[str]]] = {
        "measured": lambda: measured(results),
        "latency": lambda: latency(results),
        "unwanted": lambda: unwanted(results),
        "costs": lambda: unit_costs(costs),
        "workload": workload,
        "sizes": lambda: sizes(costs),
        "cells": lambda: cells(costs),
        "partitions": lambda: divisions(costs),
        "limits": lambda: limits(costs),
    }
    return {name: "\n".join(make()) for name, make in makers.items()}


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Give the lines of a table whose figures are on the right."""
    yield f"| {' | '.join(head)} |"
    yield f"| --- |{' ---: |' * (len(head) - 1)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def figure(value: float) -> str:
    """Return a figure with about three digits that mean something."""
    if value >= 100:
        digits = 3 - len(f"{value:.0f}")
        return f"{round(value, min(0, digits)):,.0f}"
    return f"{value:.3g}"


def amount(size: float) -> str:
    """Return a number of bytes in MiB or GiB."""
    mebibytes = size / MEBIBYTE
    return f"{figure(mebibytes)} MiB" if mebibytes < 1024 else f"{figure(mebibytes / 1024)} GiB"


def bits(per_second: float) -> str:
    """Return a rate of bytes in Gbit/s."""
    return f"{figure(per_second * 8 / 1e9)} Gbit/s"


# --- Measured ---


def _samples(results: Results, scenario: str, peer: str, key: str) -> dict[str, float]:
    runs = results.samples.get(scenario, {}).get(peer, {})
    return {run: sample[key] for run, sample in runs.items() if key in sample}


def _median(results: Results, scenario: str, peer: str, key: str) -> float | None:
    values = _samples(results, scenario, peer, key).values()
    return statistics.median(values) if values else None


def _several(results: Results) -> Iterator[Peer]:
    """Give the servers of several processes of which anything was measured."""
    for peer in PEERS:
        if peer.processes > 1 and any(peer.name in one for one in results.samples.values()):
            yield peer


def about(results: Results) -> str:
    """Return on what it was measured."""
    facts = results.about
    versions = facts["versions"]
    names = ("python", "daphne", "nats-server", "nats-py", "channels-redis", "redis-server")
    names += ("node", "socket.io", "@socket.io/redis-adapter")
    listed = ", ".join(f"{name} {versions[name]}" for name in names if name in versions)
    return (
        f"Measured on {facts['date']} at commit {facts['commit']}: {facts['cpu']}, "
        f"{facts['cores']} cores, {facts['kernel']}; {facts['runs']} runs of "
        f"{facts['seconds']:g} s. {listed}."
    )


def measured(results: Results) -> Iterator[str]:
    """Give deliveries for each processor second, in one process and in two."""
    yield f"{about(results)}\n"
    rows = []
    for peer in _several(results):
        for in_flight in FAN_OUTS:
            scenario = f"relay-fan-out-{in_flight.replace(' ', '-')}"
            key = PER_PROCESSOR_SECOND.key
            two = _samples(results, scenario, peer.name, key)
            one = _samples(results, scenario, peer.alone, key)
            ratios = [two[run] / one[run] for run in two if run in one]
            if ratios:
                broker = _median(results, scenario, peer.name, "broker_us")
                rows.append(
                    [
                        f"{peer.title}, {in_flight}",
                        f"{statistics.median(one.values()):,.0f}",
                        f"{statistics.median(two.values()):,.0f}",
                        f"{statistics.median(ratios):.2f}",
                        f"{min(ratios):.2f} to {max(ratios):.2f}",
                        str(len(ratios)),
                        NONE if broker is None else f"{broker:,.1f}",
                    ]
                )
    head = (
        "",
        "one process",
        "two",
        "ratio",
        "lowest to highest",
        "runs",
        "broker, µs a publication",
    )
    yield from table(head, rows)


def latency(results: Results) -> Iterator[str]:
    """Give the added latency across processes."""
    columns = [
        (scenario, key)
        for scenario in ("relay-latency-100", "relay-latency")
        for key in ("near_p50_us", "added_p50_us", "added_p99_us")
    ]
    rows = [
        [
            peer.title,
            *(_cell(_median(results, scenario, peer.name, key), 0) for scenario, key in columns),
        ]
        for peer in _several(results)
    ]
    names = ("same process p50", "added p50", "added p99")
    head = [f"{rate}/s: {name}, µs" for rate in ("100", "1,000") for name in names]
    yield from table(["", *head], rows)


def unwanted(results: Results) -> Iterator[str]:
    """Give what publications that it does not want cost the second process."""
    keys = ("publications_per_second", "idle_percent", "during_percent", "other_us")
    rows = []
    for scenario, what, without_partitions in (
        ("relay-unwanted", "nothing of the partitions", "other topics"),
        ("relay-neighbour", "other topics of the partitions", "other topics"),
        ("relay-wanted", "the topics", "the topics"),
    ):
        for peer in _several(results):
            values = [_median(results, scenario, peer.name, key) for key in keys]
            if values[0] is not None:
                wanted = what if peer.alone == SUBJECT else without_partitions
                cells = [_cell(values[0], 0), *(_cell(value, 2) for value in values[1:])]
                rows.append([f"{peer.title}: wants {wanted}", *cells])
    head = ("", "publications/s", "other before, %", "other meanwhile, %", "µs each")
    yield from table(head, rows)


def _cell(value: float | None, digits: int) -> str:
    return NONE if value is None else f"{value:,.{digits}f}"


def unit_costs(costs: Costs) -> Iterator[str]:
    """Give the costs that the calculation begins with."""
    times = {
        "accept a publication, deliver it once and hand it to NATS": costs.publish,
        "deliver to one subscriber (window 1: a system call each)": costs.deliver,
        "receive from another process, and deliver once": costs.receive,
        "receive and drop, when only another topic of the partition is wanted": costs.ignore,
        "accept a publication to a topic with history": costs.append,
        "receive such a message from another process": costs.follow,
        "open a connection and subscribe": costs.connect,
        "NATS: take a message": costs.nats_in,
        "NATS: pass it on to a process": costs.nats_out,
        "NATS: store a message of a topic with history, and pass it to two": costs.nats_append,
    }
    sizes_of = {
        "a process without clients": costs.process_bytes,
        "a connected client with one subscription": costs.client_bytes,
        "a topic, in every process": costs.topic_bytes,
    }
    rows = [[what, f"{seconds * 1e6:,.2f} µs"] for what, seconds in times.items()]
    rows += [[what, _small(size)] for what, size in sizes_of.items()]
    yield from table(("unit", "cost"), rows)


def _small(size: float) -> str:
    return amount(size) if size >= MEBIBYTE else f"{size / 1024:,.1f} KiB"


# --- Calculated ---


def workload() -> Iterator[str]:
    """Give what clients do."""
    rows = [
        [
            kind.title,
            f"{kind.size:,}" if kind.size else "all",
            str(kind.each),
            "yes" if kind.kept else "no",
            f"{figure(kind.rate * 60)} a minute",
        ]
        for kind in WORKLOAD
    ]
    head = ("topics", "subscribers of each", "of them for each client", "history", "publications")
    yield from table(head, rows)


@dataclass(frozen=True)
class Column:
    """A number of clients, in one room or in several equal ones."""

    clients: int
    rooms: int
    plan: Plan | None

    @property
    def title(self) -> str:
        """Return the number of clients, and of rooms if there are several."""
        return f"{self.clients:,}" if self.rooms == 1 else f"{self.rooms} × {self.clients:,}"

    def total(self, of: Callable[[Kind], float]) -> float:
        """Return a sum over all kinds of topics, in all rooms."""
        return self.rooms * sum(of(kind) for kind in WORKLOAD)


def sizes(costs: Costs) -> Iterator[str]:
    """Give the plan for each number of clients, as one room and as cells."""
    columns = [Column(count, 1, plan(costs, count)) for count in SIZES]
    columns.append(Column(CELL, SIZES[-1] // CELL, plan(costs, CELL)))
    demands: dict[str, Callable[[Column], str]] = {
        "topics": lambda of: figure(of.total(lambda kind: kind.topics(of.clients))),
        "publications": lambda of: (
            f"{figure(of.total(lambda kind: kind.topics(of.clients) * kind.rate))}/s"
        ),
        "deliveries": lambda of: (
            f"{figure(of.total(lambda kind: of.clients * kind.each * kind.rate))}/s"
        ),
        "to clients": lambda of: bits(
            of.total(lambda kind: of.clients * kind.each * kind.rate) * ASSUMED.wire_bytes
        ),
    }
    answers: dict[str, Callable[[Plan, int], str]] = {
        "processes": lambda of, rooms: f"{of.processes * rooms:,}",
        "machines for them": lambda of, rooms: f"{of.machines * rooms:,}",
        "load of each process": lambda of, _: f"{of.load.cores:.2f} cores",
        "… for its own clients": lambda of, _: percent(of.load.clients / of.load.cores),
        "… for messages of others": lambda of, _: percent(of.load.relay / of.load.cores),
        "… for heartbeats": lambda of, _: percent(of.load.heartbeats / of.load.cores),
        "messages from others, to each": lambda of, _: f"{figure(of.load.received)}/s",
        "memory of each process": lambda of, _: amount(of.load.memory),
        "… for topics": lambda of, _: amount(of.load.topic_memory),
        "memory of all": lambda of, rooms: amount(of.load.memory * of.processes * rooms),
        "NATS to processes": lambda of, rooms: bits(
            of.load.passed_on * ASSUMED.relay_bytes * rooms
        ),
        "… of the processes' traffic": lambda of, _: percent(of.relay_network),
        "NATS servers": servers,
    }
    rows = [[title, *map(cell, columns)] for title, cell in demands.items()]
    for title, answer in answers.items():
        cells = (answer(one.plan, one.rooms) if one.plan else IMPOSSIBLE for one in columns)
        rows.append([title, *cells])
    yield from table(["clients", *(one.title for one in columns)], rows)


def percent(share: float) -> str:
    """Return a share in percent."""
    return f"{100 * share:.0f} %" if share >= LEAST_SHARE or not share else "under 1 %"


def servers(of: Plan, rooms: int) -> str:
    """Return the number of NATS servers."""
    return NO_MESH if of.nats_servers is None else f"{of.nats_servers * rooms:,}"


def cells(costs: Costs) -> Iterator[str]:
    """Give what a million clients take, in rooms of different sizes."""
    rows = []
    for clients in CELLS:
        found = plan(costs, clients)
        if not found:
            rows.append([f"{clients:,}", *[IMPOSSIBLE] * 5])
            continue
        rows.append(
            [
                f"{clients:,}",
                f"{found.processes:,}",
                figure(found.load.cores * found.processes * MILLION / clients),
                percent(found.load.relay / found.load.cores),
                percent(found.relay_network),
                servers(found, 1),
            ]
        )
    head = ("clients of a room", "processes", "cores for each million clients")
    yield from table((*head, "for messages of others", "of the traffic", "NATS servers"), rows)


def divisions(costs: Costs) -> Iterator[str]:
    """Give what more or fewer partitions change, for a million clients in one room."""
    rows = []
    for partitions in DIVISIONS:
        found = plan(costs, MILLION, partitions)
        title = f"{partitions:,}" if partitions else "a subject for each topic"
        if partitions == PARTITIONS:
            title += " (today)"
        if not found:
            rows.append([title, *[IMPOSSIBLE] * 4])
            continue
        rows.append(
            [
                title,
                f"{found.processes:,}",
                f"{figure(found.load.received)}/s",
                percent(found.load.relay / found.load.cores),
                servers(found, 1),
            ]
        )
    head = ("partitions", "processes", "messages from others, to each", "for messages of others")
    yield from table((*head, "NATS servers"), rows)


def limits(costs: Costs) -> Iterator[str]:
    """Give the limits of one room, in the order in which a growing room meets them."""
    most = first(lambda clients: plan(costs, clients) is None)

    def with_plan(is_reached: Callable[[Plan], bool]) -> Callable[[int], bool]:
        return lambda clients: bool(found := plan(costs, clients)) and is_reached(found)

    def topics(clients: int) -> float:
        return sum(kind.topics(clients) for kind in WORKLOAD)

    def appended(clients: int) -> float:
        return sum(kind.topics(clients) * kind.rate for kind in WORKLOAD if kind.kept)

    budget, most_appends = ASSUMED.utilisation, ASSUMED.utilisation / costs.nats_append
    at_any_size: dict[str, Callable[[int], bool]] = {
        f"more than {DEFAULT_MAX_TOPICS:,} topics": lambda n: topics(n) > DEFAULT_MAX_TOPICS,
        "topics take 1 GiB of each process": lambda n: topics(n) * costs.topic_bytes > 1 << 30,
        f"the stream takes {figure(most_appends)} publications a second": (
            lambda n: appended(n) > most_appends
        ),
    }
    before_the_end: dict[str, Callable[[int], bool]] = {
        "a tenth of a process' time goes to heartbeats": with_plan(
            lambda of: of.load.heartbeats > budget / 10
        ),
        "half of a process' time goes to messages of others": with_plan(
            lambda of: of.load.relay > of.load.cores / 2
        ),
        "more than three NATS servers": with_plan(lambda of: of.nats_servers not in (0, 3)),
    }
    found = [(first(is_reached), title) for title, is_reached in at_any_size.items()]
    found += [
        (first(is_reached, most), title)
        for title, is_reached in before_the_end.items()
        if is_reached(int(most / 1.02))
    ]
    found.append((most, "no number of processes is enough"))
    rows = []
    for clients, title in sorted(found):
        last = plan(costs, clients)
        processes = f"{last.processes:,}" if last else NONE
        rows.append([title, figure(clients), processes])
    yield from table(("what is reached", "clients", "processes then"), rows)


def first(is_reached: Callable[[int], bool], most: int = 10 * SIZES[-1]) -> int:
    """Return the number of clients at which something is reached, to one in a hundred."""
    low, high = 1000, most
    while high > 1.01 * low:
        middle = int((low * high) ** 0.5)
        low, high = (low, middle) if is_reached(middle) else (middle, high)
    return high
