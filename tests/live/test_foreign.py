"""The guard against versions of Daphne, Autobahn or Twisted that lack a name we need."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from pubsub.transport.daphne import foreign
from tests.live.server import Server

TABLES = ("PROTOCOL", "FACTORY", "SERVER", "TRANSPORT", "BUFFER", "DIRECT")
NAMES = [(table, name) for table in TABLES for name in getattr(foreign, table)]


@pytest.fixture
def server() -> Iterator[Server]:
    """A Daphne that hides names on request."""
    server = Server("-m", "daphne", "-p", "0", "tests.live.host.incomplete:application")
    with closing(server):
        server.create_topic("t")
        yield server


def converse(server: Server) -> None:
    """Check that messages are delivered and that no client remains connected."""
    subscriber, publisher = server.subscriber("t"), server.connect()
    assert publisher.publish("t", 1)["type"] == "ack"
    assert subscriber.receive()["message"]["payload"] == 1
    for client in (subscriber, publisher):
        client.close()
    while server.request("GET", "/health")[1]["clients"]:
        pass


def test_portable_transport_takes_over_when_a_name_is_missing(server: Server) -> None:
    """Without any one name the chat room works, and one warning says which is missing."""
    converse(server)
    assert server.complaints() == []
    for count, (table, name) in enumerate(NAMES, start=1):
        server.request("GET", f"/hide/{table}/{name}")
        converse(server)
        server.request("GET", "/restore")
        complaints = server.complaints()
        assert len(complaints) == count, (table, name, server.log())
        assert f".{name})" in complaints[-1]
    converse(server)
    assert len(server.complaints()) == len(NAMES)
    assert server.stop() == 0


def test_portable_transport_announces_a_stop(server: Server) -> None:
    """A stop over the portable transport sends 3001 without the reason, which Daphne drops."""
    server.request("GET", "/hide/TRANSPORT/registerProducer")
    subscribers = [server.subscriber("t") for _ in range(3)]
    assert server.stop() == 0
    assert {client.receive_close() for client in subscribers} == {(3001, "")}
    assert len(server.complaints()) == 1
