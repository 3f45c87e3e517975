"""The composition root: the broker of a process, its event loop, and its connections."""

import asyncio
import os
import secrets
import threading
from collections.abc import Awaitable
from typing import Any, Literal, TypeVar

from pubsub import conf, drain
from pubsub.auth.access import Access
from pubsub.auth.configuration import AccessConfiguration
from pubsub.buckets import Buckets
from pubsub.cluster.capacity import bytes_needed
from pubsub.cluster.cluster import Cluster
from pubsub.core.broker import Broker
from pubsub.core.configuration import Configuration
from pubsub.core.options import MAX_HISTORY
from pubsub.core.shared import SharedBroker
from pubsub.expiry import forget_regularly
from pubsub.lag import EventLoopLag
from pubsub.origins import Origins
from pubsub.protocol import replies
from pubsub.protocol.codes import Close
from pubsub.protocol.errors import TooManyConnections
from pubsub.proxies import TrustedProxies
from pubsub.registry import Connection, Registry
from pubsub.relay.base import Relay
from pubsub.relay.configuration import RelayConfiguration
from pubsub.tally import Tally
from pubsub.transport import on_stop
from pubsub.transport.tick import EndOfTick
from pubsub.transport.timeouts import Timeouts
from pubsub.transport.traffic import Traffic
from pubsub.turns import Turns

AnyBroker = TypeVar("AnyBroker", bound=Broker)


class Runtime:
    """A broker, the event loop that owns it, and the connections that it serves.

    The adapters (the consumer, the REST views) call `enter` before they use the broker. The first
    call makes their event loop its owner. Once that loop is closed, the next one takes over; this
    happens in tests, where each request of Django's test client may have its own loop.

    Args:
        config: The bounds of topics, connections and messages.
        access: Who may do what; by default everyone may do everything.
        relay: The way to the other processes of the room; ``None`` if there can be none.
        serves: Whether clients can connect to this process.
    """

    def __init__(
        self,
        config: Configuration,
        access: Access | None = None,
        relay: Relay | None = None,
        *,
        serves: bool = True,
    ) -> None:
        self.config = config
        self.process_id = secrets.token_hex(8)
        """Identifies this process among those of a room."""
        self.access = access or Access(AccessConfiguration())
        self.proxies = TrustedProxies(self.access.config.trusted_proxies)
        self.origins = Origins(self.access.config.allowed_origins)
        self.registry = Registry(config)
        self.rest_rates = Buckets(config.rest_rate_limit) if config.rest_rate_limit else None
        self.tally = Tally()
        self.traffic = Traffic()
        self.lag = EventLoopLag()
        self._make_timers()
        self.broker: Broker
        self.cluster: Cluster | None = None
        """The other processes of the room; ``None`` if there can be none."""
        if relay is None:
            self.broker = self._make_broker(Broker)
        else:
            self.broker = shared = self._make_broker(SharedBroker)
            self.cluster = self._make_cluster(shared, relay, serves)
        self.drain = drain.Drain(self.registry.tasks, config.drain_seconds)
        self._drains_before_stop = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def _make_broker(self, kind: type[AnyBroker]) -> AnyBroker:
        # Without tokens no event has a user, so not even the question is asked.
        with_user = self.access.is_on
        return kind(
            self.config,
            encode=replies.encode_event_with_user if with_user else replies.encode_event,
            encode_kept=(
                replies.encode_event_with_offset_and_user
                if with_user
                else replies.encode_event_with_offset
            ),
            describe_loss=replies.encode_loss,
            describe_presence=replies.encode_presence,
        )

    def _make_timers(self) -> None:
        end_of_tick = EndOfTick()
        self.at_end_of_tick, self.before_writing = end_of_tick.call, end_of_tick.call_first
        self.turns = Turns()
        self.timeouts = Timeouts(
            write_timeout=self.config.write_timeout, ping_interval=self.config.ping_interval
        )

    def enter(self) -> Broker:
        """Return the broker, for code that runs on its event loop."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop and (self._loop is None or self._loop.is_closed()):
            self._loop = loop
            self._make_timers()
            self.lag.start(loop)
            self.broker.take_ownership()
            forget_regularly(self.broker, loop)
            if self.cluster is not None:
                self.cluster.start()
                self._drain_before_stop()
        return self.broker

    def _make_cluster(self, broker: SharedBroker, relay: Relay, serves: bool) -> Cluster:
        return Cluster(
            self,
            broker,
            relay,
            serves=serves,
            at_end_of_tick=lambda callback: self.before_writing(callback),
        )

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop that owns the broker; ``None`` before the first `enter`."""
        return self._loop

    def recheck(self, user: str) -> None:
        """Ask again what a user may do, for each connection of this process."""
        for connection in self.registry.of_user(user):
            if connection.session is not None:
                connection.session.recheck()

    def join(self, connection: Connection) -> None:
        """Register a connection of the calling task, or close it if it is over a limit.

        It is also closed when the server stops.
        """
        admitted = self.registry.add(connection)
        self.tally.opened[connection.transport.kind] += 1
        self._drain_before_stop()
        if self.drain.active:
            self.drain.send_away(connection)
        elif not admitted:
            connection.close(Close.CONNECTION_LIMIT)

    def admit(self, connection: Connection) -> None:
        """Register a connection of the calling task that can be refused before it is opened.

        Raises:
            TooManyConnections: There is no room for it. It is not registered then.
        """
        if reason := self.registry.admit(connection):
            raise TooManyConnections(reason)
        self._drain_before_stop()

    def _drain_before_stop(self) -> None:
        if not self._drains_before_stop:
            self._drains_before_stop = True
            on_stop(self._finish)

    def _finish(self) -> Awaitable[None]:
        """Disconnect all clients now; the result waits for them, and leaves the room."""
        finished = self.drain.finish()
        return finished if self.cluster is None else self._leave(finished, self.cluster)

    async def _leave(self, finished: Awaitable[None], cluster: Cluster) -> None:
        await finished
        await cluster.stop()

    def forget(self, connection: Connection) -> None:
        """Unregister a connection that has ended. Safe to call twice."""
        if self.registry.remove(connection):
            transport = connection.transport
            self.tally.count_end(transport.close_code)

    def accepts_clients(self) -> bool:
        """Return whether a new client is welcome; if it is not, its refusal is counted."""
        if self.drain.active:
            self.registry.refused["draining"] += 1
        return not self.drain.active

    @property
    def connections(self) -> list[drain.Connection]:
        """The connections that have not ended, including those that are being closed."""
        return list(self.registry.tasks)

    @property
    def readiness(self) -> Literal["ok", "draining", "degraded"]:
        """Whether new clients are welcome: ``ok``, or the reason why they are not."""
        if self.drain.active:
            return "draining"
        return "ok" if self.cluster is None or self.cluster.is_ready else "degraded"


