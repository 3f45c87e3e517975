"""What a delivery of JSON costs in bytes and in processor time, with or without compression."""

import random
import time

from bench.load.dialects import TOPIC, ChatRoom
from bench.load.meter import Meter
from bench.load.websocket import COMPRESSED, open_connections, read_frame

_random = random.Random(1)

ORDERS = [
    {
        "id": f"{_random.getrandbits(64):016x}",
        "symbol": _random.choice(["AAPL", "MSFT", "NVDA", "AMZN", "GOOG"]),
        "side": _random.choice(["buy", "sell"]),
        "quantity": _random.randint(1, 999),
        "price": round(_random.uniform(50, 500), 2),
        "filled": _random.random() < 0.5,
        "placed": f"2025-08-25T10:{_random.randrange(60):02}:{_random.randrange(60):02}.000Z",
    }
    for _ in range(15)
]
"""A payload of about 2 KiB that repeats its keys, but hardly any value."""


def run(
    port: int, dialect: ChatRoom, pid: int | None, subscribers: int, rate: int, seconds: float
) -> dict[str, float]:
    """Publish at a fixed rate to subscribers that read frame by frame.

    The rate is low, so that every server and the generator can keep it: the figures are costs, and
    no speed is measured.

    Raises:
        ValueError: Events are compressed although they should not be, or the other way round.
    """
    script = (*dialect.opening, dialect.subscribe(TOPIC))
    readers = open_connections(port, [script] * subscribers)
    (publisher,) = open_connections(port, [dialect.opening])
    publication = dialect.publish_payload(TOPIC, ORDERS)

    def publish() -> list[bytes]:
        publisher.sendall(publication)
        read_frame(publisher)
        return [read_frame(sock) for sock in readers]

    if any(bool(event[0] & COMPRESSED) is not dialect.compressed for event in publish()):
        raise ValueError(f"compressed: {not dialect.compressed}")
    published = received = 0
    meter = Meter(pid)
    while time.perf_counter() < meter.begin + seconds:
        received += sum(map(len, publish()))
        published += 1
        due = meter.begin + published / rate
        time.sleep(max(0.0, due - time.perf_counter()))
    deliveries = published * subscribers
    _, share = meter.read()
    return {
        "bytes_per_delivery": received / deliveries,
        "deliveries": deliveries,
        "generator_share": share,
        **meter.server_cost(deliveries),
    }
