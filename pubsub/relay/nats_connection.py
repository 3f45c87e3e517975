"""The connection to NATS: made, watched, lost, and made again, for as long as the process runs."""

import asyncio
import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error, NoRespondersError

from pubsub import logs
from pubsub.relay.base import TIMEOUT, Handler
from pubsub.relay.configuration import RelayConfiguration, RelayServer
from pubsub.relay.errors import Unavailable
from pubsub.relay.nats_client import NatsClient
from pubsub.relay.tasks import end
from pubsub.relay.values import RelayStatistics

MIN_VERSION = (2, 12, 2)
"""The oldest server that has batches of direct gets and markers that expire.

Those before stop answering when markers are stored while the stream is read.
"""

HEADERS_BYTES = 1024
"""Bytes of a message that its headers take at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Seconds, and bytes that wait to be received, of a connection.

    A connection that is silently dead is noticed after ``ping_interval + ping_timeout``. If more
    than ``flood_bytes`` have arrived while an answer is late, it is behind a flood of messages.
    """

    connect: float = 2.0
    first_pause: float = 0.1
    max_pause: float = 2.0
    ping_interval: float = 2.0
    ping_timeout: float = 4.0
    incoming_bytes: int = 8 * 1024 * 1024
    flood_bytes: int = 1024 * 1024


@dataclass(eq=False, slots=True)
class Interest:
    """A subscription that outlives connections. `receive` or `receive_data` gets its messages.

    No message may be missed by `receive`. Where nats-py drops one, because too many wait, the
    connection is made again, so that everything is read again.
    """

    subject: str
    receive: Callable[[Msg], None] | None = None
    receive_data: Callable[[bytes], None] | None = None
    subscription: Subscription | None = field(default=None, repr=False)


