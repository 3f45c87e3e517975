"""A server behind a proxy that shows what the proxy sends to it."""

import json
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Upstream(ThreadingHTTPServer):
    """Answers each request with its headers, and ``GET /events`` with a stream.

    Attributes:
        requests: The request lines received so far.
        stream: The pieces that ``GET /events`` sends, each as soon as it is put in; ``None`` ends
            the response.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[str] = []
        self.stream: queue.Queue[bytes | None] = queue.Queue()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self.server_port


class _Handler(BaseHTTPRequestHandler):
    server: Upstream
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.requests.append(self.requestline)
        if self.path == "/events":
            self._stream()
        else:
            self._describe()

    def do_POST(self) -> None:
        self.server.requests.append(self.requestline)
        length = int(self.headers["Content-Length"])
        if len(self.rfile.read(length)) == length:
            self._describe()
        else:
            self.close_connection = True

    def _describe(self) -> None:
        headers = [(name.lower(), value) for name, value in self.headers.items()]
        answer = json.dumps({"headers": headers, "connection": self.client_address[1]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while (piece := self.server.stream.get()) is not None:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def running_upstream() -> Iterator[Upstream]:
    """Serve in a thread until the block ends."""
    with Upstream() as upstream:
        thread = threading.Thread(target=upstream.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield upstream
        finally:
            upstream.shutdown()
            thread.join()
