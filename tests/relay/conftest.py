"""The servers of these tests."""

from collections.abc import Iterator

import pytest

from tests.relay.server import NatsServer


@pytest.fixture(scope="module")
def nats_server() -> Iterator[NatsServer]:
    """A server that the tests of a module share; none of them disturbs it."""
    with NatsServer() as server:
        yield server
