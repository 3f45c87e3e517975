"""What clients were sent: everything that was published is received, or told as lost."""

import threading
from typing import Any, NamedTuple, Self

from tests.live.client import Client


class Account(NamedTuple):
    """What a subscriber was sent until its last event."""

    received: list[Any]
    """The payloads, in order."""

    lost: int
    """What it was told to have lost, exactly."""

    at_most: int
    """What it was told to have lost at most, in addition."""

    notices: list[str]
    """The other notices that it got."""

    def explains(self, published: int) -> bool:
        """Return whether every one of so many messages was received, or told as lost."""
        missing = published - len(self.received)
        return self.lost <= missing <= self.lost + self.at_most


def read_until(client: Client, last: Any) -> Account:
    """Read what a subscriber is sent until the event with this payload."""
    received: list[Any] = []
    notices: list[str] = []
    lost = at_most = 0
    while last not in received[-1:]:
        message = client.receive()
        if message["type"] == "event":
            received.append(message["message"]["payload"])
        elif message["type"] == "error":
            assert message["error"]["code"] in ("RELAY_GAP", "SLOW_CONSUMER"), message
            lost += message.get("dropped", 0)
            at_most += message.get("at_most", 0)
        else:
            notices.append(message["msg"])
    return Account(received, lost, at_most, notices)


def assert_told(client: Client, lost: int) -> None:
    """Check that the next message tells of exactly so many lost messages."""
    message = client.receive()
    assert (message["type"], message["error"]["code"]) == ("error", "RELAY_GAP"), message
    assert (message["dropped"], "at_most" in message) == (lost, False), message


class Call(threading.Thread):
    """Calls a function in a thread, from the start of a ``with`` to its end."""

    def __init__(self, function: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(daemon=True)
        self.result: Any = None
        self._call = lambda: function(*arguments, **options)

    def run(self) -> None:
        """Call it."""
        self.result = self._call()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.join()
