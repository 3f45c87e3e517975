"""A client for server-sent events on a raw socket, which reads only when a test asks for it."""

import json
import socket
import time
from http.client import HTTPResponse
from typing import Any, NamedTuple
from urllib.parse import quote

from tests.live.raw_http import get
from tests.live.waiting import PATIENCE


class StreamEvent(NamedTuple):
    """One block of a stream: an event, or a comment with the type ``""``."""

    type: str
    text: str
    id: str | None = None

    @property
    def data(self) -> Any:
        """The data of an event, decoded."""
        return json.loads(self.text)


KEEP_ALIVE = StreamEvent("", "keep-alive")
"""The comment that comes every 15 seconds."""


class EventStream:
    """A request for a stream, and its response.

    Args:
        port: The server's port.
        topics: The topics to ask for.
        headers: Headers of the request, in addition to ``Host``.
        receive_buffer: The size of the socket's buffer in bytes; by default the kernel's.
        parameters: More parameters of the query.
    """

    def __init__(
        self,
        port: int,
        *topics: str,
        headers: dict[str, str] | None = None,
        receive_buffer: int | None = None,
        path: str = "/events",
        **parameters: Any,
    ) -> None:
        query = [("topic", topic) for topic in topics] + list(parameters.items())
        target = path + "?" + "&".join(f"{name}={quote(str(value))}" for name, value in query)
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(("127.0.0.1", port))
        lines = [f"{name}: {value}" for name, value in (headers or {}).items()]
        request = get(target, *lines)
        self.socket.sendall(request.replace(b"localhost", b"127.0.0.1:%d" % port, 1))
        self.response = HTTPResponse(self.socket)
        self.response.begin()
        self.status = self.response.status
        self.headers = self.response.headers

    def error(self) -> tuple[int, str]:
        """Return the status of a refused request, and its error code."""
        code: str = json.loads(self.response.read())["error"]["code"]
        return self.status, code

    def receive(self) -> StreamEvent | None:
        """Return the next event, or the last comment; ``None`` at the end of the stream.

        Raises:
            TimeoutError: Nothing but the comments that keep the connection open arrived in time.
        """
        deadline = time.monotonic() + PATIENCE
        while (event := self._receive()) == KEEP_ALIVE:
            if time.monotonic() > deadline:
                raise TimeoutError("nothing but comments arrived in time")
        return event

    def _receive(self) -> StreamEvent | None:
        kind, identifier, data = "", None, []
        while line := self.response.readline().decode():
            assert line.endswith("\n")
            field, _, value = line[:-1].partition(": ")
            if field == "event":
                kind = value
            elif field == "id":
                identifier = value
            elif field in ("data", ""):
                if not line[:-1]:
                    return StreamEvent(kind, "\n".join(data), identifier)
                data.append(value)
            else:
                raise AssertionError(line)
        assert not data
        return None

    def receive_rest(self) -> list[StreamEvent]:
        """Return all events and comments until the end of the stream."""
        events = []
        while (event := self.receive()) is not None:
            events.append(event)
        return events

    def payloads(self, count: int) -> list[Any]:
        """Return the payloads of the next events, which must be messages."""
        events = [self.receive() for _ in range(count)]
        return [event.data["message"]["payload"] for event in events if event is not None]

    def close(self) -> None:
        """Close the connection."""
        self.response.close()
        self.socket.close()
