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


class _Reading:
    """Adds up what a subscriber is sent."""

    def __init__(self) -> None:
        self.received: list[Any] = []
        self._notices: list[str] = []
        self._lost = self._at_most = 0

    def add(self, message: dict[str, Any]) -> None:
        """Count a message."""
        if message["type"] == "event":
            self.received.append(message["message"]["payload"])
        elif message["type"] == "error":
            assert message["error"]["code"] in ("RELAY_GAP", "SLOW_CONSUMER"), message
            self._lost += message.get("dropped", 0)
            self._at_most += message.get("at_most", 0)
        else:
            self._notices.append(message["msg"])

    def account(self) -> Account:
        """Return what has been counted."""
        return Account(self.received, self._lost, self._at_most, self._notices)


def read_until(client: Client, last: Any) -> Account:
    """Read what a subscriber is sent until the event with this payload."""
    reading = _Reading()
    while last not in reading.received[-1:]:
        reading.add(client.receive())
    return reading.account()


def read_until_explained(client: Client, published: int) -> Account:
    """Read what a subscriber is sent until it has received, or lost, so many messages."""
    reading = _Reading()
    while not (account := reading.account()).explains(published):
        reading.add(client.receive())
    return account


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