class NatsConnection:
    """The connection of a process to NATS, with its subscriptions.

    Args:
        config: The settings.
        timings: Limits of time and size.
        is_logged: Whether the log says when it is made and lost.

    Raises:
        ValueError: A file that the settings name cannot be used.
    """

    def __init__(
        self, config: RelayConfiguration, timings: Timings, *, is_logged: bool = True
    ) -> None:
        self.is_connected = False
        self.max_bytes = 1 << 20
        self._config = config
        self._timings = timings
        self._is_logged = is_logged
        self._tls = config.tls()
        self._named = config.servers()
        self._servers = deque(self._named)
        random.shuffle(self._servers)
        self._handler: Handler | None = None
        self._client: NatsClient | None = None
        self._running: asyncio.Task[None] | None = None
        self._lost: asyncio.Future[str] | None = None
        self._reasons: dict[str, str] = {}  # why each server could not be reached, as logged
        self._interests: dict[str, Interest] = {}
        self._probes: list[tuple[str, dict[str, str] | None]] = []
        self._connections = 0
        self._dropped: Counter[str] = Counter()
        self._totals: Counter[str] = Counter()
        self._buffer_bytes = config.relay_buffer_bytes // 2  # the transport holds as many again

    def __repr__(self) -> str:
        state = "connected" if self.is_connected else "disconnected"
        return f"<NatsConnection {self._config.relay_name} {state}>"

    @property
    def statistics(self) -> RelayStatistics:
        """Counters, and the bytes that wait to be sent."""
        figures = self._totals + Counter(self._client.figures if self._client else {})
        return RelayStatistics(
            connected=self.is_connected,
            reconnections=max(0, self._connections - 1),
            sent_messages=figures["out_msgs"],
            sent_bytes=figures["out_bytes"],
            received_messages=figures["in_msgs"],
            received_bytes=figures["in_bytes"],
            dropped=dict(self._dropped),
            buffered_bytes=self._client.pending_bytes if self._client else 0,
        )

    # --- The life of a connection ---

    def start(self, handler: Handler) -> None:
        """Begin to connect, and report to ``handler`` from now on."""
        self._handler = handler
        self._running = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Send what is waiting, for a second at most, and end. The handler is not called again."""
        if self._running is not None:
            await end([self._running])
        client = self._client
        if client is not None:
            if self.is_connected:
                await client.round_trip(1.0)
            self.is_connected = False
            await self._abandon(client)

    async def ask_max_bytes(self) -> int | None:
        """Connect to each server in turn until one answers; return its `max_bytes`, or None."""
        for server in self._servers:
            client = NatsClient(lambda reason: None, lambda: None)
            try:
                await client.connect(server, self._config, self._tls, self._timings.connect)
                return client.max_payload - HEADERS_BYTES
            except Exception as error:
                self._log_unreachable(server, error)
            finally:
                await client.abandon()
        return None

    def lose(self, reason: str) -> None:
        """Give the present connection up, so that another one is made."""
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(reason)

    async def _run(self) -> None:
        pause = self._timings.first_pause
        clock = asyncio.get_running_loop().time
        while True:
            server = self._servers[0]
            self._servers.rotate(-1)
            self._lost = asyncio.get_running_loop().create_future()
            client = self._client = NatsClient(self.lose, self._count_dropped)
            try:
                await client.connect(server, self._config, self._tls, self._timings.connect)
                await self._restore(client)
            except Exception as error:
                # Whatever it is, an unusable credentials file as well: it may be repaired.
                self._log_unreachable(server, error)
                await self._abandon(client)
                await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311
                pause = min(2 * pause, self._timings.max_pause)
                continue
            self._reasons.clear()
            begin = clock()
            await self._serve(client, server)
            self._remember(client.discovered, server)
            await self._abandon(client)
            if clock() - begin < self._timings.max_pause:
                # A server that ends each connection at once must not be tried without a pause.
                await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311
                pause = min(2 * pause, self._timings.max_pause)
            else:
                pause = self._timings.first_pause

    def _remember(self, discovered: list[tuple[str, int]], server: RelayServer) -> None:
        """Connect next time to the servers of the settings and those that were announced last.

        Others that were announced before may be gone for good, and each would cost a time limit.

        Args:
            discovered: Hosts and ports that the present server has announced.
            server: The present server, whose credentials the others get. It comes last.
        """
        others = [
            each
            for each in self._servers
            if each != server and (each in self._named or (each.host, each.port) in discovered)
        ]
        known = {(each.host, each.port) for each in (server, *others)}
        certified = server.certified or server.host
        new = [
            server._replace(host=host, port=port, certified=certified)
            for host, port in discovered
            if (host, port) not in known
        ]
        random.shuffle(new)
        self._servers = deque([*others, *new, server])

    async def _restore(self, client: NatsClient) -> None:
        """Subscribe to everything on a new connection, until the server knows and allows it all."""
        if client.version < MIN_VERSION:
            wanted = ".".join(map(str, MIN_VERSION))
            raise Error(f"the server must have version {wanted} at least")
        for subject, headers in self._probes:
            client.probe(subject, headers)
        for interest in self._interests.values():
            interest.subscription = None
        while missing := [
            interest for interest in self._interests.values() if interest.subscription is None
        ]:
            for interest in missing:
                if self._interests.get(interest.subject) is interest:
                    await self._subscribe(client, interest)
            if not await client.round_trip(TIMEOUT):
                raise Error("the server does not answer")
        if self._lost is not None and self._lost.done():
            raise Error(self._lost.result())  # it has refused a subscription, or a probe

    async def _serve(self, client: NatsClient, server: RelayServer) -> None:
        """Report the connection, wait until it is lost, and report that."""
        assert self._handler is not None  # noqa: S101  # start() has set it
        self.max_bytes = client.max_payload - HEADERS_BYTES
        self.is_connected = True
        self._connections += 1
        if self._is_logged:
            logs.relay_connected(server=server.address, room=self._config.relay_name)
        self._handler.on_connected()
        reason = await self._wait_for_loss(client)
        self.is_connected = False
        if self._is_logged:
            logs.relay_lost(server=server.address, reason=reason)
        self._handler.on_disconnected()

    async def _wait_for_loss(self, client: NatsClient) -> str:
        assert self._lost is not None  # noqa: S101  # _run() has set it
        lost: asyncio.Future[Any] = self._lost
        while not lost.done():
            await asyncio.wait({lost}, timeout=self._timings.ping_interval)
            received = client.figures["in_bytes"]
            asking: asyncio.Future[Any] = asyncio.ensure_future(
                client.round_trip(self._timings.ping_timeout)
            )
            await asyncio.wait({lost, asking}, return_when=asyncio.FIRST_COMPLETED)
            # Heartbeats alone prove nothing: only what this process sends may be lost on its way.
            is_flooded = client.figures["in_bytes"] - received > self._timings.flood_bytes
            if asking.done() and not asking.result() and not is_flooded:
                self.lose("the server does not answer")
            asking.cancel()
        return str(lost.result())

    def _log_unreachable(self, server: RelayServer, error: Exception) -> None:
        reason = str(error) or type(error).__name__
        if self._is_logged and reason != self._reasons.get(server.address):
            logs.relay_unreachable(server=server.address, reason=reason)
        self._reasons[server.address] = reason

    async def _abandon(self, client: NatsClient) -> None:
        self._client = None
        self._totals.update(client.figures)
        await client.abandon()

    # --- What a relay does with it ---

    def publish(self, subject: str, data: bytes) -> bool:
        """Publish at once; return False, and count it, if the message is dropped."""
        client = self._client
        if not self.is_connected or client is None or not client.is_connected:
            self._dropped["disconnected"] += 1
        elif len(data) > self.max_bytes:
            self._dropped["too_large"] += 1
        elif client.pending_bytes + len(data) > self._buffer_bytes:
            self._dropped["buffer_full"] += 1
        elif client.publish(subject, data):
            return True
        else:
            self._dropped["disconnected"] += 1
        return False

    def probe(self, subject: str, headers: dict[str, str] | None = None) -> None:
        """Send an empty message first on each connection, which counts only if it is allowed.

        Without that permission the connection would be lost at the first message that matters.
        """
        self._probes.append((subject, headers))

    def add(self, interest: Interest) -> None:
        """Receive a subject from the next connection on."""
        self._interests[interest.subject] = interest

    async def subscribe(self, interest: Interest) -> None:
        """Receive a subject from now on, on every connection, and wait until the server knows.

        Raises:
            Unavailable: It does not know it yet.
        """
        self.unsubscribe(interest.subject)
        self.add(interest)
        client = self.client()
        await self._subscribe(client, interest)
        if not await client.round_trip(TIMEOUT):
            raise Unavailable("NATS does not answer")

    def unsubscribe(self, subject: str) -> None:
        """Receive a subject no more."""
        interest = self._interests.pop(subject, None)
        if interest is not None and interest.subscription is not None and self._client is not None:
            self._client.unsubscribe(interest.subscription)

    async def _subscribe(self, client: NatsClient, interest: Interest) -> None:
        def is_wanted() -> bool:
            # After an unsubscription, what nats-py holds already is of no interest.
            return self._interests.get(interest.subject) is interest

        async def receive(message: Msg) -> None:
            if interest.receive is not None and is_wanted():
                interest.receive(message)

        def receive_data(data: bytes) -> None:
            if interest.receive_data is not None and is_wanted():
                interest.receive_data(data)

        if interest.receive_data is not None:
            interest.subscription = await client.receive(interest.subject, receive_data)
            return
        # nats-py drops a message that is as large as the limit, however few wait.
        limit = max(self._timings.incoming_bytes, 2 * client.max_payload)
        interest.subscription = await client.subscribe(interest.subject, receive, limit)

    def _count_dropped(self) -> None:
        self._dropped["slow_consumer"] += 1
        self.lose("too much came at once")

    def client(self) -> NatsClient:
        """Return the present connection.

        Raises:
            Unavailable: There is none, or too much waits to be sent to it.
        """
        client = self._client
        if not self.is_connected or client is None or not client.is_connected:
            raise Unavailable("NATS is not connected")
        if client.pending_bytes > self._buffer_bytes:
            raise Unavailable("too much waits to be sent to NATS")
        return client

    async def request(
        self, subject: str, data: bytes = b"", headers: dict[str, str] | None = None
    ) -> bytes:
        """Return the answer to a request.

        Raises:
            Unavailable: There was none; ``unknown_fate`` if the request may have been received.
        """
        client = self.client()
        if len(data) > self.max_bytes:
            raise Unavailable(f"NATS takes no more than {self.max_bytes} bytes")
        try:
            return (await client.request(subject, data, headers)).data
        except NoRespondersError as error:
            raise Unavailable(str(error)) from None
        except (Error, OSError, TimeoutError) as error:
            raise Unavailable(f"NATS has not answered ({error})", unknown_fate=True) from None
