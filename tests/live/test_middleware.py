"""Channels middlewares in front of the chat room keep its flow control."""

import pytest

from tests.live.conftest import StartServer
from tests.live.test_backpressure import MB, publish_all, read_all


@pytest.mark.parametrize(
    ("application", "settings"),
    [
        ("tests.live.host.wrapped", "chatroom_project.settings"),
        ("tests.live.host.signed_in", "tests.live.host.with_users"),
    ],
    ids=["wrapped send", "AuthMiddlewareStack"],
)
def test_stalled_subscriber_costs_little_behind_a_middleware(
    start_server: StartServer, application: str, settings: str
) -> None:
    """A stalled subscriber costs little memory when a middleware wraps ``send``."""
    server = start_server(
        *("-m", "daphne", "-p", "0", f"{application}:application"),
        CHATROOM_AUTO_CREATE_TOPICS="true",
        DJANGO_SETTINGS_MODULE=settings,
    )
    publisher = server.connect()
    publish_all(publisher, server.subscriber("warm-up"), "warm-up", 2000)
    stalled, reader = server.subscriber("stalled"), server.subscriber("stalled")
    before = server.memory()

    publish_all(publisher, reader, "stalled", total := 20_000)

    growth = server.memory() - before
    numbers, lost = read_all(stalled)
    assert len(numbers) + lost == total
    assert lost > total / 2
    assert growth < 5 * MB
    # Daphne's own `send` would drop the reason.
    assert server.stop() == 0
    assert {client.receive_close() for client in (stalled, reader)} == {(3001, "shutdown")}
