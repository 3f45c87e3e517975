"""A server whose clock is set while it runs (by libfaketime, where it is installed)."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from websockets.frames import Opcode

from tests.auth.support import SECRET, token
from tests.live.client import Client
from tests.live.conftest import StartServer
from tests.live.server import Server
from tests.reliability.conftest import Record, scaled

LIBRARY = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")

HOUR = timedelta(hours=1)
JUMPS = [-HOUR, timedelta(0), HOUR, -24 * HOUR, 30 * 24 * HOUR]

pytestmark = pytest.mark.skipif(
    not LIBRARY.exists(), reason="libfaketime is missing (Debian: apt-get install faketime)"
)


class Clock:
    """The clock of a server process; monotonic clocks stay as they are."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.shift = timedelta(0)
        self.set(self.shift)
        self.environment = {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, shift: timedelta) -> None:
        """Set the clock to the real time plus this."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{shift.total_seconds():+.0f}\n")
        new.replace(self._file)
        self.shift = shift

    def is_shown_by(self, timestamp: str) -> bool:
        """Return whether the timestamp of a message is about the time of this clock."""
        shown = datetime.fromisoformat(timestamp) - self.shift
        return abs(shown - datetime.now(UTC)) < timedelta(minutes=1)


def exhaust(client: Client) -> None:
    """Send messages until they are too many."""
    while client.ask(type="ping")["type"] == "pong":
        pass


def wait_for_pings(client: Client, number: int) -> None:
    """Wait for pings of the server, and answer them."""
    for _ in range(number):
        frame = client.receive_frame()
        assert frame.opcode is Opcode.PING, frame
        client.send_frame(Opcode.PONG, frame.data)


def listen(server: Server, credentials: str) -> Client:
    """Return a subscriber with a token that answers no ping by itself."""
    client = server.connect(headers={"Authorization": f"Bearer {credentials}"})
    assert client.ask(type="subscribe", topic="t")["type"] == "ack"
    return client


def test_clock_is_set(start_server: StartServer, record: Record, tmp_path: Path) -> None:
    """Timestamps follow the clock; connections, tokens, limits and timeouts do not notice."""
    clock = Clock(tmp_path / "clock")
    server = start_server(
        **clock.environment,
        CHATROOM_AUTH="optional",
        CHATROOM_JWT_SECRET=SECRET,
        CHATROOM_API_KEYS="key",
        CHATROOM_AUTO_CREATE_TOPICS="true",
        CHATROOM_PING_INTERVAL="0.3",
        CHATROOM_RATE_LIMIT="5",
        CHATROOM_RATE_BURST="20",
    )
    credentials = token(ttl=600, subscribe=["t"], publish=["t"])
    subscribers = [listen(server, credentials) for _ in range(scaled(2, most=50))]
    publisher = server.connect(headers={"Authorization": f"Bearer {credentials}"})
    greedy = server.connect(headers={"Authorization": f"Bearer {credentials}"})
    for shift in JUMPS:
        exhaust(greedy)
        clock.set(shift)
        for subscriber in subscribers:
            wait_for_pings(subscriber, 3)
        # Its rate recovers within 0.6 seconds, which the pings took at least.
        assert greedy.ask(type="ping")["type"] == "pong"
        ack = publisher.publish("t", shift.days)
        assert ack["type"] == "ack"
        assert clock.is_shown_by(ack["ts"])
        for subscriber in subscribers:
            event = subscriber.receive()
            assert event["message"]["payload"] == shift.days
            assert clock.is_shown_by(event["ts"])
    record(
        f"the clock was set {len(JUMPS)} times, by up to 30 days, with {len(subscribers)} "
        "subscribers",
        "no connection, no message",
    )
