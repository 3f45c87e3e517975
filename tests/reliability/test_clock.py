"""A server whose clock is set while it runs (by libfaketime, where it is installed)."""

import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.auth.support import SECRET, token
from tests.live.client import Client
from tests.live.conftest import StartServer
from tests.live.server import Server
from tests.live.waiting import PATIENCE
from tests.reliability.conftest import Record, scaled
from tests.reliability.crowd import Crowd

LIBRARY = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")

HOUR = timedelta(hours=1)
JUMPS = [-HOUR, 30 * 24 * HOUR]

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


def slow_request_is_ended(server: Server) -> bool:
    """Send a part of a request; return whether the server ends the connection for it."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as client:
        client.sendall(b"GET /health HTTP/1.1\r\n")
        while client.recv(4096):
            pass
    return True


def test_clock_is_set(start_server: StartServer, record: Record, tmp_path: Path) -> None:
    """Timestamps follow the clock; connections, tokens, limits and timeouts do not notice."""
    clock = Clock(tmp_path / "clock")
    server = start_server(
        **clock.environment,
        fork=False,  # the dynamic linker loads the library
        CHATROOM_AUTH="optional",
        CHATROOM_JWT_SECRET=SECRET,
        CHATROOM_AUTO_CREATE_TOPICS="true",
        CHATROOM_PING_INTERVAL="1",
        CHATROOM_REQUEST_TIMEOUT="0.5",
        CHATROOM_RATE_LIMIT="5",
        CHATROOM_RATE_BURST="20",
    )
    bearer = token(ttl=600, subscribe=["t"], publish=["t"])
    headers = {"Authorization": f"Bearer {bearer}"}
    crowd = Crowd(server.connect(headers=headers) for _ in range(scaled(4, most=50)))
    publisher, greedy = server.connect(headers=headers), server.connect(headers=headers)
    everyone = Crowd([*crowd.frames, publisher, greedy])
    for subscriber in crowd.frames:
        subscriber.send(type="subscribe", topic="t")
    crowd.take_messages(1)
    jumps = JUMPS * scaled(1, most=5)
    for number, shift in enumerate(jumps):
        exhaust(greedy)
        clock.set(shift)
        # In this time the sweep for Daphne's own limits runs, too: every two seconds.
        everyone.wait_for_pings(2)
        # The rate has recovered during the pings.
        assert greedy.ask(type="ping")["type"] == "pong"
        assert slow_request_is_ended(server)
        ack = publisher.publish("t", number)
        assert ack["type"] == "ack"
        for [event] in crowd.take_messages(1):
            assert event["message"]["payload"] == number
            assert clock.is_shown_by(event["ts"])
    record(
        f"the clock was set {len(jumps)} times, by up to 30 days, with {len(crowd.frames)} "
        "subscribers",
        "no connection, no message",
    )
