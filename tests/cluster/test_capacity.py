"""Whether the relay takes the largest message of a client."""

import pytest

from pubsub.cluster.capacity import Capacity, bytes_needed
from pubsub.core.configuration import Configuration
from pubsub.logs import events
from pubsub.relay.errors import Unavailable
from pubsub.relay.memory import MemoryNetwork


def test_each_size_that_is_too_small_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """A relay that takes too little is refused each time, and logged for each size."""
    events.event_log.cache_clear()
    config = Configuration()
    relay = MemoryNetwork().relay()
    capacity = Capacity(relay, config)
    for missing in (1, 1, 2):
        relay.max_bytes = bytes_needed(config) - missing
        with pytest.raises(Unavailable):
            capacity.check()
    assert len(caplog.messages) == 2
    relay.max_bytes = bytes_needed(config)
    capacity.check()
    assert repr(capacity) == "<Capacity 69632 of 69632 bytes>"
