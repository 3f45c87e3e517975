"""The bounds that the chat room promises, measured on a real Daphne.

    python -m bench.guarantees

Memory is the growth of the server's resident set. The flood runs in a thread of this process, on
the load's core; the pings beside it are timed one by one.
"""

import os
import re
import signal
import socket
import threading
import time
from pathlib import Path

from bench.fanout import SERVERS, daphne, post
from bench.load import client_frame, connect, subscribe

MESSAGE_ID = "550e8400-e29b-41d4-a716-446655440000"


def resident(pid: int) -> int:
    """Return the resident memory of a process in bytes."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) * 1024


def publication(text: str) -> bytes:
    """Return the frame that publishes this text."""
    message = {"id": MESSAGE_ID, "payload": {"text": text}}
    return client_frame({"type": "publish", "topic": "bench", "message": message})


def read_exactly(sock: socket.socket, size: int) -> None:
    """Read so many bytes."""
    while size > 0:
        size -= len(sock.recv(min(size, 1 << 20)))


def publish_in_step(publisher: socket.socket, reader: socket.socket, count: int) -> None:
    """Publish messages of 1 KiB, by the hundred, and read every answer and every event."""
    frame = publication("x" * 1024)
    publisher.sendall(frame)
    ack, event = len(publisher.recv(65536)), len(reader.recv(65536))
    for _ in range(count // 100):
        publisher.sendall(frame * 100)
        read_exactly(publisher, ack * 100)
        read_exactly(reader, event * 100)


def stalled_subscriber() -> None:
    """One subscriber never reads, 50,000 messages of 1 KiB pass by."""
    with daphne(SERVERS["chat room"]) as (port, pid):
        post(port, "/topics", b'{"name":"bench"}')
        publisher, reader = connect(port), subscribe(port)
        publish_in_step(publisher, reader, 5000)
        stalled = subscribe(port)
        before = resident(pid)
        publish_in_step(publisher, reader, 50_000)
        growth = (resident(pid) - before) / 1e6
        print(f"stalled subscriber: the server grew by {growth:.1f} MB over 50,000 messages")
        stalled.close()


def flood(seconds: float, flooders: int) -> None:
    """Clients publish as fast as the socket takes it and never read; another one pings."""
    with daphne(SERVERS["chat room"]) as (port, pid):
        post(port, "/topics", b'{"name":"bench"}')
        subscriber = subscribe(port)
        other = connect(port)
        ping = client_frame({"type": "ping"})
        other.sendall(ping)
        pong = len(other.recv(4096))
        frame = publication("x" * 100) * 500
        before, peak = resident(pid), 0
        deadline = time.monotonic() + seconds

        def send() -> None:
            sock = connect(port)
            sock.setblocking(False)
            rest = memoryview(frame)
            while time.monotonic() < deadline:
                try:
                    rest = rest[sock.send(rest) :] or memoryview(frame)
                except BlockingIOError:
                    time.sleep(0.001)
            sock.close()

        def read() -> None:
            while time.monotonic() < deadline and subscriber.recv(1 << 20):
                pass

        threads = [threading.Thread(target=send) for _ in range(flooders)]
        threads.append(threading.Thread(target=read, daemon=True))
        for thread in threads:
            thread.start()
        times = []
        while time.monotonic() < deadline:
            begin = time.perf_counter()
            other.sendall(ping)
            read_exactly(other, pong)
            times.append(time.perf_counter() - begin)
            peak = max(peak, resident(pid))
            time.sleep(0.002)
        print(
            f"flood by {flooders} for {seconds:.0f} s: the server grew by at most "
            f"{(peak - before) / 1e6:.1f} MB; {len(times)} pings, the slowest answered in "
            f"{max(times) * 1000:.0f} ms"
        )


def idle_memory(count: int) -> None:
    """So many clients are connected, and subscribed, and silent."""
    for name, application in SERVERS.items():
        with daphne(application) as (port, pid):
            if name == "chat room":
                post(port, "/topics", b'{"name":"bench"}')
            clients = [subscribe(port) for _ in range(100)]
            time.sleep(2)
            before = resident(pid)
            clients += [subscribe(port) for _ in range(count)]
            time.sleep(3)  # Daphne forgets the HTTP requests behind them once a second
            each = (resident(pid) - before) / count / 1024
            print(f"{count:,} idle subscribers of the {name}: {each:.1f} KiB each")


def stop(count: int) -> None:
    """The server gets SIGTERM with so many clients connected."""
    with daphne(SERVERS["chat room"]) as (port, pid):
        clients = [connect(port) for _ in range(count)]
        begin = time.perf_counter()
        os.kill(pid, signal.SIGTERM)
        told = sum(b"\x88\x0a\x0b\xb9shutdown" in client.recv(4096) for client in clients)
        for client in clients:
            client.close()
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        seconds = time.perf_counter() - begin
        print(f"stop with {count:,} clients: {told:,} told 3001, gone after {seconds:.1f} s")


def main() -> None:
    """Measure everything, each with a server of its own."""
    stalled_subscriber()
    flood(10, 1)
    flood(10, 20)
    idle_memory(5000)
    stop(1000)


if __name__ == "__main__":
    main()
