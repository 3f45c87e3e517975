"""A process with subscribers of its own, to be killed: ``python -m tests.reliability.flock``.

Arguments: the port, the number of clients, and the topics that each of them subscribes to. It
prints one line once all are subscribed.
"""

import selectors
import sys

from tests.live.client import Client


def main(port: str, number: str, *topics: str) -> None:
    """Connect, subscribe, and read until the end."""
    selector = selectors.DefaultSelector()
    for _ in range(int(number)):
        client = Client(int(port))
        for topic in topics:
            client.ask(type="subscribe", topic=topic, request_id="s")
        selector.register(client, selectors.EVENT_READ, client)
    print("subscribed", flush=True)  # noqa: T201
    while True:
        for key, _ in selector.select():
            key.data.read_bytes(1 << 16)


if __name__ == "__main__":
    main(*sys.argv[1:])
