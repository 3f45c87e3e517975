"""Requests and answers over one connection to a real NATS server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from nats.aio.msg import Msg
from nats.errors import MaxPayloadError, NoRespondersError
from nats.errors import TimeoutError as NatsTimeoutError

from pubsub.relay.nats_fast_path import FastClient
from pubsub.relay.nats_requests import Requests
from tests.relay.server import NatsServer


@asynccontextmanager
async def requesting(server: NatsServer, seconds: float = 20.0) -> AsyncIterator[Requests]:
    """Give the requests of a new connection, on which somebody echoes what is sent to ``echo``.

    Requests to ``hold`` are answered two at a time, the second one first; those to ``mute`` never.
    """
    client = FastClient()
    await client.connect(server.url, pending_size=-1)
    held: list[Msg] = []

    async def echo(message: Msg) -> None:
        await message.respond(message.data)

    async def hold(message: Msg) -> None:
        held.append(message)
        while len(held) >= 2:
            await held.pop().respond(b"second")
            await held.pop().respond(b"first")

    async def ignore(message: Msg) -> None:
        """Answer nothing."""

    for subject, receive in (("echo", echo), ("hold", hold), ("mute", ignore)):
        await client.subscribe(subject, cb=receive)
    requests = Requests(client, seconds)
    await requests.start()
    try:
        yield requests
    finally:
        requests.close()
        await client.close()


async def test_answers_find_their_requests(nats_server: NatsServer) -> None:
    """Each request gets its own answer, whatever the order of the answers."""
    async with requesting(nats_server) as requests:
        first, second = (requests.send("hold", b"", None) for _ in range(2))
        echoed = requests.send("echo", b"third", {"A": "b"})
        answers = [(await answer).data for answer in (first, second, echoed)]
        assert answers == [b"first", b"second", b"third"]
        assert repr(requests) == "<Requests, 0 waiting>"


async def test_nobody_answers(nats_server: NatsServer) -> None:
    """A request to a subject without subscribers fails at once."""
    async with requesting(nats_server) as requests:
        with pytest.raises(NoRespondersError):
            await requests.send("nobody", b"", None)


async def test_an_answer_does_not_come(nats_server: NatsServer) -> None:
    """Each request fails when its time is over, and later ones have theirs."""
    async with requesting(nats_server, seconds=0.05) as requests:
        for _ in range(2):
            waiting = [requests.send("mute", b"", None) for _ in range(2)]
            for answer in waiting:
                with pytest.raises(NatsTimeoutError):
                    await answer
        assert repr(requests) == "<Requests, 0 waiting>"


async def test_the_time_of_a_request_does_not_end_others(nats_server: NatsServer) -> None:
    """A request that was sent later than one whose time is over still waits."""
    async with requesting(nats_server, seconds=0.05) as requests:
        first = requests.send("mute", b"", None)
        requests._seconds = 20.0
        second = requests.send("mute", b"", None)
        with pytest.raises(NatsTimeoutError):
            await first
        assert not second.done()
        second.cancel()


async def test_requests_that_nobody_waits_for(nats_server: NatsServer) -> None:
    """A request that was given up harms nothing when its answer comes, or its time is over."""
    async with requesting(nats_server, seconds=0.05) as requests:
        requests.send("echo", b"", None).cancel()
        requests.send("mute", b"", None).cancel()
        assert (await requests.send("echo", b"x", None)).data == b"x"
        with pytest.raises(NatsTimeoutError):
            await requests.send("mute", b"", None)


async def test_the_end_of_a_connection(nats_server: NatsServer) -> None:
    """Requests that wait fail when their connection is given up."""
    async with requesting(nats_server) as requests:
        given_up, waiting = (requests.send("mute", b"", None) for _ in range(2))
        given_up.cancel()
        requests.close()
        with pytest.raises(ConnectionError):
            await waiting


async def test_a_message_that_is_refused(nats_server: NatsServer) -> None:
    """What nats-py refuses to send is not waited for."""
    async with requesting(nats_server) as requests:
        with pytest.raises(MaxPayloadError):
            requests.send("echo", b"x" * (1 << 21), None)
        assert repr(requests) == "<Requests, 0 waiting>"


async def test_requests_are_sent_in_order(nats_server: NatsServer) -> None:
    """Requests arrive in the order of the calls, although nobody waits in between."""
    async with requesting(nats_server) as requests:
        waiting = [requests.send("echo", b"%d" % number, None) for number in range(100)]
        order: list[int] = []
        for number, answer in enumerate(waiting):
            answer.add_done_callback(lambda _, number=number: order.append(number))
        await asyncio.gather(*waiting)
        assert order == list(range(100))


def test_headers() -> None:
    """Names and values stand without the spaces around them; what is no header is ignored."""
    parsed = FastClient._parse_header_lines(b"A: b\r\nC:d: \xc3\xa9 \r\nnothing\r\n\r\n")
    assert parsed == {"A": "b", "C": "d: é"}
