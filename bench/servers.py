"""The server processes of peers: started on a free port, pinned to a core, and stopped."""

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from bench.load.processes import cpu_seconds
from bench.peers import Peer

START_TIMEOUT = 20.0
STOP_TIMEOUT = 3.0


class ServerFailed(Exception):
    """A server does not start; the message is the last line of its output."""


class Server:
    """A running server.

    Args:
        start: Starts its process.
        port: Where it listens.
        log: The file descriptor of its output.
    """

    def __init__(self, start: Callable[[], subprocess.Popen[bytes]], port: int, log: int) -> None:
        self._start = start
        self._process = start()
        self._log = log
        self.port = port

    @property
    def pid(self) -> int:
        """Its process, or the first of them."""
        return self._process.pid

    def restart_if_ended(self) -> None:
        """Start it again if its process has ended, as a supervisor does."""
        if not self.alive():
            self._kill_group()
            self._process = self._start()

    def alive(self) -> bool:
        """Return whether the process is running."""
        return self._process.poll() is None

    def last_words(self) -> str:
        """Return the last line of its output."""
        size = os.fstat(self._log).st_size
        output = os.pread(self._log, 4096, max(0, size - 4096)).decode(errors="replace").strip()
        return (output.splitlines() or ["no output"])[-1]

    def wait_until_idle(self, timeout: float) -> bool:
        """Wait until it has finished with its last clients; return whether it has."""
        deadline = time.monotonic() + timeout
        before = cpu_seconds(self.pid)
        while self.alive() and time.monotonic() < deadline:
            time.sleep(0.1)
            now = cpu_seconds(self.pid)
            if now - before <= 0.01:
                return True
            before = now
        return False

    def kill(self) -> None:
        """Terminate it, and kill whatever is left of it and its children."""
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_TIMEOUT)
        self._kill_group()
        self._process.wait()

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def running(peer: Peer, server_core: int, other_core: int) -> Iterator[Server]:
    """Start a peer's server on one core, and any process that it needs on the other.

    Raises:
        ServerFailed: It does not start.
    """
    port = free_port()
    command = [word.format(port=port) for word in peer.command]
    with tempfile.TemporaryFile() as log, peer.companion(other_core) as environment:

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                command,
                cwd=peer.folder,
                env={**os.environ, **peer.environment, **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=lambda: os.sched_setaffinity(0, {server_core}),
            )

        server = Server(start, port, log.fileno())
        try:
            _wait_until_it_listens(server)
            yield server
        finally:
            server.kill()


def _wait_until_it_listens(server: Server) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        try:
            socket.create_connection(("127.0.0.1", server.port), 1).close()
        except OSError:
            if not server.alive() or time.monotonic() > deadline:
                raise ServerFailed(server.last_words()) from None
            time.sleep(0.02)
        else:
            return
