"""The reactor's clock."""

import asyncio
import time
from typing import Any, cast

from pubsub.transport.daphne.clock import measure_monotonically
from tests.transport.daphne.support import installed_reactor


async def test_delays_are_monotonic() -> None:
    """Calls that are pending already are made after the delay that they have left."""
    async with installed_reactor():
        from twisted.internet import reactor as installed

        reactor = cast(Any, installed)
        reactor.seconds = time.time
        made = asyncio.Event()
        soon, later = reactor.callLater(0.01, made.set), reactor.callLater(60, made.set)
        measure_monotonically()
        measure_monotonically()
        assert reactor.seconds is time.monotonic
        assert 59 < later.getTime() - time.monotonic() <= 60
        await made.wait()
        assert not soon.active()
        later.cancel()
