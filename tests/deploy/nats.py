"""NATS servers with the configurations of `deploy/`."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.live.waiting import PATIENCE, accepts_connections, wait_until

PROGRAM = Path(sys.executable).with_name("nats-server")


def free_ports(number: int) -> list[int]:
    """Return ports that nothing listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


@contextmanager
def running_nats(path: Path, port: int, **environment: str) -> Iterator[None]:
    """Run a server with a configuration file until the end of the block."""
    log = path.with_suffix(".log")
    command = [PROGRAM, "--config", path, "--addr", "127.0.0.1", "--port", str(port), "--log", log]
    process = subprocess.Popen(command, env={**os.environ, **environment})

    def listens() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"NATS does not start:\n{log.read_text()}")
        return accepts_connections(port)

    try:
        wait_until(listens)
        yield
    finally:
        process.kill()
        process.wait()


def ask(port: int, *lines: str, **options: Any) -> bytes:
    """Return the greeting of a server, its verdict on the credentials, and its answers to the rest.

    Nothing more is sent to a server that has refused the credentials: it closes the connection at
    once, and bytes that it has not read by then would reset it, with the verdict still unread.

    Args:
        port: The port for clients, on this machine.
        lines: What to send after ``CONNECT``, in NATS's own protocol.
        options: What to send with ``CONNECT``, such as ``user`` and ``pass``.
    """
    with (
        socket.create_connection(("127.0.0.1", port), PATIENCE) as sock,
        sock.makefile("rb") as answers,
    ):
        received = answers.readline()
        # NATS answers to this only if asked to be verbose.
        connect = json.dumps({"verbose": True, "pedantic": False, **options})
        sock.sendall(f"CONNECT {connect}\r\n".encode())
        verdict = answers.readline()
        received += verdict
        if verdict != b"+OK\r\n":
            return received
        sock.sendall("".join(f"{line}\r\n" for line in (*lines, "PING")).encode())
        while line := answers.readline():
            received += line
            if line == b"PONG\r\n":
                break
        return received
