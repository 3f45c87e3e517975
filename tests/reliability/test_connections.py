"""Thousands of clients that connect and vanish, and hundreds that are slow at everything."""

import random
import socket
import struct
import time
from collections.abc import Callable

from tests.live.client import UUID, Client
from tests.live.conftest import StartServer
from tests.live.server import Server
from tests.live.waiting import PATIENCE, wait_until
from tests.reliability.conftest import Record, scaled
from tests.reliability.traces import LeavesNoTrace

HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
BODY = b'{"payload":"' + b"x" * 4000 + b'"}'
UPLOAD = (
    b"POST /topics/t/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
)


def connect(server: Server) -> socket.socket:
    """Open a connection without sending anything."""
    client = socket.create_connection(("127.0.0.1", server.port))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return client


# --- Connect and reset ---


def connects(server: Server) -> socket.socket:
    """Return a connection on which nothing was sent."""
    return connect(server)


def stops_in_the_handshake(server: Server) -> socket.socket:
    """Return a connection with half a handshake."""
    client = connect(server)
    client.sendall(HANDSHAKE[:90])
    return client


def does_not_wait_for_the_answer(server: Server) -> socket.socket:
    """Return a connection whose handshake may not have been read yet."""
    client = connect(server)
    client.sendall(HANDSHAKE)
    return client


def stops_in_the_body(server: Server) -> socket.socket:
    """Return a connection with half a request."""
    client = connect(server)
    client.sendall(UPLOAD[:-100])
    return client


def subscribes(server: Server) -> Client:
    """Return a subscriber."""
    client = Client(server.port)
    client.ask(type="subscribe", topic="t")
    return client


WAYS: list[Callable[[Server], socket.socket | Client]] = [
    connects,
    stops_in_the_handshake,
    does_not_wait_for_the_answer,
    stops_in_the_body,
    subscribes,
]


def reset(client: socket.socket | Client) -> None:
    """Disconnect with a TCP reset."""
    if isinstance(client, Client):
        client.reset()
    else:
        client.close()


def test_connect_and_reset(
    start_server: StartServer, chance: random.Random, record: Record
) -> None:
    """Clients that are reset at any point leave no descriptor, no memory and no subscription."""
    server = start_server()
    server.create_topic("t")
    count = scaled(250, most=10_000)

    def come_and_go(number: int) -> None:
        open_clients: list[socket.socket | Client] = []
        for _ in range(number):
            open_clients.append(chance.choice(WAYS)(server))
            if len(open_clients) > 100:
                reset(open_clients.pop(chance.randrange(100)))
        for client in open_clients:
            reset(client)

    come_and_go(200)  # fills the caches
    with LeavesNoTrace(server) as trace:
        come_and_go(count)
    assert server.request("GET", "/stats")[1]["topics"]["t"]["subscribers"] == 0
    record(
        f"{count:,} connections that were reset",
        f"no descriptor; memory grew by {trace.growth / 2**20:.1f} MiB",
    )


# --- Slow clients ---


class Trickle:
    """A client that sends its request a byte at a time, and never reaches the end."""

    def __init__(self, server: Server, request: bytes) -> None:
        self._socket = connect(server)
        self._socket.sendall(request[:40])
        self._socket.setblocking(False)
        self._rest = iter(request[40:-1])

    def is_closed(self) -> bool:
        """Send the next byte; return whether the server has given up on this client."""
        try:
            self._socket.send(bytes([next(self._rest, 0)]))
            while self._socket.recv(1 << 16):
                pass
        except BlockingIOError:
            return False
        except ConnectionError:
            pass
        self._socket.close()
        return True


def test_slow_clients(start_server: StartServer, record: Record) -> None:
    """Slow handshakes, bodies and readers are closed in time, and other clients lose nothing."""
    each = scaled(30, most=600)
    server = start_server(
        CHATROOM_REQUEST_TIMEOUT="2", CHATROOM_WRITE_TIMEOUT="2", CHATROOM_QUEUE_SIZE="64"
    )
    server.create_topic("t")
    server.create_topic("flood")
    with LeavesNoTrace(server):
        readers = [server.connect(receive_buffer=4096) for _ in range(each // 3)]
        for reader in readers:
            reader.ask(type="subscribe", topic="flood")
        slow = [Trickle(server, HANDSHAKE) for _ in range(each)]
        slow += [Trickle(server, UPLOAD) for _ in range(each)]
        subscriber, publisher = server.subscriber("t"), server.connect()
        payload = "x" * 30_000
        number, deadline = 0, time.monotonic() + PATIENCE
        while slow or server.request("GET", "/stats")[1]["topics"]["flood"]["subscribers"]:
            assert time.monotonic() < deadline, f"{len(slow)} slow requests are not closed"
            slow = [client for client in slow if not client.is_closed()]
            publisher.publish("flood", payload)
            assert publisher.publish("t", number)["type"] == "ack"
            assert subscriber.receive()["message"] == {"id": UUID, "payload": number}
            number += 1
        for reader in readers:
            # The close frame is lost (1006) if the client does not read again soon after it.
            assert reader.receive_close() in [(3008, "slow"), (1006, "")]
        server.reset_clients()
    counters = server.request("GET", "/stats")[1]["topics"]
    assert counters["t"]["delivered"] == counters["t"]["messages"] == number
    assert counters["t"]["dropped"] == 0
    wait_until(lambda: server.request("GET", "/health")[1]["clients"] == 0)
    record(
        f"{each:,} slow handshakes, {each:,} slow bodies and {len(readers):,} clients that do not "
        f"read, during {number:,} messages of others",
        "no message of the others; the slow clients were closed",
    )
