"""A server process that is stopped (SIGSTOP), as a debugger, a snapshot or a full machine does."""

import signal
import time

from tests.live.client import UUID
from tests.live.conftest import StartServer
from tests.reliability.conftest import FACTOR, Record, scaled
from tests.reliability.crowd import Crowd

LONG = FACTOR > 1
SECONDS = 40 if LONG else 3
PING_INTERVAL = "20" if LONG else "1"


def test_stopped_process(start_server: StartServer, record: Record) -> None:
    """What is sent meanwhile waits in the sockets; afterwards nobody has lost anything.

    The stop is longer than the interval of the pings and the time for their answers together, so a
    server that looked at the clock before it read the answers would close every connection.
    """
    server = start_server(CHATROOM_PING_INTERVAL=PING_INTERVAL)
    server.create_topic("t")
    crowd = Crowd(server.connect() for _ in range(scaled(20, most=500)))
    for subscriber in crowd.frames:
        subscriber.send(type="subscribe", topic="t")
    crowd.take_messages(1)
    publisher = server.connect()
    everyone = Crowd([*crowd.frames, publisher])
    everyone.wait_for_pings(1)

    server.send_signal(signal.SIGSTOP)
    try:
        messages = scaled(50, most=200)
        publisher.send_all(
            [
                {"type": "publish", "topic": "t", "message": {"id": UUID, "payload": number}}
                for number in range(messages)
            ]
        )
        time.sleep(SECONDS)
    finally:
        server.send_signal(signal.SIGCONT)

    expected = [("event", number) for number in range(messages)]
    for received in crowd.take_messages(messages):
        assert [(each["type"], each["message"]["payload"]) for each in received] == expected
    for _ in range(messages):
        assert publisher.receive()["type"] == "ack"
    # Nobody is closed afterwards, either.
    everyone.wait_for_pings(2)
    assert server.connect().publish("t")["type"] == "ack"
    assert crowd.take_messages(1)
    counters = server.request("GET", "/stats")[1]["topics"]["t"]
    assert counters["delivered"] == (messages + 1) * len(crowd.frames)
    record(
        f"SIGSTOP for {SECONDS} s with {len(crowd.frames):,} clients and {messages:,} messages "
        "in the sockets",
        "no connection, no message",
    )
