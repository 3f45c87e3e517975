"""A clean stop: every client is notified, the log is clean, and the exit status is 0."""

import signal
import socket
import time

import pytest

from tests.live.client import UUID
from tests.live.conftest import StartServer


@pytest.mark.parametrize("with_signal", [signal.SIGTERM, signal.SIGINT])
def test_clients_are_closed_with_3001(start_server: StartServer, with_signal: int) -> None:
    """On SIGTERM and SIGINT each of 1,000 clients gets close code 3001."""
    server = start_server()
    clients = [server.connect() for _ in range(1000)]
    clients[0].ask(type="ping")
    assert server.stop(with_signal) == 0
    assert {client.receive_close() for client in clients} == {(3001, "shutdown")}


def test_acknowledged_messages_are_delivered_before_the_stop(start_server: StartServer) -> None:
    """A stop loses no message that was acknowledged."""
    server = start_server()
    server.create_topic("t")
    subscriber, publisher = server.subscriber("t"), server.connect()
    for number in range(100):
        publisher.publish("t", number)
    server.stop()
    assert [subscriber.receive()["message"]["payload"] for _ in range(100)] == list(range(100))
    assert subscriber.receive_close() == (3001, "shutdown")


def test_unresponsive_clients_do_not_delay_the_stop(start_server: StartServer) -> None:
    """A stuck client, half a message and half an HTTP request do not delay a stop.

    Daphne's own shutdown fails on a connection that has no application yet.
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


def test_client_that_connects_during_the_stop(start_server: StartServer) -> None:
    """A client that connects during a stop is accepted and then closed with 3001."""
    server = start_server()
    silent = server.connect()  # does not answer the close frame, so the server waits for it
    other = server.connect()
    server.send_signal(signal.SIGTERM)
    assert other.receive_close() == (3001, "shutdown")
    assert server.connect().receive_close() == (3001, "shutdown")
    silent.reset()


def test_slow_client_during_the_stop(start_server: StartServer) -> None:
    """A slow client that reads on during the drain gets everything and the close frame."""
    server = start_server()
    server.create_topic("t")
    subscriber, publisher = server.subscriber("t"), server.connect()
    for _ in range(100):
        publisher.publish("t", "x" * 20_000)
    server.send_signal(signal.SIGTERM)
    assert publisher.receive_close() == (3001, "shutdown")
    time.sleep(1.2)  # makes this client slow; nothing is awaited
    received = [subscriber.receive()["type"] for _ in range(100)]
    assert received == ["event"] * 100
    assert subscriber.receive_close() == (3001, "shutdown")


def test_stop_without_clients(start_server: StartServer) -> None:
    """A server without clients stops with status 0."""
    server = start_server()
    assert server.stop() == 0