def make_relay(
    settings: RelayConfiguration, config: Configuration, *, is_logged: bool = True
) -> Relay | None:
    """Return the way to the other processes of the room, if the settings name one.

    Args:
        settings: Those of the relay.
        config: Those of the broker.
        is_logged: Whether the log says when the connection is made and lost.
    """
    if not settings.relay:
        return None
    from pubsub.relay.nats import NatsRelay  # so that nats-py is needed only with a relay

    return NatsRelay(
        settings,
        history_bytes=config.history_bytes,
        max_history=max(MAX_HISTORY, config.history_size, config.topics.max_history),
        once_seconds=config.once_seconds,
        is_logged=is_logged,
    )


def check_relay(settings: RelayConfiguration, config: Configuration) -> None:
    """Check that the relay takes the messages of clients, unless it is out of reach.

    It waits for a few seconds at most, and is for the start of a process.

    Raises:
        ValueError: They are too large for it.
    """
    if not settings.relay:
        return
    from pubsub.relay.nats import ask_max_bytes

    needed, offered = bytes_needed(config), ask_max_bytes(settings)
    if offered is not None and offered < needed:
        raise ValueError(
            "CHATROOM_MAX_MESSAGE_BYTES is too large for CHATROOM_RELAY, which takes messages "
            f"of {offered} bytes and would have to take {needed} bytes"
        )


_lock = threading.Lock()
_runtime: Runtime | None = None


def get_runtime() -> Runtime:
    """Return the runtime of this process; the first call creates it from the settings."""
    global _runtime
    with _lock:
        if _runtime is None:
            config = conf.get_configuration()
            relay = make_relay(conf.get_relay_configuration(), config)
            _runtime = Runtime(config, conf.get_access(), relay)
        return _runtime


def _forget_after_fork() -> None:
    """Leave the parent's runtime alone: its event loop does not run here, and its id is taken."""
    global _lock, _runtime
    _lock = threading.Lock()
    _runtime = None


os.register_at_fork(after_in_child=_forget_after_fork)


def on_setting_changed(*, setting: str, **kwargs: Any) -> None:
    """Discard the runtime, with all topics, when a test overrides ``CHATROOM``."""
    global _runtime
    if setting == "CHATROOM":
        with _lock:
            _runtime = None
