"""A clean stop: every client is told, nothing is printed, the status is 0."""

import signal
import socket
import time

import pytest
from websockets.exceptions import InvalidStatus

from tests.live.client import UUID
from tests.live.conftest import StartServer

IGNORE_HANGUP = """
import runpy, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_IGN)
sys.argv[1:] = ["-p", "0", "chatroom_project.asgi:application"]
runpy.run_module("daphne", run_name="__main__")
"""
"""Daphne, started with SIGHUP ignored, as ``nohup`` starts a program."""


@pytest.mark.parametrize("with_signal", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_clients_are_told_to_reconnect(start_server: StartServer, with_signal: int) -> None:
    """A hundred clients get close code 3001, on SIGTERM as on Ctrl-C and on SIGHUP."""
    server = start_server()
    clients = [server.connect() for _ in range(100)]
    clients[0].ask(type="ping")
    assert server.stop(with_signal) == 0
    assert {client.receive_close() for client in clients} == {(3001, "shutdown")}


def test_what_was_published_arrives_before_the_end(start_server: StartServer) -> None:
    """A stop loses nothing that was acknowledged."""
    server = start_server()
    server.create_topic("t")
    subscriber, publisher = server.subscriber("t"), server.connect()
    for number in range(100):
        publisher.publish("t", number)
    server.stop()
    assert [subscriber.receive()["message"]["payload"] for _ in range(100)] == list(range(100))
    assert subscriber.receive_close() == (3001, "shutdown")


def test_clients_that_do_not_answer_hold_nothing_up(start_server: StartServer) -> None:
    """One is stuck, one has sent half a message, one an HTTP request of which half is missing.

    Daphne's own shutdown stumbles over a connection without an application, and stops there.
    """
    server = start_server()
    server.create_topic("t")
    stuck, half, publisher = server.subscriber("t"), server.connect(), server.connect()
    half.send_bytes(b"\x81\xfe\xff\xff\0\0\0\0{")
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(b"POST /topics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        server.request("GET", "/health")
        message = {"id": UUID, "payload": "x" * 60_000}
        for _ in range(200):
            publisher.ask(type="publish", topic="t", message=message)
        assert server.stop() == 0
    assert publisher.receive_close() == (3001, "shutdown")
    stuck.reset()


def test_a_client_that_comes_while_the_server_stops(start_server: StartServer) -> None:
    """The handshake is refused with 503."""
    server = start_server()
    silent = server.connect()  # it answers no close frame, so the server waits for it
    other = server.connect()
    server.send_signal(signal.SIGTERM)
    assert other.receive_close() == (3001, "shutdown")
    with pytest.raises(InvalidStatus) as refused:
        server.connect()
    assert refused.value.response.status_code == 503
    silent.reset()


def test_a_second_signal_ends_it_at_once(start_server: StartServer) -> None:
    """The server waits no longer for a client that answers no close frame."""
    server = start_server()
    silent, other = server.connect(), server.connect()
    server.send_signal(signal.SIGTERM)
    assert other.receive_close() == (3001, "shutdown")
    assert silent.is_connected()
    assert server.stop(signal.SIGINT) == 0
    assert silent.receive_close() == (3001, "shutdown")


def test_a_client_that_takes_its_time(start_server: StartServer) -> None:
    """Who reads on within the time of the drain gets everything, and the close frame."""
    server = start_server()
    server.create_topic("t")
    subscriber, publisher = server.subscriber("t"), server.connect()
    for _ in range(100):
        publisher.publish("t", "x" * 20_000)
    server.send_signal(signal.SIGTERM)
    assert publisher.receive_close() == (3001, "shutdown")
    time.sleep(1.2)  # not for anything to happen: it is this client that is slow
    received = [subscriber.receive()["type"] for _ in range(100)]
    assert received == ["event"] * 100
    assert subscriber.receive_close() == (3001, "shutdown")


def test_stop_without_clients(start_server: StartServer) -> None:
    """There need not have been any."""
    assert start_server(fork=False).stop() == 0


def test_hangup_that_is_ignored(start_server: StartServer) -> None:
    """A server that was started with ``nohup`` outlives the terminal."""
    server = start_server("-c", IGNORE_HANGUP)
    server.create_topic("t")
    server.send_signal(signal.SIGHUP)
    subscriber, publisher = server.subscriber("t"), server.connect()
    assert publisher.publish("t", 1)["type"] == "ack"
    assert subscriber.receive()["type"] == "event"
    server.reset_clients()
    assert server.stop() == 0
