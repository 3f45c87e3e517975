"""The server processes of peers: started on a free port, pinned to a core, and stopped."""

import http.client
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress

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
        self.others: Sequence[Server] = ()
        """The other processes of the same server."""
        self.broker_pid: int | None = None
        """What carries messages between them, or whatever else the server needs."""

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
        before = self._cpu_seconds()
        while self.alive() and time.monotonic() < deadline:
            time.sleep(0.1)
            now = self._cpu_seconds()
            if now - before <= 0.01:
                return True
            before = now
        return False

    def _cpu_seconds(self) -> float:
        return sum(cpu_seconds(server.pid) for server in (self, *self.others))

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

    If the server has several processes, all share one core, with what carries messages between
    them: only figures of processor time can be compared with those of a single process.

    Raises:
        ServerFailed: It does not start.
    """
    companion_core = other_core if peer.processes == 1 else server_core
    with (
        tempfile.TemporaryFile() as log,
        peer.companion(companion_core) as companion,
        ExitStack() as stack,
    ):
        environment = {**peer.environment, **companion.environment}
        servers = []
        for _ in range(peer.processes):
            servers.append(_start(peer, environment, server_core, log.fileno()))
            stack.callback(servers[-1].kill)
        for server in servers:
            _wait_until_ready(server, peer.readiness)
        first, *first.others = servers
        first.broker_pid = companion.pid
        yield first


def _start(peer: Peer, environment: Mapping[str, str], core: int, log: int) -> Server:
    port = free_port()
    command = [word.format(port=port) for word in peer.command]

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            cwd=peer.folder,
            env={**os.environ, **environment},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )

    return Server(start, port, log)


def _wait_until_ready(server: Server, path: str) -> None:
    """Wait until a server listens and, if a path is given, answers it with 200."""
    deadline = time.monotonic() + START_TIMEOUT
    while not _answers(server.port, path):
        if not server.alive() or time.monotonic() > deadline:
            raise ServerFailed(server.last_words())
        time.sleep(0.02)


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.connect()
        if not path:
            return True
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
