"""How the clients of a server that is restarted come back, and what they miss.

Whoever runs this load has to start the server again as soon as its process has ended.
"""

import os
import random
import select
import signal
import socket
import time

from bench.load.dialects import KEPT_TOPIC, Dialect
from bench.load.fleet import Publisher, Subscriber, Tally, open_all, settle
from bench.load.loop import Loop
from bench.load.meter import Meter, percentile

STOP_TIMEOUT = 20.0
"""Seconds after SIGTERM until SIGKILL."""

RETURN_TIMEOUT = 60.0
"""Seconds after SIGTERM by which a client has to be back."""

QUIET = 2.0
"""Seconds without a delivery, in the end, after which no more is expected."""

WATCH = 0.02
"""Seconds between two looks at the process."""

PROBE_PAUSE = 0.02
"""Seconds between an answer and the next request for ``/health``."""


class Probe:
    """Asks for ``/health``, over a new connection each time, as load balancers do.

    Servers that have no such page answer with an error, which is an answer as well.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._socket: socket.socket | None = None
        self._begin = 0.0
        self.restart()
        self.ask()

    def restart(self) -> None:
        """Forget the answers so far."""
        self._slowest = self._longest_silence = 0.0
        self._last_answer = time.perf_counter()

    def read(self) -> tuple[float, float]:
        """Return the slowest answer and the longest time between two answers, in seconds.

        The request that has not been answered yet counts in both.
        """
        now = time.perf_counter()
        waiting = now - self._begin if self._socket else 0.0
        return max(self._slowest, waiting), max(self._longest_silence, now - self._last_answer)

    def ask(self) -> None:
        """Begin to connect."""
        self._begin = time.perf_counter()
        self._socket = self._loop.connect(self)

    def connected(self) -> None:
        """Send the request."""
        assert self._socket
        self._socket.sendall(
            b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )

    def readable(self) -> None:
        """Record the answer, of which the first bytes are enough."""
        assert self._socket
        if not self._socket.recv(4096):
            raise ConnectionError("the server closed a connection")
        now = time.perf_counter()
        self._slowest = max(self._slowest, now - self._begin)
        self._longest_silence = max(self._longest_silence, now - self._last_answer)
        self._last_answer = now
        self.lost()

    def lost(self) -> None:
        """Ask again after a pause."""
        assert self._socket
        self._loop.close(self._socket)
        self._socket = None
        self._loop.after(PROBE_PAUSE, self.ask)


class Stop:
    """The end of a server's process: SIGTERM, and SIGKILL if that is not enough."""

    def __init__(self, loop: Loop, pid: int) -> None:
        self.begin = time.perf_counter()
        self.seconds = 0.0
        """How long it took; 0 as long as the process has not ended."""
        self._loop = loop
        self._process = os.pidfd_open(pid)
        self._poll = select.poll()
        self._poll.register(self._process, select.POLLIN)
        signal.pidfd_send_signal(self._process, signal.SIGTERM)
        loop.after(STOP_TIMEOUT, self._kill)
        self._watch()

    def _watch(self) -> None:
        if self._poll.poll(0):
            self.seconds = time.perf_counter() - self.begin
        else:
            self._loop.after(WATCH, self._watch)

    def _kill(self) -> None:
        if not self.seconds:
            signal.pidfd_send_signal(self._process, signal.SIGKILL)


def run(
    port: int, dialect: Dialect, pid: int, clients: int, rate: int, margin: float, seed: int
) -> dict[str, float]:
    """Stop the server while clients are subscribed, and wait until all are back.

    Args:
        port: Where the server listens.
        dialect: Its wire format.
        pid: Its process.
        clients: How many subscribers there are.
        rate: Publications a second, before, during and after the restart.
        margin: Seconds of publications before the signal, and again after all are back.
        seed: Of the random delays before a client reconnects.

    Raises:
        TimeoutError: The clients cannot subscribe in the first place.
    """
    chances = random.Random(seed)
    loop, tally = Loop(port), Tally()
    most = int(2 * (margin + RETURN_TIMEOUT) * rate)
    subscribers = [
        Subscriber(loop, dialect.session(KEPT_TOPIC), chances, tally, most) for _ in range(clients)
    ]
    publisher = Publisher(loop, dialect, KEPT_TOPIC, chances)
    probe = Probe(loop)
    meter = Meter()
    open_all(loop, [publisher, *subscribers])
    opening_seconds, (opening_slowest, _) = time.perf_counter() - meter.begin, probe.read()
    publication = Publication(loop, publisher, 1 / rate)
    keep_turning(loop, margin)
    tally.restart()
    probe.restart()
    stop = Stop(loop, pid)
    back = wait_until_back(loop, stop, subscribers)
    slowest, silence = probe.read()
    keep_turning(loop, margin)
    publication.end()
    expected = clients * publisher.published
    settle(loop, tally, subscribers, expected, QUIET)
    _, share = meter.read()
    return {
        **{f"back_p{p}_s": percentile(back, p) for p in (50, 95, 100)},
        "back_percent": 100 * sum(seconds < RETURN_TIMEOUT for seconds in back) / clients,
        "stop_s": stop.seconds,
        "silence_s": silence,
        "slowest_answer_ms": slowest * 1e3,
        "delivered_percent": 100 * tally.received / expected,
        "lost": expected - tally.received,
        "duplicates": tally.duplicates,
        "published": publisher.published,
        "unknown": publisher.unknown,
        "told": tally.not_recovered,
        "opening_s": opening_seconds,
        "opening_slowest_ms": opening_slowest * 1e3,
        "generator_share": share,
        "seed": seed,
    }


class Publication:
    """Publishes messages at an interval, in seconds, until it is ended."""

    def __init__(self, loop: Loop, publisher: Publisher, interval: float) -> None:
        self._loop = loop
        self._publisher = publisher
        self._interval = interval
        self._over = False
        self._publish()

    def end(self) -> None:
        """Publish no more."""
        self._over = True

    def _publish(self) -> None:
        if not self._over:
            self._publisher.publish()
            self._loop.after(self._interval, self._publish)


def keep_turning(loop: Loop, seconds: float) -> None:
    """Let things happen for a while."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        loop.turn()


def wait_until_back(loop: Loop, stop: Stop, subscribers: list[Subscriber]) -> list[float]:
    """Wait until all have subscribed to the new process; return after how many seconds, in order.

    A client that does not come back counts with `RETURN_TIMEOUT`.
    """
    missing = set(subscribers)
    while missing and time.perf_counter() < stop.begin + RETURN_TIMEOUT:
        keep_turning(loop, 0.1)
        missing = {one for one in missing if not one.ready or one.ready_since < stop.begin}
    return sorted(
        RETURN_TIMEOUT if one in missing else one.ready_since - stop.begin for one in subscribers
    )
