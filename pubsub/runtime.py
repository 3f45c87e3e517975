"""The composition root: the broker of a process, its event loop, and its connections."""

import asyncio
import concurrent.futures
import functools
import threading
import uuid
from collections.abc import Callable
from typing import Any, Literal, TypeVar

from asgiref.sync import async_to_sync

from pubsub import conf, drain
from pubsub.auth.access import Access
from pubsub.auth.configuration import AccessConfiguration
from pubsub.buckets import Buckets
from pubsub.core.broker import Broker
from pubsub.core.configuration import Configuration
from pubsub.core.errors import BrokerNotRunning
from pubsub.expiry import forget_regularly
from pubsub.lag import EventLoopLag
from pubsub.origins import Origins
from pubsub.protocol import replies
from pubsub.protocol.codes import Close
from pubsub.protocol.errors import TooManyConnections
from pubsub.protocol.messages import check_message_id
from pubsub.proxies import TrustedProxies
from pubsub.registry import Connection, Registry
from pubsub.tally import Tally
from pubsub.transport import on_stop
from pubsub.transport.tick import EndOfTick
from pubsub.transport.timeouts import Timeouts
from pubsub.transport.traffic import Traffic
from pubsub.turns import Turns

PUBLISH_TIMEOUT = 10.0
"""Seconds that another thread waits for the event loop to publish its message or ask again."""

T = TypeVar("T")


class Runtime:
    """A broker, the event loop that owns it, and the connections that it serves.

    The adapters (the consumer, the REST views) call `enter` before they use the broker. The first
    call makes their event loop its owner. Once that loop is closed, the next one takes over; this
    happens in tests, where each request of Django's test client may have its own loop.
    """

    def __init__(self, config: Configuration, access: Access | None = None) -> None:
        self.config = config
        self.access = access or Access(AccessConfiguration())
        self.proxies = TrustedProxies(self.access.config.trusted_proxies)
        self.origins = Origins(self.access.config.allowed_origins)
        self.registry = Registry(config)
        self.rest_rates = Buckets(config.rest_rate_limit) if config.rest_rate_limit else None
        self.broker = Broker(
            config,
            # Without tokens no event has a user, so not even the question is asked.
            encode=replies.encode_event_with_user if self.access.is_on else replies.encode_event,
            encode_kept=(
                replies.encode_event_with_offset_and_user
                if self.access.is_on
                else replies.encode_event_with_offset
            ),
            describe_loss=replies.encode_loss,
            describe_presence=replies.encode_presence,
        )
        self.cluster = None
        self.tally = Tally()
        self.traffic = Traffic()
        self.lag = EventLoopLag()
        self._make_timers()
        self.drain = drain.Drain(self.registry.tasks, config.drain_seconds)
        self._drains_before_stop = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def _make_timers(self) -> None:
        self.at_end_of_tick = EndOfTick().call
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
        return self.broker

    async def _enter(self) -> None:
        self.enter()

    def publish_from_any_thread(
        self, topic: str, payload: Any, *, message_id: str | None = None, once: bool = False
    ) -> int:
        """Publish from any thread; see `pubsub.publish`."""
        publish = functools.partial(
            self.broker.publish,
            topic,
            check_message_id(message_id) if message_id else str(uuid.uuid4()),
            replies.encode_payload(payload),
            once=once,
        )
        return self._call_from_any_thread(
            publish, otherwise="publish over REST to the one that does"
        ).subscribers

    def recheck_from_any_thread(self, user: str) -> None:
        """Ask again what a user may do, from any thread; see `pubsub.permissions_changed`."""
        self._call_from_any_thread(
            functools.partial(self._recheck, user), otherwise="call this in the one that does"
        )

    def _recheck(self, user: str) -> None:
        for connection in self.registry.of_user(user):
            if connection.session is not None:
                connection.session.recheck()

    def _call_from_any_thread(self, function: Callable[[], T], *, otherwise: str) -> T:
        here = _running_loop()
        if self._loop is None or self._loop.is_closed():
            # In a view's thread, async_to_sync runs this on the server's loop, the owner to be.
            self.enter() if here else async_to_sync(self._enter)()
        loop = self._loop
        if loop is None or not loop.is_running():
            raise BrokerNotRunning(f"this process serves no clients; {otherwise}")
        if loop is here:
            return function()
        called: concurrent.futures.Future[T] = concurrent.futures.Future()

        def call_here() -> None:
            if called.set_running_or_notify_cancel():
                try:
                    called.set_result(function())
                except Exception as error:
                    called.set_exception(error)

        loop.call_soon_threadsafe(call_here)
        try:
            return called.result(PUBLISH_TIMEOUT)
        finally:
            called.cancel()

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
            on_stop(self.drain.finish)

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
    def readiness(self) -> Literal["ok", "draining"]:
        """Whether new clients are welcome: ``ok``, or the reason why they are not."""
        return "draining" if self.drain.active else "ok"


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


_lock = threading.Lock()
_runtime: Runtime | None = None


def get_runtime() -> Runtime:
    """Return the runtime of this process; the first call creates it from the settings."""
    global _runtime
    with _lock:
        if _runtime is None:
            _runtime = Runtime(conf.get_configuration(), conf.get_access())
        return _runtime


def on_setting_changed(*, setting: str, **kwargs: Any) -> None:
    """Discard the runtime, with all topics, when a test overrides ``CHATROOM``."""
    global _runtime
    if setting == "CHATROOM":
        with _lock:
            _runtime = None
