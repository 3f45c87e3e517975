"""Publications over HTTP: a few persistent connections, each with one request in progress."""

import json
import select
import socket
import time

from bench.load.dialects import MESSAGE_ID, TOPIC, Dialect
from bench.load.fanout import TEXT
from bench.load.meter import Meter
from bench.load.websocket import open_connections, read_frame


def run(
    port: int, dialect: Dialect, seconds: float, connections: int, pid: int | None = None
) -> dict[str, float]:
    """Publish to one subscriber for some seconds.

    Raises:
        ConnectionError: A request is refused, or its connection is closed.
    """
    (subscriber,) = open_connections(port, [(*dialect.opening, dialect.subscribe(TOPIC))])
    body = json.dumps({"id": MESSAGE_ID, "payload": {"text": TEXT}}, separators=(",", ":"))
    request = (
        f"POST /topics/{TOPIC}/messages HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()
    clients = {}
    for _ in range(connections):
        sock = socket.create_connection(("127.0.0.1", port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        clients[sock.fileno()] = sock
        response_size = first_exchange(sock, request)
        read_frame(subscriber)
    return _keep_busy(clients, subscriber, request, response_size, seconds, pid)


def first_exchange(sock: socket.socket, request: bytes) -> int:
    """Make a request once; return the size of the response, which all later ones have as well.

    Raises:
        ConnectionError: The request is refused, or its connection is closed.
    """
    sock.sendall(request)
    response, size = b"", 0
    while not size or len(response) < size:
        piece = sock.recv(1 << 16)
        response += piece
        if not piece or not response.startswith(b"HTTP/1.1 200"[: len(response)]):
            raise ConnectionError(f"a request was refused: {response[:200]!r}")
        head, found, _ = response.partition(b"\r\n\r\n")
        if found:
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
            size = len(head) + len(found) + int(length)
    return size


def _keep_busy(
    clients: dict[int, socket.socket],
    subscriber: socket.socket,
    request: bytes,
    response_size: int,
    seconds: float,
    pid: int | None,
) -> dict[str, float]:
    poll = select.epoll()
    for fd in (*clients, subscriber.fileno()):
        poll.register(fd, select.EPOLLIN)
    waiting = dict.fromkeys(clients, response_size)
    buffer = bytearray(1 << 16)
    answered = 0
    meter = Meter(pid)
    for sock in clients.values():
        sock.sendall(request)
    while time.perf_counter() < meter.begin + seconds:
        for fd, _ in poll.poll(0.1):
            count = (clients.get(fd) or subscriber).recv_into(buffer)
            if not count:
                raise ConnectionError("the server closed a connection")
            if fd in waiting:
                waiting[fd] -= count
                if not waiting[fd]:
                    answered += 1
                    waiting[fd] = response_size
                    clients[fd].sendall(request)
    elapsed, share = meter.read()
    return {
        "publications_per_second": answered / elapsed,
        "generator_share": share,
        **meter.server_cost(answered),
    }
