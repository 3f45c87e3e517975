"""How many connections there may be: in total, from one address and of one user."""

import pytest

from tests.auth.support import SECRET, token
from tests.live.client import Client, Closed
from tests.live.conftest import StartServer
from tests.live.server import DAPHNE, UVICORN, Server
from tests.live.test_cleanup import wait_for

MB = 1024 * 1024
LIMIT = (3504, "connection limit")


def refusal(server: Server, **headers: str) -> tuple[int, str] | None:
    """Connect; return how the server closed the connection, or ``None`` if it did not."""
    client = server.connect(
        headers={name.replace("_", "-"): text for name, text in headers.items()}
    )
    try:
        assert client.ask(type="ping")["type"] == "pong"
    except Closed as closed:
        return closed.code, closed.reason
    return None


@pytest.mark.parametrize("command", [DAPHNE, UVICORN], ids=["daphne", "uvicorn"])
def test_total(start_server: StartServer, command: tuple[str, ...]) -> None:
    """One connection too many is accepted and closed with 3504; the others notice nothing."""
    server = start_server(*command, CHATROOM_MAX_CONNECTIONS="2")
    server.create_topic("t")
    first, second = server.subscriber("t"), server.connect()
    assert refusal(server) == refusal(server) == LIMIT
    assert second.publish("t", 1)["type"] == "ack"
    assert first.receive()["type"] == "event"
    second.close()
    wait_for(server, clients=1)
    assert refusal(server) is None
    assert refusal(server) == LIMIT


def test_address(start_server: StartServer) -> None:
    """Each address has its own number; behind a trusted proxy it is the client's address."""
    server = start_server(
        CHATROOM_MAX_CONNECTIONS_PER_ADDRESS="1", CHATROOM_TRUSTED_PROXIES="127.0.0.1"
    )
    for address, expected in (
        ("192.0.2.1", None),
        ("192.0.2.1", LIMIT),
        ("192.0.2.2", None),
        ("192.0.2.3, 192.0.2.2", LIMIT),
        ("192.0.2.2, 192.0.2.3", None),
        ("2001:db8::1", None),
        ("2001:db8::2", LIMIT),
    ):
        assert refusal(server, X_Forwarded_For=address) == expected, address


def test_forwarded_address_of_a_stranger(start_server: StartServer) -> None:
    """A client cannot choose its address where no proxy is trusted."""
    server = start_server(CHATROOM_MAX_CONNECTIONS_PER_ADDRESS="1")
    assert refusal(server, X_Forwarded_For="192.0.2.1") is None
    assert refusal(server, X_Forwarded_For="192.0.2.2") == LIMIT


def test_user(start_server: StartServer) -> None:
    """A user has so many connections, whichever way the token comes."""
    server = start_server(
        CHATROOM_AUTH="optional",
        CHATROOM_JWT_SECRET=SECRET,
        CHATROOM_MAX_CONNECTIONS_PER_USER="1",
    )
    ann, bob = token("ann"), token("bob")
    first = server.connect(headers={"Authorization": f"Bearer {ann}"})
    assert first.ask(type="ping")["type"] == "pong"
    assert refusal(server, Authorization=f"Bearer {ann}") == LIMIT
    late: Client = server.connect()
    late.send(type="auth", token=ann)
    assert late.receive_close() == LIMIT
    assert refusal(server, Authorization=f"Bearer {bob}") is None
    assert first.ask(type="auth", token=token("ann", ttl=700))["type"] == "ack"


def test_refused_connections_cost_nothing(start_server: StartServer) -> None:
    """Hundreds of refused connections leave no memory behind, and no line of a problem."""
    server = start_server(CHATROOM_MAX_CONNECTIONS="1")
    kept = server.connect()

    def refuse(number: int) -> None:
        for _ in range(number):
            client = Client(server.port)
            assert client.receive_close() == LIMIT
            client.reset()

    refuse(200)
    before = server.memory()
    refuse(600)
    assert server.memory() - before < 3 * MB  # 600 idle clients would take about 10
    assert kept.ask(type="ping")["type"] == "pong"
    assert server.request("GET", "/health")[1]["clients"] == 1
