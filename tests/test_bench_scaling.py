"""The calculation of what many clients take."""

import dataclasses
import random

import pytest

from bench.peers import PROJECT
from bench.results import Results
from bench.scaling import model
from bench.scaling.__main__ import RESULTS
from bench.scaling.costs import Costs
from bench.scaling.model import ASSUMED, WORKLOAD, Kind, load, nats_servers, plan
from bench.scaling.page import fill
from bench.scaling.tables import blocks, figure, first

REPETITIONS = 40
"""Of the simulation, which is random; its seed is fixed."""

COSTS = Costs(
    publish=20e-6,
    deliver=6e-6,
    receive=14e-6,
    ignore=8e-6,
    append=150e-6,
    follow=40e-6,
    nats_in=2e-6,
    nats_out=2e-6,
    nats_append=60e-6,
    connect=500e-6,
    process_bytes=80e6,
    client_bytes=28e3,
    topic_bytes=2e3,
)


def test_page_is_what_is_calculated() -> None:
    """Every table of the page follows from the results beside it."""
    page = (PROJECT / "docs/scaling.md").read_text()
    assert fill(page, blocks(Results.load(RESULTS))) == page


def test_page_without_marks_is_refused() -> None:
    """A table for which the page has no place does not get lost."""
    with pytest.raises(ValueError, match="limits"):
        fill("# A page", {"limits": "a table"})


@pytest.fixture
def small_rooms(monkeypatch: pytest.MonkeyPatch) -> Kind:
    """A workload of small rooms only."""
    kind = Kind("small rooms", size=4, each=1, rate=1.0)
    monkeypatch.setattr(model, "WORKLOAD", (kind,))
    return kind


@pytest.mark.parametrize("partitions", [8, 256, None])
def test_expected_messages_are_those_of_a_simulation(
    small_rooms: Kind, partitions: int | None
) -> None:
    """Clients that are placed at random receive about as many messages as was calculated."""
    clients, processes = 400, 10
    chances = random.Random(1)
    received = 0
    for _ in range(REPETITIONS):
        rooms = [
            [chances.randrange(processes) for _ in range(small_rooms.size)]
            for _ in range(clients // small_rooms.size)
        ]
        subject = [chances.randrange(partitions) if partitions else n for n in range(len(rooms))]
        wants = {
            (process, subject[number]) for number, room in enumerate(rooms) for process in room
        }
        for number in range(len(rooms)):
            publisher = chances.randrange(processes)
            received += sum(
                process != publisher and (process, subject[number]) in wants
                for process in range(processes)
            )
    expected = load(COSTS, clients, processes, partitions).received * processes
    assert received / REPETITIONS == pytest.approx(expected, rel=0.05)


def test_one_process_receives_nothing() -> None:
    """Without other processes there is no relay to pay for."""
    alone = load(COSTS, 10_000, 1)
    assert (alone.relay, alone.heartbeats, alone.published, alone.passed_on) == (0, 0, 0, 0)
    assert nats_servers(COSTS, alone, 1) == 0


def test_deliveries_do_not_depend_on_the_number_of_processes() -> None:
    """What clients receive is the same, and processes share the work for it."""
    few, many = load(COSTS, 100_000, 5), load(COSTS, 100_000, 10)
    assert few.deliveries == many.deliveries
    assert few.clients == pytest.approx(2 * many.clients)


def test_plan_is_the_smallest_that_is_enough() -> None:
    """One process fewer would be over a limit."""
    found = plan(COSTS, 100_000)
    assert found is not None
    assert found.load.cores <= ASSUMED.utilisation
    assert 100_000 / (found.processes - 1) > ASSUMED.clients_per_process


def test_more_processes_help_until_each_receives_too_much() -> None:
    """Above some number of messages in the room no number of processes is enough."""
    assert plan(COSTS, 1_000_000)
    assert plan(COSTS, 100_000_000) is None
    cheaper = dataclasses.replace(COSTS, receive=0, ignore=0, follow=0, topic_bytes=0)
    assert plan(cheaper, 10_000_000)
    assert not plan(COSTS, 10_000_000)


def test_larger_rooms_take_more_for_each_client() -> None:
    """Each process receives what all others publish, so the work grows faster than the room."""
    small, large = plan(COSTS, 100_000), plan(COSTS, 1_000_000)
    assert small
    assert large
    assert large.load.cores * large.processes > 10 * small.load.cores * small.processes
    assert large.relay_network > small.relay_network


def test_finer_partitions_keep_messages_away() -> None:
    """A process receives less the fewer topics share a subject, and least with one for each."""
    received = [load(COSTS, 100_000, 50, n).received for n in (16, 256, 65_536, None)]
    assert received == sorted(received, reverse=True)
    assert received[-1] < received[0]


def test_nats_grows_with_the_messages() -> None:
    """Three servers are the fewest, more are needed for more, and a mesh ends somewhere."""
    needed = load(COSTS, 100_000, 5)
    assert nats_servers(COSTS, needed, 5) == 3
    more = dataclasses.replace(needed, passed_on=100 * 100_000, published=100_000)
    assert (nats_servers(COSTS, more, 100) or 0) > 3
    assert nats_servers(COSTS, dataclasses.replace(more, passed_on=1e12), 100) is None


def test_limit_is_found() -> None:
    """The search ends within one in a hundred of the limit."""
    assert first(lambda clients: clients >= 123_456) == pytest.approx(123_456, rel=0.011)


def test_topics_are_counted_by_their_subscribers() -> None:
    """Ten subscribers of one topic are one topic, and one of all clients is one as well."""
    small, _, announcements = WORKLOAD
    assert small.topics(1000) == 1000 * small.each / small.size
    assert announcements.topics(1000) == 1


@pytest.mark.parametrize(
    ("value", "shown"), [(0.01234, "0.0123"), (12.34, "12.3"), (1234.5, "1,230"), (0, "0")]
)
def test_figures_have_three_digits(value: float, shown: str) -> None:
    """More would claim a precision that the calculation has not."""
    assert figure(value) == shown
