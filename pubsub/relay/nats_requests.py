"""Requests over one connection to NATS: one subscription for all answers, one timer for all waits.

nats-py can do this as well, for about 10 µs of processor time more: it makes a random token, a
timer and a wait for each request.
"""

import asyncio
from asyncio import Future, TimerHandle

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error, NoRespondersError, TimeoutError  # noqa: A004  # nats-py's own

NO_RESPONDERS = "503"


class Requests:
    """What waits for an answer on one connection.

    Args:
        client: nats-py's client, with a ``pending_size`` of -1: then its coroutines never wait.
        seconds: How long each request waits.
    """

    def __init__(self, client: Client, seconds: float) -> None:
        self._client = client
        self._seconds = seconds
        self._prefix = ""
        self._number = 0
        self._waiting: dict[str, tuple[float, Future[Msg]]] = {}
        """The deadline and the answer of each request by its token, the oldest one first."""
        self._timer: TimerHandle | None = None

    async def start(self) -> None:
        """Subscribe to the answers; the client must be connected."""
        self._prefix = f"{self._client.new_inbox()}."
        await self._client.subscribe(f"{self._prefix}*", cb=self._receive)

    def send(self, subject: str, data: bytes, headers: dict[str, str] | None) -> "Future[Msg]":
        """Send a request at once, and return its answer.

        The answer fails with nats-py's ``TimeoutError`` when its time is over, with
        ``NoRespondersError`` if nobody can answer, and with `ConnectionError` after `close`.

        Raises:
            Error: nats-py refuses to send it.
        """
        loop = asyncio.get_running_loop()
        self._number += 1
        token = str(self._number)
        publishing = self._client.publish(subject, data, self._prefix + token, headers)
        try:
            publishing.send(None)
        except StopIteration:
            pass
        else:
            publishing.close()
            raise Error("nats-py waits")
        answer: Future[Msg] = loop.create_future()
        self._waiting[token] = loop.time() + self._seconds, answer
        if self._timer is None:
            self._timer = loop.call_later(self._seconds, self._expire)
        return answer

    async def _receive(self, message: Msg) -> None:
        _, answer = self._waiting.pop(message.subject[len(self._prefix) :], (0.0, None))
        if answer is None or answer.done():
            return
        if message.headers and message.headers.get("Status") == NO_RESPONDERS:
            answer.set_exception(NoRespondersError())
        else:
            answer.set_result(message)

    def _expire(self) -> None:
        """End the waits whose time is over, and look again when the next one's is."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._timer = None
        for token, (deadline, answer) in list(self._waiting.items()):
            if deadline > now:
                self._timer = loop.call_at(deadline, self._expire)
                break
            del self._waiting[token]
            if not answer.done():
                answer.set_exception(TimeoutError())

    def close(self) -> None:
        """End all waits, because the connection is lost."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._waiting = self._waiting, {}
        for _, answer in waiting.values():
            if not answer.done():
                answer.set_exception(ConnectionError("the connection was lost"))

    def __repr__(self) -> str:
        return f"<Requests, {len(self._waiting)} waiting>"
