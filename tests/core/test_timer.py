"""One timer for many tasks."""

import asyncio
from collections.abc import Callable

from pubsub import fairness
from pubsub.core.timer import SharedTimer, on_running_loop
from tests.clock import Clock


def make(time: Clock) -> SharedTimer:
    """Return a timer of ten seconds."""
    return SharedTimer(10, clock=time, call_later=time.call_later)


def logs(log: list[str], text: str, work: int = 1) -> Callable[[], int]:
    """Return a task that writes a line."""

    def task() -> int:
        log.append(text)
        return work

    return task


def test_tasks_run_once_in_their_order() -> None:
    """Each task runs once, after the delay, and all of them need one timer."""
    time, log = Clock(), list[str]()
    timer = make(time)
    first, second = logs(log, "a"), logs(log, "b")
    timer.add(first)
    time.elapse(4)
    timer.add(second)
    timer.add(first)
    assert len(time.timers) == 1
    time.elapse(6)
    assert log == ["a"]
    time.elapse(4)
    assert log == ["a", "b"]
    assert time.timers == []


def test_task_that_adds_itself() -> None:
    """A task that is added while it runs is due again after the delay."""
    time, log = Clock(), list[str]()
    timer = make(time)

    def task() -> int:
        log.append("x")
        timer.add(task)
        return 1

    timer.add(task)
    time.elapse(35)
    assert log == ["x"] * 3
    assert len(time.timers) == 1


def test_discarded_task() -> None:
    """A task that is discarded does not run; discarding is safe at any time."""
    time, log = Clock(), list[str]()
    timer = make(time)
    task = logs(log, "a")
    timer.add(task)
    timer.discard(task)
    timer.discard(task)
    time.elapse(20)
    assert log == []


def test_long_work_is_sliced() -> None:
    """Tasks that are due at once run in several turns of the event loop if they take long."""
    time, log = Clock(), list[str]()
    timer = make(time)
    for text in "abc":
        timer.add(logs(log, text, fairness.TIMER_SLICE // 2 + 1))
    turns: list[int] = []
    call_later = time.call_later
    timer._call_later = lambda delay, callback: (turns.append(len(log)), call_later(0, callback))[1]
    time.elapse(10)
    assert log == ["a", "b", "c"]
    assert turns == [2]


def test_restart() -> None:
    """On another event loop the timer is set again, for what remains of the delay."""
    time, log = Clock(), list[str]()
    timer = make(time)
    timer.restart()
    assert time.timers == []
    timer.add(logs(log, "a"))
    time.elapse(4)
    timer.restart()
    (call,) = time.timers
    assert call.due == time.now + 6


def test_task_that_fails() -> None:
    """The tasks after one that fails still run."""
    time, log = Clock(), list[str]()
    timer = make(time)

    def fail() -> int:
        raise ZeroDivisionError

    timer.add(fail)
    timer.add(logs(log, "a"))
    for _ in range(2):
        try:
            time.elapse(10)
        except ZeroDivisionError:
            log.append("failed")
    assert log == ["failed", "a"]


async def test_running_loop() -> None:
    """By default the running event loop calls."""
    called = asyncio.Event()
    on_running_loop(0, called.set)
    await called.wait()


def test_representation() -> None:
    """A timer shows its delay and the number of tasks."""
    timer = make(Clock())
    timer.add(logs([], "a"))
    assert repr(timer) == "<SharedTimer of 10 s, 1 tasks>"
