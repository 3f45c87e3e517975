"""Raw HTTP connections, for requests that may be invalid."""

import io
import json
import select
import socket
from http.client import HTTPResponse
from typing import Any

from tests.live.waiting import PATIENCE


def get(path: str, *headers: str) -> bytes:
    """Return a GET request for a path."""
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


def post(path: str, *headers: str) -> bytes:
    """Return the head of a POST request with a JSON body."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
    return "\r\n".join([*lines, *headers, "", ""]).encode()


class _KeptReader(io.BufferedReader):
    """A reader that stays open after a response, because it also holds the next one."""

    def close(self) -> None:
        """Stay open."""


class RawConnection(socket.socket):
    """A TCP connection to a server, with a timeout."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.settimeout(PATIENCE)
        try:
            self.connect(("127.0.0.1", port))
        except OSError:
            self.close()
            raise
        self._reader = _KeptReader(socket.SocketIO(self, "r"))

    def makefile(self, *args: Any, **kwargs: Any) -> Any:
        """Return the reader that all responses share."""
        return self._reader

    def read_response(self) -> tuple[HTTPResponse, bytes]:
        """Read the next response and its body."""
        response = HTTPResponse(self)
        response.begin()
        return response, response.read()

    def read_error(self) -> tuple[int, str, str]:
        """Read a response that must be a JSON error and the last one on its connection.

        Returns:
            The status, the error's code and its message.
        """
        response, body = self.read_response()
        assert response.headers["Content-Type"] == "application/json"
        assert response.headers["Connection"] == "close"
        assert self._reader.read() == b""
        error: dict[str, str] = json.loads(body)["error"]
        return response.status, error["code"], error["message"]

    def read_to_the_end(self) -> bytes:
        """Return everything received until the server closes the connection."""
        data = b""
        try:
            while piece := self.recv(1 << 20):
                data += piece
        except ConnectionResetError:
            pass
        return data

    def wait_for_the_end(self) -> None:
        """Wait, without reading, until the server closes the connection.

        Raises:
            TimeoutError: The server kept the connection open.
        """
        poll = select.poll()
        poll.register(self, select.POLLRDHUP)
        if not poll.poll(PATIENCE * 1000):
            raise TimeoutError
