"""What reaches clients whose connections are lost again and again, for up to two seconds.

The profile is close to the jitter test of AnyCable's benchmark, whose clients are offline for about
two seconds after every 15 to 20: https://github.com/anycable/nodejs-websocket-bench
"""

import random
from functools import partial
from typing import Any

from bench.load.dialects import KEPT_TOPIC, Dialect
from bench.load.fleet import Publisher, Subscriber, Tally, open_all, settle
from bench.load.links import Link
from bench.load.loop import Loop
from bench.load.meter import Meter, percentile

RATE = 50
"""Publications a second."""

LONGEST_OUTAGE = 2.0
"""Seconds; an outage lasts between nothing and this, each duration with the same probability."""

CONNECTED = 2.0, 10.0
"""The fewest and the most seconds between the end of an outage and the next one."""


class Outages:
    """Ends connections at random, and lets the clients reconnect after a while.

    Args:
        chances: Gives the times.
    """

    def __init__(self, loop: Loop, chances: random.Random) -> None:
        self.count = 0
        self.seconds = 0.0
        """The duration of all of them, each until the client begins to reconnect."""
        self._loop = loop
        self._chances = chances
        self._over = False

    def begin(self, links: list[Subscriber]) -> None:
        """Plan the first outage of each client."""
        for link in links:
            self._loop.after(self._chances.uniform(0, CONNECTED[1]), partial(self._drop, link))

    def end(self) -> None:
        """Begin no more outages."""
        self._over = True

    def _drop(self, link: Link) -> None:
        if self._over:
            return
        outage = self._chances.uniform(0, LONGEST_OUTAGE)
        connected = self._chances.uniform(*CONNECTED)
        self._loop.after(outage + connected, partial(self._drop, link))
        if link.ready:
            link.drop()
            self.count += 1
            self.seconds += outage
            self._loop.after(outage, link.connect)


def run(
    port: int, dialect: Dialect, pid: int | None, clients: int, messages: int, seed: int
) -> dict[str, Any]:
    """Publish `RATE` messages a second to clients that lose their connections.

    Args:
        port: Where the server listens.
        dialect: Its wire format.
        pid: Its process.
        clients: How many subscribers there are.
        messages: How many messages are published.
        seed: Of the random times, so that they are the same in each run.

    Raises:
        TimeoutError: The clients cannot subscribe.
    """
    chances = random.Random(seed)
    loop, tally = Loop(port), Tally()
    subscribers = [
        Subscriber(loop, dialect.session(KEPT_TOPIC), chances, tally, messages)
        for _ in range(clients)
    ]
    publisher = Publisher(loop, dialect, KEPT_TOPIC, chances)
    open_all(loop, [*subscribers, publisher])
    tally.restart()
    outages = Outages(loop, chances)
    meter = Meter(pid)
    outages.begin(subscribers)
    for number in range(messages):
        loop.at(meter.begin + number / RATE, publisher.publish)
    loop.at(meter.begin + messages / RATE, outages.end)
    while publisher.published < messages:
        loop.turn()
    expected = clients * messages
    settle(loop, tally, expected)
    elapsed, share = meter.read()
    back = sorted(tally.opening_seconds)
    offline = outages.seconds + sum(back)
    return {
        "delivered_percent": 100 * tally.received / expected,
        "lost": expected - tally.received,
        "duplicates": tally.duplicates,
        "out_of_order": tally.out_of_order,
        "outages": outages.count,
        "offline_percent": 100 * offline / (clients * messages / RATE),
        "recovered": tally.recovered,
        "not_recovered": tally.not_recovered,
        **{f"back_p{p}_ms": percentile(back, p) * 1e3 for p in (50, 99) if back},
        **meter.server_cost(tally.received or 1),
        "generator_share": share,
        "seconds": elapsed,
        "seed": seed,
    }
