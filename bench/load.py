"""The load generator, a process of its own: one publisher, many subscribers, a window.

It counts bytes. Every event of a run has the same size, so bytes are deliveries, and counting
them costs so little that the generator is not what is measured. One JSON object goes to standard
output: deliveries a second, and the share of a processor that the generator itself used.
"""

import argparse
import base64
import json
import os
import select
import socket
import time

TOPIC = "bench"
MESSAGE_ID = "550e8400-e29b-41d4-a716-446655440000"
PAYLOAD = {"text": "x" * 80}


def connect(port: int) -> socket.socket:
    """Open a WebSocket to the server on this port."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    key = base64.b64encode(os.urandom(16)).decode()
    sock.sendall(
        f"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    response = b""
    while not response.endswith(b"\r\n\r\n"):
        response += sock.recv(4096)
    if b" 101 " not in response:
        raise ConnectionError(response.decode())
    return sock


def client_frame(message: object) -> bytes:
    """Return a masked text frame (RFC 6455 §5.3); the mask is zero, which is allowed and cheap."""
    payload = json.dumps(message, separators=(",", ":")).encode()
    length = len(payload)
    header = (
        bytes((0x81, 0x80 | length)) if length < 126 else b"\x81\xfe" + length.to_bytes(2, "big")
    )
    return header + b"\0\0\0\0" + payload


def subscribe(port: int) -> socket.socket:
    """Open a connection that is subscribed, and has read the acknowledgement."""
    sock = connect(port)
    sock.sendall(client_frame({"type": "subscribe", "topic": TOPIC}))
    if b'"ack"' not in sock.recv(4096):
        raise ConnectionError("not subscribed")
    return sock


class Load:
    """Keeps ``window`` publications in flight to all subscribers."""

    def __init__(self, port: int, subscribers: int, window: int) -> None:
        self.window = window
        self.publication = client_frame(
            {
                "type": "publish",
                "topic": TOPIC,
                "message": {"id": MESSAGE_ID, "payload": PAYLOAD},
            }
        )
        self.subscribers = [subscribe(port) for _ in range(subscribers)]
        self.publisher = connect(port)
        self.event_size = self._measure_event()
        self.sockets = {sock.fileno(): sock for sock in (*self.subscribers, self.publisher)}
        self.poll = select.epoll()
        for fd in self.sockets:
            self.poll.register(fd, select.EPOLLIN)

    def _measure_event(self) -> int:
        self.publisher.sendall(self.publication)
        sizes = {len(sock.recv(65536)) for sock in self.subscribers}
        if len(sizes) != 1:
            raise ValueError(f"events differ in size: {sizes}")
        return sizes.pop()

    def run(self, seconds: float) -> dict[str, float]:
        """Publish for so many seconds, and wait for the last delivery."""
        buffer = bytearray(1 << 18)
        publisher_fd = self.publisher.fileno()
        size_of_all = self.event_size * len(self.subscribers)
        sent = received = 0
        cpu = time.process_time()
        begin = now = time.perf_counter()
        while (running := now < begin + seconds) or received < sent * size_of_all:
            room = self.window - (sent - received // size_of_all) if running else 0
            if room > 0:
                self.publisher.sendall(self.publication * room)
                sent += room
            for fd, _ in self.poll.poll(5):
                count = self.sockets[fd].recv_into(buffer)
                if fd != publisher_fd:
                    received += count
            now = time.perf_counter()
            if now > begin + 2 * seconds + 5:
                raise TimeoutError("deliveries are missing")
        elapsed = now - begin
        return {
            "deliveries_per_second": received / self.event_size / elapsed,
            "event_bytes": self.event_size,
            "generator_cpu_share": (time.process_time() - cpu) / elapsed,
        }


def main() -> None:
    """Run the load of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--subscribers", type=int, default=100)
    parser.add_argument("--window", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3)
    args = parser.parse_args()
    load = Load(args.port, args.subscribers, args.window)
    print(json.dumps(load.run(args.seconds)))


if __name__ == "__main__":
    main()
