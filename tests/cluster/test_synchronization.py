"""A process catches up with the others after each connection, however often it fails."""

import asyncio
import logging

import pytest

from pubsub.cluster import synchronization
from pubsub.cluster.synchronization import READY_TIMEOUT, Synchronization
from pubsub.logs import events
from pubsub.protocol.errors import Unavailable
from pubsub.relay import errors
from pubsub.relay.memory import MemoryNetwork
from tests.cluster.support import connected_relay, turns


class Others:
    """Other processes, with which each attempt to synchronize has a given result."""

    def __init__(self, *results: Exception | None) -> None:
        self.relay = connected_relay(MemoryNetwork())
        self.results = list(results)
        self.answered = asyncio.Event()
        self.answered.set()
        self.attempts = self.cancelled = 0
        self.synchronization = Synchronization(self.relay, self.attempt)

    async def attempt(self) -> None:
        """Synchronize once."""
        self.attempts += 1
        try:
            await self.answered.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        result = self.results.pop(0) if self.results else None
        if result is not None:
            raise result

    def disconnect(self) -> None:
        """Lose the connection."""
        self.relay.disconnect()
        self.synchronization.on_disconnected()


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once."""
    monkeypatch.setattr(synchronization, "RETRY", 0.0)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Return what is logged, by a log that has left out nothing so far."""
    events.event_log.cache_clear()
    caplog.set_level(logging.INFO, "pubsub")
    return caplog


async def test_attempts_go_on_until_one_succeeds(log: pytest.LogCaptureFixture) -> None:
    """Each reason for a failure is logged once, and an error of the program with its traceback."""
    refused = errors.Unavailable("no account")
    others = Others(refused, refused, ZeroDivisionError())
    others.synchronization.start()
    await others.synchronization.wait()
    assert (others.attempts, others.synchronization.is_done) == (4, True)
    assert [record.exc_info is not None for record in log.records] == [False, True]
    assert "no account" in log.messages[0]


async def test_a_start_ends_the_attempt_before() -> None:
    """A new connection makes a new attempt, and cancels the one before."""
    others = Others()
    others.answered.clear()
    others.synchronization.start()
    await turns()
    others.synchronization.start()
    await turns()
    assert (others.attempts, others.cancelled) == (2, 1)
    others.answered.set()
    await others.synchronization.wait()
    assert others.attempts == 2


async def test_a_process_that_was_cut_off_does_not_wait() -> None:
    """Requests wait for the first synchronization, and fail at once after a loss of the network."""
    others = Others()
    waiting = asyncio.ensure_future(others.synchronization.wait())
    await turns()
    assert not waiting.done()
    others.synchronization.start()
    await waiting
    others.disconnect()
    assert not others.synchronization.is_done
    refused = asyncio.ensure_future(others.synchronization.wait())
    await turns()
    assert isinstance(refused.exception(), Unavailable)


async def test_a_process_that_has_missed_something_is_not_up_to_date() -> None:
    """While it catches up without a new connection, requests wait, and none is refused."""
    others = Others()
    others.synchronization.start()
    await others.synchronization.wait()
    others.answered.clear()
    others.synchronization.start()
    assert (others.synchronization.is_done, others.synchronization.has_joined) == (False, True)
    waiting = asyncio.ensure_future(others.synchronization.wait())
    await turns()
    assert not waiting.done()
    others.answered.set()
    await waiting
    assert others.synchronization.is_done


async def test_a_process_that_cannot_catch_up() -> None:
    """As long as the attempts fail, the process is not up to date."""
    others = Others(None, *(errors.Unavailable("no leader") for _ in range(3)))
    others.synchronization.start()
    await others.synchronization.wait()
    others.synchronization.start()
    while others.results:
        assert not others.synchronization.is_done
        await asyncio.sleep(0)
    await others.synchronization.wait()
    assert others.attempts == 5


async def test_an_attempt_ends_with_its_connection() -> None:
    """An attempt that began before a loss of the connection does not count after it."""
    others = Others()
    others.answered.clear()
    others.synchronization.start()
    await turns()
    others.disconnect()
    others.answered.set()
    await turns()
    assert (others.cancelled, others.synchronization.has_succeeded) == (1, False)
    others.answered.clear()
    others.relay.connect()
    others.synchronization.start()
    await turns()
    assert not others.synchronization.is_done
    others.answered.set()
    await others.synchronization.wait()
    assert (others.attempts, others.synchronization.has_joined) == (2, True)
    others.disconnect()
    assert not others.synchronization.has_joined


async def test_waiting_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request does not wait forever for others that do not answer."""
    monkeypatch.setattr(synchronization, "READY_TIMEOUT", 0.0)
    others = Others()
    others.answered.clear()
    others.synchronization.start()
    with pytest.raises(Unavailable):
        await others.synchronization.wait()
    others.synchronization.stop()


async def test_all_requests_together_wait_no_longer_than_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The time of waiting begins with the synchronization, not with each request."""
    others = Others()
    others.synchronization.start()
    await others.synchronization.wait()
    others.answered.clear()
    others.synchronization.start()
    waiting = asyncio.ensure_future(others.synchronization.wait())
    await turns()
    begun = others.synchronization._begun
    assert begun is not None
    others.synchronization.start()  # more was missed
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: begun + READY_TIMEOUT)
    late = asyncio.ensure_future(others.synchronization.wait())
    await turns()
    for request in (waiting, late):
        assert isinstance(request.exception(), Unavailable)
    others.disconnect()
    others.relay.connect()
    others.synchronization.start()
    again = asyncio.ensure_future(others.synchronization.wait())
    await turns()
    assert not again.done()
    others.answered.set()
    await again


async def test_nothing_starts_after_the_end() -> None:
    """Once it is stopped, a new connection starts nothing."""
    others = Others()
    others.synchronization.start()
    await others.synchronization.wait()
    others.synchronization.stop()
    others.synchronization.start()
    await turns()
    assert (others.attempts, others.synchronization.is_done) == (1, False)
    assert repr(others.synchronization) == "<Synchronization is not done>"
