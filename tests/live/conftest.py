"""Servers for the live tests; each must keep a clean log, whatever a test does to it."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Protocol

import pytest

from tests.live.server import Server, running_server


class StartServer(Protocol):
    """A function that starts a server with settings other than the default."""

    def __call__(self, *command: str, fork: bool = True, **environment: str) -> Server:
        """Start a server."""


@pytest.fixture(scope="session")
def shared_server() -> Iterator[Server]:
    """One Daphne with default settings, shared by all tests that need no other."""
    with running_server() as server:
        yield server


@pytest.fixture
def server(shared_server: Server) -> Iterator[Server]:
    """The shared server, cleared of topics and clients after each test."""
    yield shared_server
    shared_server.clear()


@pytest.fixture
def start_server() -> Iterator[StartServer]:
    """Start servers for one test."""
    with ExitStack() as stack:

        def start(*command: str, fork: bool = True, **environment: str) -> Server:
            server = Server(*command, fork=fork, **environment)
            stack.callback(server.close)
            stack.callback(lambda: pytest.fail(str(bad)) if (bad := server.complaints()) else None)
            return server

        yield start
