"""Daphne's own checks of all connections, in slices."""

import asyncio
from types import SimpleNamespace
from typing import Any

from daphne.server import Server

from pubsub.transport.daphne.sweeps import LOOKED_AT, check_applications, check_timeouts
from tests.transport.daphne.support import installed_reactor


class Connection:
    """A connection that counts its checks."""

    def __init__(self) -> None:
        self.checks = 0
        self.looked_at = asyncio.Event()

    def check_timeouts(self) -> None:
        """Count the call."""
        self.checks += 1
        self.looked_at.set()


async def test_time_limits_are_checked_in_slices() -> None:
    """Time limits are checked for some connections at a time, and for none that was closed."""
    connections = [Connection() for _ in range(2 * LOOKED_AT + 2)]
    server = SimpleNamespace(connections=dict.fromkeys(connections), timeout_checker=None)
    async with installed_reactor() as reactor:
        check_timeouts(server)
        assert sum(each.checks for each in connections) == LOOKED_AT
        del server.connections[connections[-2]]
        await asyncio.wait_for(connections[-1].looked_at.wait(), 10)
        assert [each.checks for each in connections] == [1] * 2 * LOOKED_AT + [0, 1]
        assert [call.func for call in reactor.getDelayedCalls()] == [None]


def details(*, done: bool, **more: Any) -> dict[str, Any]:
    """Return Daphne's details of a connection whose application has ended, or has not."""
    application: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    if done:
        application.set_result(None)
    return {"application_instance": application, **more}


async def test_ended_connections_are_forgotten() -> None:
    """A connection is forgotten once it and its application have ended, as Daphne does it."""
    connections: dict[str, dict[str, Any]] = {
        **{f"open {number}": details(done=False) for number in range(LOOKED_AT)},
        "open": details(done=False),
        "only the application has ended": details(done=True),
        "only the connection has ended": details(done=False, disconnected=1e12),
        "both have ended": details(done=True, disconnected=1e12),
        "without an application": {"disconnected": 1e12},
    }
    original = Server.application_checker
    finished = asyncio.Event()
    seen: list[list[str]] = []

    def check(part: Any) -> None:
        seen.append(list(part.connections))
        original(part)
        finished.set()

    server = SimpleNamespace(
        connections=connections, application_close_timeout=10, application_checker=None
    )
    async with installed_reactor() as reactor:
        check_applications(server, check)
        assert seen == []
        await asyncio.wait_for(finished.wait(), 10)
        assert [call.func for call in reactor.getDelayedCalls()] == [None]
    assert seen == [
        [
            "only the application has ended",
            "only the connection has ended",
            "both have ended",
            "without an application",
        ]
    ]
    assert list(connections)[LOOKED_AT:] == [
        "open",
        "only the application has ended",
        "only the connection has ended",
    ]
    assert "application_instance" not in connections["only the application has ended"]
