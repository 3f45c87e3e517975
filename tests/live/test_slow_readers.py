"""Clients that read slowly but steadily, and what they see in the end."""

from tests.live.client import UUID, Client
from tests.live.conftest import StartServer
from tests.live.server import Server

TIMEOUT = 2.0
BATCH = 50


def fill(server: Server) -> None:
    """Publish until the socket and the queue of a subscriber that does not read are full."""
    publisher = server.connect()
    message = {"id": UUID, "payload": "x" * 20_000}
    while not server.request("GET", "/stats")[1]["topics"]["t"]["dropped"]:
        publisher.send_all([{"type": "publish", "topic": "t", "message": message}] * BATCH)
        for _ in range(BATCH):
            publisher.receive()


def read_for(client: Client, server: Server, seconds: float) -> int:
    """Read a little at a time for so long, by the server's pings to another client."""
    ticking = server.connect()
    read = 0
    for _ in range(int(seconds / 0.25)):
        ticking.receive_frame()  # a ping
        ticking.send(type="ping")
        ticking.receive_frame()
        read += client.read_bytes(2000)
    return read


def test_a_client_that_reads_a_little_is_not_stuck(start_server: StartServer) -> None:
    """It lives for much longer than the write timeout, and sees a close code in the end."""
    server = start_server(
        CHATROOM_WRITE_TIMEOUT=str(TIMEOUT), CHATROOM_PING_INTERVAL="0.25", CHATROOM_QUEUE_SIZE="16"
    )
    server.create_topic("t")
    slow = server.connect(receive_buffer=4096)
    slow.ask(type="subscribe", topic="t")
    fill(server)
    assert read_for(slow, server, 5 * TIMEOUT) > 0
    assert server.request("GET", "/subscriptions")[1]["topic_breakdown"]["t"]
    assert slow.is_connected()
    # Now it reads nothing any more, until the server has given up.
    while server.request("GET", "/subscriptions")[1]["topic_breakdown"]["t"]:
        pass
    assert slow.receive_close() == (3008, "slow")
