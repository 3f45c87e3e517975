"""Servers for the live tests. Each must keep a clean log, whatever was done to it."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Protocol

import pytest

from tests.live.server import Server


class StartServer(Protocol):
    """Starts a server with other settings than the default."""

    def __call__(self, *command: str, **environment: str) -> Server:
        """Start one."""


@pytest.fixture(scope="session")
def shared_server() -> Iterator[Server]:
    """One Daphne with default settings, for all tests that need no other."""
    server = Server()
    try:
        yield server
        assert server.stop() == 0
        assert server.complaints() == []
    finally:
        server.close()


@pytest.fixture
def server(shared_server: Server) -> Iterator[Server]:
    """The shared server, without topics and clients of other tests."""
    yield shared_server
    shared_server.clear()


@pytest.fixture
def start_server() -> Iterator[StartServer]:
    """Start servers for one test."""
    with ExitStack() as stack:

        def start(*command: str, **environment: str) -> Server:
            server = Server(*command, **environment)
            stack.callback(server.close)
            stack.callback(lambda: pytest.fail(str(bad)) if (bad := server.complaints()) else None)
            return server

        yield start
