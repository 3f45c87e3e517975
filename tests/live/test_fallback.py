"""Daphne, but not as the transport for it expects it: the portable one takes over."""

from contextlib import closing

from tests.live.server import Server


def test_one_warning_and_the_room_works() -> None:
    """For any number of connections."""
    server = Server("-m", "daphne", "-p", "0", "tests.live.host.wrapped:application")
    with closing(server):
        server.create_topic("t")
        subscribers = [server.subscriber("t") for _ in range(3)]
        assert server.connect().publish("t", 1)["type"] == "ack"
        for subscriber in subscribers:
            assert subscriber.receive()["message"]["payload"] == 1
        # Clients are told of a stop all the same, but for the reason, which Daphne drops.
        assert server.stop() == 0
        assert {client.receive_close() for client in subscribers} == {(3001, "")}
        (complaint,) = server.complaints()
        assert "send is wrapped by a middleware" in complaint
