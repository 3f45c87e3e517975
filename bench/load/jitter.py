"""What reaches clients whose connections are lost again and again, for up to two seconds.

The profile is close to the jitter test of AnyCable's benchmark, whose clients are offline for about
two seconds after every 15 to 20: https://github.com/anycable/nodejs-websocket-bench
"""

import random
from functools import partial
from typing import NamedTuple

from bench.load.dialects import KEPT_TOPIC, Dialect
from bench.load.fleet import Publisher, Subscriber, Tally, open_all, settle
from bench.load.links import Link
from bench.load.loop import Loop
from bench.load.meter import Meter, percentile

RATE = 50
"""Publications a second."""

QUIET = 1.0
"""Seconds without a delivery, after the longest outage, after which no more is expected."""


class Profile(NamedTuple):
    """How often connections are lost, and for how long."""

    outage: float
    """The most seconds that a client is offline; every duration up to it is equally likely."""

    connected: float
    """The most seconds between the end of an outage and the next one; the fewest are a fifth."""


class Outages:
    """Ends connections at random, and lets the clients reconnect after a while.

    Args:
        chances: Gives the times.
    """

    def __init__(self, loop: Loop, profile: Profile, chances: random.Random) -> None:
        self.count = 0
        self.seconds = 0.0
        """The duration of all of them, each until the client begins to reconnect."""
        self._loop = loop
        self._profile = profile
        self._chances = chances
        self._over = False

    def begin(self, links: list[Subscriber]) -> None:
        """Plan the first outage of each client."""
        for link in links:
            first = self._chances.uniform(0, self._profile.connected)
            self._loop.after(first, partial(self._drop, link))

    def end(self) -> None:
        """Begin no more outages."""
        self._over = True

    def _drop(self, link: Link) -> None:
        if self._over:
            return
        longest = self._profile.connected
        outage = self._chances.uniform(0, self._profile.outage)
        connected = self._chances.uniform(longest / 5, longest)
        self._loop.after(outage + connected, partial(self._drop, link))
        if link.ready:
            link.drop()
            self.count += 1
            self.seconds += outage
            self._loop.after(outage, link.connect)


def run(
    port: int,
    dialect: Dialect,
    pid: int | None,
    clients: int,
    messages: int,
    profile: Profile,
    seed: int,
) -> dict[str, float]:
    """Publish `RATE` messages a second to clients that lose their connections.

    Args:
        port: Where the server listens.
        dialect: Its wire format.
        pid: Its process.
        clients: How many subscribers there are.
        messages: How many messages are published.
        profile: Of the outages.
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
    outages = Outages(loop, profile, chances)
    meter = Meter(pid)
    outages.begin(subscribers)
    for number in range(messages):
        loop.at(meter.begin + number / RATE, publisher.publish)
    loop.at(meter.begin + messages / RATE, outages.end)
    while publisher.published < messages:
        loop.turn()
    expected = clients * messages
    settle(loop, tally, subscribers, expected, profile.outage + QUIET)
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
