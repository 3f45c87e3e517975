"""The calls that a publication causes, counted so that a loss of speed shows without a clock."""

from collections import Counter

from tests.live.client import UUID
from tests.live.conftest import StartServer
from tests.live.server import Server

COUNTED = ("-m", "daphne", "-p", "0", "tests.live.host.counted:application")
SUBSCRIBERS = 30
ROUNDS = 20
PUBLISH = {"type": "publish", "topic": "t", "message": {"id": UUID, "payload": 1}}


def count(server: Server, at_a_time: int) -> Counter[str]:
    """Publish ``at_a_time`` messages per round and count the server's calls."""
    server.create_topic("t")
    subscribers = [server.subscriber("t") for _ in range(SUBSCRIBERS)]
    publisher = server.connect()
    publisher.send_all([PUBLISH])  # warms the cache of the encoded topic name
    for client in (*subscribers, publisher):
        client.receive()
    server.request("GET", "/count/start")
    for _ in range(ROUNDS):
        publisher.send_all([PUBLISH] * at_a_time)
        for client in (*subscribers, publisher):
            for _ in range(at_a_time):
                client.receive()
    counts = Counter(server.request("GET", "/count/stop")[1])
    assert [counts[f"writes to {client.port}"] for client in subscribers] == [ROUNDS] * SUBSCRIBERS
    assert counts[f"writes to {publisher.port}"] == ROUNDS
    return counts


def test_one_publication(start_server: StartServer) -> None:
    """A publication is encoded once and written once per subscriber, without tasks or threads."""
    counts = count(start_server(*COUNTED), 1)
    # One encoding for the event, one for the acknowledgement.
    assert counts["encodings"] == 2 * ROUNDS
    assert counts["threads"] == 0
    # Some of the remaining calls belong to the HTTP requests around the count.
    assert counts["tasks"] < ROUNDS / 2
    assert counts["detours"] < ROUNDS / 2
    assert counts["hops"] < 3 * ROUNDS


def test_publications_of_one_tick(start_server: StartServer) -> None:
    """Publications of one tick leave in one write per subscriber."""
    counts = count(start_server(*COUNTED), 8)
    assert counts["encodings"] == 2 * 8 * ROUNDS
    assert counts["hops"] < 3 * ROUNDS
