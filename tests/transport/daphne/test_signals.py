"""The signals that stop Daphne: the drain that comes first, and the second signal."""

import asyncio
import gc
import os
import signal
import threading
from collections.abc import Awaitable, Iterator
from typing import Any

import pytest

from pubsub.transport import on_stop
from pubsub.transport.daphne import drain_on_signals, foreign
from pubsub.transport.daphne.signals import SIGNALS
from tests.transport.daphne.support import installed_reactor, run
from tests.transport.daphne.test_foreign import take_away

(REACTOR,) = foreign.SIGNALS


class Drain:
    """A drain that ends when a test says so, and records what happens."""

    def __init__(self, reactor: Any) -> None:
        self.order: list[str] = []
        self.may_end, self.drained = asyncio.Event(), asyncio.Event()
        reactor.addSystemEventTrigger("after", "shutdown", self.order.append, "stopped")

    def spread(self) -> Awaitable[None]:
        """Begin."""
        self.order.append("begun")
        return self._spread()

    async def _spread(self) -> None:
        await self.may_end.wait()
        self.order.append("drained")
        self.drained.set()

    def stop_all(self) -> None:
        """End."""
        self.order.append("stopped all")


@pytest.fixture(autouse=True)
def handlers(reactor: Any) -> Iterator[None]:
    """Handle signals as Twisted does when it starts, and restore everything afterwards."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    signal.signal(signal.SIGTERM, reactor.sigTerm)
    signal.signal(signal.SIGINT, reactor.sigInt)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_drain_comes_before_the_stop(reactor: Any, number: int) -> None:
    """The server works while the drain lasts, and stops after it."""
    drain = Drain(reactor)

    def when_running() -> None:
        signal.raise_signal(number)
        reactor.callLater(0, look)

    def look() -> None:
        if not drain.order:
            reactor.callLater(0, look)
            return
        assert drain.order == ["begun"]
        drain.may_end.set()

    drain_on_signals(drain)
    run(reactor, when_running)
    assert drain.order == ["begun", "drained", "stopped"]


@pytest.mark.parametrize("second", SIGNALS)
def test_second_signal(reactor: Any, second: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everyone is disconnected, the process exits, and a third signal would kill it."""
    drain = Drain(reactor)
    left: set[Any] = set()

    def exit_with(status: int) -> None:
        drain.order.append(f"exited with {status}")
        drain.may_end.set()

    def when_running() -> None:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(second)
        left.update(signal.getsignal(number) for number in SIGNALS)

    monkeypatch.setattr(os, "_exit", exit_with)
    drain_on_signals(drain)
    run(reactor, when_running)
    assert drain.order[:3] == ["begun", "stopped all", "exited with 0"]
    assert left == {signal.SIG_DFL}


def test_stop_during_the_drain(reactor: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The drain may end after something else has begun to stop the server."""
    drain = Drain(reactor)

    async def end() -> None:
        drain.may_end.set()
        await drain.drained.wait()
        await asyncio.sleep(0)
        drain.order.append("ended")
        gc.collect()  # a task that failed unseen is logged when it is collected

    def when_running() -> None:
        signal.raise_signal(signal.SIGTERM)
        on_stop(end)
        reactor.callLater(0, reactor.callLater, 0, reactor.stop)

    drain_on_signals(drain)
    run(reactor, when_running)
    assert drain.order == ["begun", "drained", "ended", "stopped"]
    assert caplog.records == []


def test_second_installation_changes_nothing(reactor: Any) -> None:
    """The drain of the first application applies."""
    first, second = Drain(reactor), Drain(reactor)

    def when_running() -> None:
        first.may_end.set()
        signal.raise_signal(signal.SIGHUP)

    drain_on_signals(first)
    drain_on_signals(second)
    run(reactor, when_running)
    assert first.order == ["begun", "drained", "stopped"]
    assert second.order == ["stopped"]


@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda *_: None], ids=["ignored", "handled"])
@pytest.mark.parametrize("number", SIGNALS)
def test_signal_that_something_else_handles(reactor: Any, number: int, handler: Any) -> None:
    """That handler stays, as the one of `nohup` does."""
    signal.signal(number, handler)
    drain_on_signals(Drain(reactor))
    run(reactor, reactor.stop)
    assert signal.getsignal(number) is handler


def test_server_in_another_thread_leaves_signals_alone(reactor: Any) -> None:
    """Python would refuse to set a handler there."""
    drain_on_signals(Drain(reactor))
    thread = threading.Thread(target=run, args=(reactor, reactor.stop))
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


async def test_signals_of_another_server(handlers: None) -> None:
    """They are left to that server, although Daphne is imported."""
    async with installed_reactor() as reactor:
        drain_on_signals(Drain(reactor))
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


@pytest.mark.parametrize("name", foreign.SIGNALS[REACTOR])
def test_other_twisted(
    reactor: Any, name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning says what is lost; the signal does what Twisted has it do."""
    number = {"sigTerm": signal.SIGTERM, "sigInt": signal.SIGINT}[name]
    handler = signal.getsignal(number)
    take_away(REACTOR, name, monkeypatch)
    for _ in range(2):
        drain_on_signals(Drain(reactor))
    run(reactor, reactor.stop)
    assert signal.getsignal(number) is handler
    (record,) = caplog.records
    assert f"{REACTOR}.{name}" in record.getMessage()
    assert "a stop disconnects all clients at once" in record.getMessage()
