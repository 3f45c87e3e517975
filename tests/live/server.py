"""A server process under test, started as its users start it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.live.client import Client
from tests.live.event_stream import EventStream
from tests.live.template import Forked, template
from tests.live.waiting import PATIENCE, wait_until

PROJECT = Path(__file__).parents[2]

DAPHNE = ("-m", "daphne", "-p", "0", "chatroom_project.asgi:application")
UVICORN = (*("-m", "uvicorn", "--port", "0"), "chatroom_project.asgi:application")
RUNSERVER = ("manage.py", "runserver", "--noreload", "FREE_PORT")

ADDRESS = re.compile(r"Listening on TCP address .*:(\d+)|running on http://[\d.]+:(\d+)")


def _free_port() -> int:
    """Return a port for a server that cannot choose one itself."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def stop_ignoring_signals() -> None:
    """Undo what a server would inherit from a test run in a shell's background or by ``nohup``."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class Server:
    """One server process on a free port.

    Args:
        command: The arguments of the interpreter; Daphne's by default.
        directory: The working directory.
        fork: Whether the process may be a fork of the `Template`, which starts much faster.
        environment: Additional environment variables.
    """

    def __init__(
        self,
        *command: str,
        directory: Path = PROJECT,
        fork: bool = True,
        **environment: str,
    ) -> None:
        port = _free_port() if "FREE_PORT" in " ".join(command) else None
        command = tuple(word.replace("FREE_PORT", str(port)) for word in command)
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115
        command = command or DAPHNE
        complete = {**os.environ, **environment}
        self._process: subprocess.Popen[bytes] | Forked
        if fork and directory == PROJECT:
            self._process = template().start(command, complete, self._log.fileno())
        else:
            self._process = subprocess.Popen(
                [sys.executable, "-u", *command],
                cwd=directory,
                env=complete,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                preexec_fn=stop_ignoring_signals,
            )
        self._clients: list[Client] = []
        self._streams: list[EventStream] = []
        self.port = port or 0
        wait_until(self._serves)

    def _serves(self) -> bool:
        """Return whether the event loop runs: the kernel accepts connections before it does.

        Only then has the server installed its signal handlers and logged how it started.
        """
        if self._process.poll() is not None:
            raise RuntimeError(f"the server does not start:\n{self.log()}")
        if not self.port:
            found = ADDRESS.search(self.log())
            if found is None:
                return False
            self.port = int(next(filter(None, found.groups())))
        try:
            with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as probe:
                probe.shutdown(socket.SHUT_WR)
                probe.recv(1)  # returns when the server has closed its side too
        except ConnectionRefusedError:
            return False
        return True

    def log(self) -> str:
        """Return what the server has printed so far."""
        return os.pread(self._log.fileno(), 1 << 24, 0).decode()

    def connect(self, **options: Any) -> Client:
        """Open a WebSocket."""
        client = Client(self.port, **options)
        self._clients.append(client)
        return client

    def stream(self, *topics: str, **options: Any) -> EventStream:
        """Open a stream of server-sent events, or have it refused."""
        stream = EventStream(self.port, *topics, **options)
        self._streams.append(stream)
        return stream

    def subscriber(self, topic: str, **options: Any) -> Client:
        """Open a WebSocket and subscribe it to a topic."""
        client = self.connect()
        answer = client.ask(type="subscribe", topic=topic, **options)
        assert answer["type"] == "ack", answer
        return client

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str | None = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Make a REST request; return the status and the decoded body, which must be JSON."""
        status, _, answer = self.raw_request(
            method, path, body, content_type=content_type, headers=headers
        )
        return status, answer

    def raw_request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str | None = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, dict[str, str], Any]:
        """Make a REST request; return the headers as well."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, method=method)
        if body is not None and content_type:
            request.add_header("Content-Type", content_type)
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        try:
            response = urllib.request.urlopen(request, timeout=PATIENCE)
        except urllib.error.HTTPError as error:
            response = error
        with response:
            content = response.read()
            assert response.headers["Content-Type"].startswith("application/json"), content
            return response.status, dict(response.headers), json.loads(content or "null")

    def get_text(self, path: str, headers: Mapping[str, str] | None = None) -> str:
        """Return the text that a browser gets for this path."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", headers=dict(headers or {})
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            text: str = response.read().decode()
            return text

    def create_topic(self, name: str, **options: Any) -> str:
        """Create a topic over REST."""
        status, answer = self.request("POST", "/topics", {"name": name, **options})
        assert status == 201, answer
        return name

    def memory(self) -> int:
        """Return the resident memory of the process in bytes."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found
        return int(found[1]) * 1024

    def descriptors(self) -> int:
        """Return the number of file descriptors that the process has open."""
        return len(list(Path(f"/proc/{self._process.pid}/fd").iterdir()))

    def stop(self, with_signal: int = signal.SIGTERM) -> int:
        """Stop the server; return its exit status."""
        self.send_signal(with_signal)
        return self.wait()

    def wait(self) -> int:
        """Wait until the server, which stops, has ended; return its exit status."""
        return self._process.wait(PATIENCE)

    def send_signal(self, number: int) -> None:
        """Send the process a signal without waiting."""
        self._process.send_signal(number)

    def clear(self) -> None:
        """Close all clients and delete all topics."""
        self.reset_clients()
        while topics := self.request("GET", "/topics")[1]["topics"]:
            for topic in topics:
                status, answer = self.request("DELETE", f"/topics/{quote(topic['name'])}")
                assert status in (200, 404), answer

    def reset_clients(self) -> None:
        """Disconnect all clients, those with a WebSocket by a TCP reset."""
        while self._clients:
            self._clients.pop().reset()
        while self._streams:
            self._streams.pop().close()

    def close(self) -> None:
        """Kill the process and close everything."""
        self.reset_clients()
        self._process.kill()
        self._process.wait()
        self._log.close()

    def complaints(self) -> list[str]:
        """Return the log lines that report a problem."""
        return [
            line
            for line in self.log().splitlines()
            if re.search(
                r"Traceback|WARNING|ERROR|CRITICAL|Exception|never awaited|\"level\":\"[wec]", line
            )
        ]


@contextmanager
def running_server(*command: str, fork: bool = True, **environment: str) -> Iterator[Server]:
    """Run a server that has to end with status 0 and without a complaint in its log."""
    server = Server(*command, fork=fork, **environment)
    try:
        yield server
        server.reset_clients()
        assert server.stop() == 0
        assert server.complaints() == []
    finally:
        server.close()
