"""The guard against upgrades: a Daphne, Autobahn or Twisted that lacks a name which is needed."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from pubsub.transport.daphne import foreign
from tests.live.server import Server
from tests.live.waiting import wait_until

NAMES = [
    (place, name)
    for place, names in foreign.WEBSOCKET.items()
    if place != foreign.TLS
    for name in names
]


@pytest.fixture
def server() -> Iterator[Server]:
    """A Daphne that hides names on request."""
    server = Server("-m", "daphne", "-p", "0", "tests.live.host.incomplete:application")
    with closing(server):
        server.create_topic("t")
        yield server


def converse(server: Server) -> None:
    """Show that the room works, and that nobody is left in it."""
    subscriber, publisher = server.subscriber("t"), server.connect()
    assert publisher.publish("t", 1)["type"] == "ack"
    assert subscriber.receive()["message"]["payload"] == 1
    for client in (subscriber, publisher):
        client.close()
    wait_until(lambda: not server.request("GET", "/health")[1]["clients"])


def test_portable_transport_takes_over_where_a_name_is_missing(server: Server) -> None:
    """The room works without each of the names, and one warning says which one is missing."""
    converse(server)
    assert server.complaints() == []
    for count, (place, name) in enumerate(NAMES, start=1):
        server.request("GET", f"/hide/{place}/{name}")
        converse(server)
        server.request("GET", "/restore")
        complaints = server.complaints()
        assert len(complaints) == count, (place, name, server.log())
        assert f"({place}.{name})" in complaints[-1]
    converse(server)
    assert len(server.complaints()) == len(NAMES)
    assert server.stop() == 0


def test_stop_is_told_by_the_portable_transport_as_well(server: Server) -> None:
    """Clients get the code, but not the reason, which Daphne drops."""
    server.request("GET", f"/hide/{foreign.TCP}/registerProducer")
    subscribers = [server.subscriber("t") for _ in range(3)]
    assert server.stop() == 0
    assert {client.receive_close() for client in subscribers} == {(3001, "")}
    assert len(server.complaints()) == 1
