"""The server's own pings to clients that say nothing."""

from websockets.frames import Opcode

from tests.live.client import Client
from tests.live.conftest import StartServer

QUICK = {"CHATROOM_PING_INTERVAL": "0.2"}


def receive_ping(client: Client) -> bytes:
    """Return what is in the next frame, which has to be a ping."""
    frame = client.receive_frame()
    assert frame.opcode is Opcode.PING
    return bytes(frame.data)


def test_a_silent_client_is_pinged_and_stays_while_it_answers(start_server: StartServer) -> None:
    """A pong is a sign of life, so the next silence is pinged again."""
    client = start_server(**QUICK).connect()
    for _ in range(3):
        receive_ping(client)  # which this client answers by itself
    client.assert_nothing_came()


def test_a_client_without_a_sign_of_life_is_closed(start_server: StartServer) -> None:
    """The close code asks it to reconnect, as the network may be at fault."""
    client = start_server(**QUICK).connect(answers=False)
    receive_ping(client)
    assert client.receive_close() == (3012, "no pong")


def test_a_client_that_sends_is_not_pinged(start_server: StartServer) -> None:
    """Whatever it sends: messages, fragments of a message, or control frames."""
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


def test_a_client_that_has_to_wait_is_not_taken_for_silent(start_server: StartServer) -> None:
    """While the server does not read from a client, it cannot hear it."""
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
