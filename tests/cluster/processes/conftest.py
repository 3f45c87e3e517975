"""A room that the tests of a module share."""

import signal
from collections.abc import Iterator

import pytest

from tests.cluster.processes.room import Room, running_room


@pytest.fixture(scope="module")
def shared_room() -> Iterator[Room]:
    """Three processes, which no test may harm."""
    with running_room() as room:
        yield room


@pytest.fixture
def room(shared_room: Room) -> Iterator[Room]:
    """The shared room, cleared of topics and clients after each test."""
    yield shared_room
    # A test that fails may leave something paused.
    shared_room.nats.resume()
    for server in shared_room.servers:
        server.send_signal(signal.SIGCONT)
        server.reset_clients()
    shared_room.wait_until_ready()
    shared_room.servers[0].clear()
