"""A clock for Twisted's reactor that nobody can set."""

import time
from typing import Any, cast


def measure_monotonically() -> None:
    """Have the reactor measure delays with the monotonic clock. Safe to call twice.

    Twisted takes the time of the day. When that is set back by an hour, no delayed call is made
    for an hour: no time limit of HTTP, none of Daphne's, and ended connections are not forgotten.
    Calls that are pending keep the delay that they have left.
    """
    from twisted.internet import reactor as installed

    reactor = cast(Any, installed)
    now = reactor.seconds()
    pending = [(call, call.getTime() - now) for call in reactor.getDelayedCalls()]
    reactor.seconds = time.monotonic
    for call, left in pending:
        call.seconds = time.monotonic
        call.reset(left)
