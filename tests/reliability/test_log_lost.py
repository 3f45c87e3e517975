"""A server whose log cannot be written."""

import socket

import pytest

from tests.live.client import UUID
from tests.live.conftest import StartServer
from tests.live.server import DAPHNE
from tests.reliability.conftest import Record, scaled

FULL_DISK = 'log = os.open("/dev/full", os.O_WRONLY)'
NO_READER = "reader, log = os.pipe(); os.close(reader)"

START = """
import os, sys
{open_log}
os.dup2(log, 1); os.dup2(log, 2)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@pytest.mark.parametrize("log_format", ["console", "json"])
@pytest.mark.parametrize("open_log", [FULL_DISK, NO_READER], ids=["disk full", "pipe closed"])
def test_log_is_lost(
    start_server: StartServer, record: Record, open_log: str, log_format: str
) -> None:
    """The server serves on, and stops with status 0."""
    command = [word if word != "0" else "FREE_PORT" for word in DAPHNE]
    server = start_server(
        "-c", START.format(open_log=open_log), *command, CHATROOM_LOG_FORMAT=log_format
    )
    server.create_topic("t")
    subscriber, publisher = server.subscriber("t"), server.connect()
    rounds = scaled(10, most=100)
    for number in range(rounds):
        # Each of these is logged: a refused origin, garbage instead of HTTP, a request, a client.
        status, _ = server.request("GET", "/nowhere")
        assert status == 404
        with socket.create_connection(("127.0.0.1", server.port)) as garbage:
            garbage.sendall(b"garbage\r\n\r\n")
            while garbage.recv(4096):
                pass
        passing = server.connect()
        passing.ask(type="shout")
        passing.reset()
        assert publisher.publish("t", number)["type"] == "ack"
        assert subscriber.receive()["message"] == {"id": UUID, "payload": number}
    assert server.log() == ""
    record(f"{rounds:,} rounds of requests, errors and messages", "the log; no message")
