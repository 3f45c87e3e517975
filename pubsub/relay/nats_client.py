"""One connection to a NATS server, which is never repaired: after a loss, another one is made.

nats-py's own reconnection is switched off. It can hang for minutes when packets vanish, it sends
late what was published meanwhile, and it gives up silently; see decision 30. So a
`NatsClient` lives as long as its connection, and `abandon` ends it without waiting for anything.
"""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error, SlowConsumerError

from pubsub.relay.base import TIMEOUT
from pubsub.relay.configuration import RelayConfiguration, RelayServer
from pubsub.relay.nats_fast_path import FastClient
from pubsub.relay.nats_requests import Requests
from pubsub.relay.tasks import end

logger = logging.getLogger(__name__)

NEVER = 1_000_000
"""Seconds after which nats-py would send a ping of its own."""


class NotEncrypted(Error):
    """The URL asks for TLS, which the server does not offer."""

    def __str__(self) -> str:
        return "the server does not offer TLS"


class NatsClient:
    """One connection.

    Args:
        on_lost: Is called with the reason when the connection is lost, perhaps more than once.
        on_dropped: Is called for an incoming message that was dropped, because too many wait.
    """

    def __init__(self, on_lost: Callable[[str], None], on_dropped: Callable[[], None]) -> None:
        self._client = FastClient()
        self._on_lost = on_lost
        self._on_dropped = on_dropped
        self._connecting = True
        self._requests = Requests(self._client, TIMEOUT)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._subscriptions: set[Subscription] = set()

    async def connect(
        self, server: RelayServer, config: RelayConfiguration, tls: ssl.SSLContext, seconds: float
    ) -> None:
        """Connect to a server within ``seconds``.

        Raises:
            Exception: Anything that nats-py and the operating system raise, if it fails.
        """

        def secret(value: str | None) -> Callable[[], str] | None:
            # Called when TLS is on, if the server wants it: nothing is sent in the clear that
            # was meant to be encrypted.
            return None if value is None else lambda: self._confidential(server, value)

        credentials = config.credentials()
        if credentials is not None:
            self._client._auth_configured = True
            self._client._public_nkey = credentials.public_key
        jwt = credentials and credentials.jwt
        async with asyncio.timeout(seconds):
            await self._client.connect(
                server.address,
                name=config.relay_name,
                error_cb=self._report,
                closed_cb=self._closed,
                allow_reconnect=False,
                connect_timeout=seconds,  # type: ignore[arg-type]  # annotated as int
                ping_interval=NEVER,
                no_echo=True,
                tls=tls,
                tls_hostname=server.certified,
                user=secret(server.user),
                password=secret(server.password),
                token=secret(server.token),
                signature_cb=credentials and credentials.sign,
                user_jwt_cb=(lambda: jwt) if jwt else None,
                pending_size=-1,
            )
        self._confidential(server, "")
        await self._requests.start()
        self._connecting = False

    def _confidential(self, server: RelayServer, value: str) -> str:
        if server.scheme == "tls" and not self._client._server_info.get("tls_required"):
            raise NotEncrypted
        return value

    @property
    def is_connected(self) -> bool:
        """Whether the connection works, as far as is known."""
        return self._client.is_connected

    @property
    def version(self) -> tuple[int, int, int]:
        """The version of the server."""
        version = self._client.connected_server_version
        return version.major, version.minor, version.patch

    @property
    def max_payload(self) -> int:
        """Bytes of the largest message, with its headers."""
        return self._client.max_payload

    @property
    def pending_bytes(self) -> int:
        """Bytes that wait to be sent, and have not been given to the transport yet."""
        return self._client.pending_data_size

    @property
    def discovered(self) -> list[tuple[str, int]]:
        """Hosts and ports of the cluster's servers, as the server has announced them last."""
        uris = (urlsplit(f"//{each}") for each in self._client.announced)
        return [(uri.hostname, uri.port) for uri in uris if uri.hostname and uri.port]

    @property
    def figures(self) -> dict[str, int]:
        """nats-py's counters: ``in_msgs``, ``out_msgs``, ``in_bytes``, ``out_bytes``."""
        return self._client.stats

    def publish(self, subject: str, data: bytes, reply: str = "") -> bool:
        """Publish at once, and return False if that is impossible.

        If the fast path is not free, nats-py's coroutine publishes. It never waits, because
        ``pending_size`` is -1: it only appends to what its own task writes. So it can be run to its
        end here, without a task.
        """
        if not reply and self._client.write(subject, data):
            return True
        publishing = self._client.publish(subject, data, reply)
        try:
            publishing.send(None)
        except StopIteration:
            return True
        except Error:
            return False
        publishing.close()
        return False

    async def request(
        self, subject: str, data: bytes, headers: dict[str, str] | None = None
    ) -> Msg:
        """Ask for one answer at once, and wait for `TIMEOUT` at most.

        Raises:
            ConnectionError: The connection was lost meanwhile.
            Error: nats-py refuses, or there is no answer.
        """
        return await self._requests.send(subject, data, headers)

    def probe(self, subject: str, headers: dict[str, str] | None) -> None:
        """Publish an empty message, only to learn whether that is allowed; see `round_trip`.

        If it is not, ``on_lost`` is called with the reason before `round_trip` returns.

        Raises:
            Error: nats-py refuses.
        """
        self._requests.send(subject, b"", headers).cancel()

    def new_inbox(self) -> str:
        """Return a subject for answers."""
        return self._client.new_inbox()

    async def subscribe(
        self, subject: str, receive: Callable[[Msg], Awaitable[None]], limit: int
    ) -> Subscription:
        """Subscribe, with at most ``limit`` bytes waiting to be received."""
        subscription = await self._client.subscribe(subject, cb=receive, pending_bytes_limit=limit)
        self._subscriptions.add(subscription)
        return subscription

    async def receive(self, subject: str, receiver: Callable[[bytes], None]) -> Subscription:
        """Subscribe, and have each message's data passed on at once; see `FastClient.receive`."""
        subscription = await self._client.receive(subject, receiver)
        self._subscriptions.add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Unsubscribe, soon."""
        self._subscriptions.discard(subscription)
        self._start(subscription.unsubscribe())

    async def round_trip(self, seconds: float) -> bool:
        """Return whether the server answers, to everything that was sent before.

        It waits twice for half of ``seconds``: after a halt of this process the first
        wait ends before the answer, which has long been here, is read.
        """
        # A PONG after the end of rtt() would break nats-py's reader, so rtt() goes on.
        asking = self._start(self._client.rtt(NEVER))
        for _ in range(2):
            done, _ = await asyncio.wait({asking}, timeout=seconds / 2)
            if done:
                return not asking.cancelled() and asking.exception() is None
        return False

    def _start(self, coroutine: Any) -> "asyncio.Task[Any]":
        task: asyncio.Task[Any] = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # it is either awaited as well, or of no interest

    async def _report(self, error: Exception) -> None:
        if self._connecting:
            raise error  # otherwise nats-py goes on trying
        if isinstance(error, SlowConsumerError):
            self._on_dropped()
        elif isinstance(error, Error | OSError):
            self._on_lost(str(error))
        else:
            logger.error("a handler of the relay has failed", exc_info=error)

    async def _closed(self) -> None:
        self._on_lost(str(self._client.last_error or "the connection was closed"))

    async def abandon(self) -> None:
        """End the connection and everything that belongs to it, at once.

        Requests that have no answer raise `ConnectionError`.
        """
        client = self._client
        writer = getattr(client._transport, "_io_writer", None)
        if writer is not None:
            writer.transport.abort()
        self._requests.close()
        client._status = Client.CLOSED
        candidates = (
            client._reading_task,
            client._ping_interval_task,
            client._flusher_task,
            *(each._wait_for_msgs_task for each in (*client._subs.values(), *self._subscriptions)),
            *self._tasks,
        )
        await end(task for task in candidates if task and task is not asyncio.current_task())
        # The aborted transport closes its socket in the next turn.
        await asyncio.sleep(0)
