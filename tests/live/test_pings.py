"""The server's own pings to silent clients."""

from websockets.frames import Opcode

from tests.live.client import Client
from tests.live.conftest import StartServer

QUICK = {"CHATROOM_PING_INTERVAL": "0.2"}


def receive_ping(client: Client) -> bytes:
    """Return the payload of the next frame, which must be a ping."""
    frame = client.receive_frame()
    assert frame.opcode is Opcode.PING
    return bytes(frame.data)


def test_a_silent_client_is_pinged_and_stays_while_it_answers(start_server: StartServer) -> None:
    """A silent client is pinged repeatedly and stays connected while it answers."""
    client = start_server(**QUICK).connect()
    for _ in range(3):
        receive_ping(client)  # the client answers it automatically
    client.assert_nothing_came()


def test_a_client_without_a_sign_of_life_is_closed(start_server: StartServer) -> None:
    """A client that does not answer a ping is closed with 3012 and may reconnect."""
    client = start_server(**QUICK).connect(answers=False)
    receive_ping(client)
    assert client.receive_close() == (3012, "no pong")


def test_a_client_that_sends_is_not_pinged(start_server: StartServer) -> None:
    """A client that sends messages is not pinged."""
    client, silent = (server := start_server(**QUICK)).connect(), server.connect()
    server.create_topic("t")
    silent.ask(type="subscribe", topic="t")
    client.ask(type="subscribe", topic="t")
    for _ in range(2):
        # The other client's ping shows that the time has passed.
        while True:
            client.send(type="ping")
            assert client.receive_frame().opcode is Opcode.TEXT
            if silent.has_input():
                break
        receive_ping(silent)


def test_a_client_that_is_not_read_does_not_count_as_silent(start_server: StartServer) -> None:
    """A client that the server has stopped reading from does not count as silent."""
    server = start_server(CHATROOM_WRITE_TIMEOUT="30", CHATROOM_QUEUE_SIZE="4", **QUICK)
    flooding = server.connect()
    request = '{"type":"ping","request_id":"' + "x" * 100 + '"}'
    flooding.set_timeout(0.5)
    try:
        while True:  # until the server stops reading, because the answers are not read
            flooding.send(request)
    except TimeoutError:
        pass
    other = server.connect()
    for _ in range(4):
        receive_ping(other)
    flooding.set_timeout(10)
    assert flooding.receive()["type"] == "pong"
