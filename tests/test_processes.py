"""Processes that serve the chat room on one port detect each other, and only each other."""

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pubsub import processes
from pubsub.processes import Neighbours

PROJECT = Path(__file__).parents[1]

# Listens on the given address and executes the commands `claim` and `close` from its input.
OTHER = """
import socket, sys
from pubsub.processes import Neighbours
address, port = sys.argv[1:]
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
listener.bind((address, int(port)))
listener.listen()
neighbours = Neighbours()
print("ready", flush=True)
for command in sys.stdin:
    if command == "claim\\n":
        neighbours.look({"server": (address, int(port))})
    else:
        listener.close()
    print(neighbours.message, flush=True)
"""


class Other:
    """Another process that listens on a port."""

    def __init__(self, address: str, port: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", OTHER, address, str(port)],
            cwd=PROJECT,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._read() == "ready"

    def _read(self) -> str:
        return self._process.stdout.readline().rstrip("\n")

    def ask(self, command: str) -> str:
        """Execute a command; return the message that the process has afterwards."""
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        return self._read()

    def close(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def port() -> Iterator[int]:
    """Listen on a port that other processes may share."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def look(port: int) -> str:
    """Look for neighbours and return the message."""
    with closing(Neighbours()) as neighbours:
        neighbours.look({"server": ("127.0.0.1", port)})
        return neighbours.message


def test_alone(port: int) -> None:
    """A process without neighbours has nothing to report, however often it looks."""
    assert look(port) == look(port) == ""


def test_two_processes_on_one_port(port: int, caplog: pytest.LogCaptureFixture) -> None:
    """Each process logs the number of processes, the port and the remedy."""
    caplog.set_level(logging.WARNING)
    with closing(Neighbours()) as neighbours, closing(Other("127.0.0.1", port)) as other:
        neighbours.look({"server": ("127.0.0.1", port)})
        assert neighbours.message == ""
        message = other.ask("claim")
        assert message.startswith(f"2 processes serve the chat room on port {port}, ")
        assert message.endswith("Run one process (for example --workers 1)")
        assert look(port) == message
    assert [record.getMessage() for record in caplog.records] == [message]


def test_processes_that_do_not_serve_the_chat_room(port: int) -> None:
    """A supervisor that holds the port and does not serve the room is not counted."""
    with closing(Other("127.0.0.1", port)):
        assert look(port) == ""


def test_processes_of_one_room(port: int) -> None:
    """With a relay, a process neither looks for others nor can be found by them."""
    with (
        closing(Other("127.0.0.1", port)) as other,
        closing(Neighbours(welcome=True)) as neighbours,
    ):
        other.ask("claim")
        neighbours.look({"server": ("127.0.0.1", port)})
        assert neighbours.message == ""
        assert other.ask("claim") == ""


@pytest.mark.parametrize("chatroom", [{}, {"RELAY": "nats://127.0.0.1"}])
def test_relay_makes_neighbours_welcome(chatroom: dict[str, str], port: int, settings: Any) -> None:
    """Whether there is a relay comes from the settings of the project."""
    settings.CHATROOM = chatroom
    with closing(Other("127.0.0.1", port)) as other:
        other.ask("claim")
        found = processes.neighbours.__wrapped__()
        with closing(found):
            found.look({"server": ("127.0.0.1", port)})
            assert bool(found.message) is not bool(chatroom)


def test_draining(port: int) -> None:
    """An old process that no longer listens is not counted, though it still serves its clients."""
    with closing(Other("127.0.0.1", port)) as other:
        other.ask("claim")
        assert look(port) != ""
        other.ask("close")
        assert look(port) == ""


def test_same_port_of_another_address(port: int) -> None:
    """A room on another address of the port is a different room on purpose."""
    with closing(Other("127.0.0.2", port)) as other:
        other.ask("claim")
        assert look(port) == ""


def test_ended(port: int) -> None:
    """A process that was killed leaves nothing behind."""
    with closing(Other("127.0.0.1", port)) as other:
        other.ask("claim")
    assert look(port) == ""


def test_unix_sockets(tmp_path: Path) -> None:
    """Servers on a Unix socket have no port; a fork that inherits the socket is a neighbour."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()
        code = (
            "from pubsub.processes import Neighbours; neighbours = Neighbours();"
            "neighbours.look({'server': None}); print(neighbours.message, flush=True); input()"
        )
        with subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[listener.fileno()],
        ) as other:
            assert other.stdout.readline() == b"\n"
            with closing(Neighbours()) as neighbours:
                neighbours.look({"server": (str(tmp_path / "socket"), None)})
                assert neighbours.message.startswith("2 processes serve the chat room on one Unix")
            other.stdin.close()


def test_looking_is_limited(port: int) -> None:
    """A process looks for neighbours at most once a second, however often it is asked."""
    now = 5.0
    neighbours = Neighbours(clock=lambda: now)
    with closing(neighbours), closing(Other("127.0.0.1", port)) as other:
        neighbours.look({"server": ("127.0.0.1", port)})
        other.ask("claim")
        neighbours.look({"server": ("127.0.0.1", port)})
        assert neighbours.message == ""
        now = 6.0
        neighbours.look({"server": ("127.0.0.1", port)})
        assert neighbours.message != ""
