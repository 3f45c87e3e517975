"""Clients that read slowly but steadily."""

from tests.live.client import UUID, Client
from tests.live.conftest import StartServer
from tests.live.server import Server
from tests.live.waiting import wait_until

TIMEOUT = 2.0
BATCH = 50


def fill(server: Server) -> None:
    """Publish until the socket and the queue of a stalled subscriber are full."""
    publisher = server.connect()
    message = {"id": UUID, "payload": "x" * 20_000}
    while not server.request("GET", "/stats")[1]["topics"]["t"]["dropped"]:
        publisher.send_all([{"type": "publish", "topic": "t", "message": message}] * BATCH)
        for _ in range(BATCH):
            publisher.receive()


def read_for(client: Client, server: Server, seconds: float) -> int:
    """Read a little at a time for this long, timed by the server's pings to another client."""
    ticking = server.connect()
    read = 0
    for _ in range(int(seconds / 0.25)):
        ticking.receive_frame()  # a ping
        ticking.send(type="ping")
        ticking.receive_frame()
        read += client.read_bytes(2000)
    return read


def test_slow_reader_is_not_disconnected(start_server: StartServer) -> None:
    """A slow reader outlives the write timeout, and once it stops it is closed with 3008."""
    server = start_server(
        CHATROOM_WRITE_TIMEOUT=str(TIMEOUT), CHATROOM_PING_INTERVAL="0.25", CHATROOM_QUEUE_SIZE="16"
    )
    server.create_topic("t")
    slow = server.connect(receive_buffer=4096)
    slow.ask(type="subscribe", topic="t")
    fill(server)
    assert read_for(slow, server, 2 * TIMEOUT) > 0
    assert server.request("GET", "/subscriptions")[1]["topic_breakdown"]["t"]
    assert slow.is_connected()
    # From now on it reads nothing, until the server disconnects it.
    wait_until(lambda: not server.request("GET", "/subscriptions")[1]["topic_breakdown"]["t"])
    assert slow.receive_close() == (3008, "slow")
