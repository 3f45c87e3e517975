"""The events of the chat room, as lines of the logger ``pubsub.server``.

`docs/operations.md` lists them with their fields. Each kind is logged at most `throttle.RATE` times
a second. A kind is an event, and its code or reason where it has one. The next line of the kind
carries ``suppressed``, the number of those that were left out; if there is no next one, a line
``events_suppressed`` follows about a second later. A level that is off costs one look.
"""

import asyncio
import functools
import logging
import time
from collections.abc import Callable
from typing import Any

from pubsub.logs.text import field, pair
from pubsub.logs.throttle import WINDOW, Throttle

logger = logging.getLogger("pubsub.server")


class Event:
    """An event, as the message of a log record: other projects' formatters get it as text.

    Args:
        name: The name of the event.
        fields: Its fields; those that are ``None`` are left out.
    """

    __slots__ = ("fields", "name")

    def __init__(self, name: str, fields: dict[str, Any]) -> None:
        self.name = name
        self.fields = {key: field(value) for key, value in fields.items() if value is not None}

    def __str__(self) -> str:
        return " ".join([self.name, *(pair(key, value) for key, value in self.fields.items())])


class EventLog:
    """Logs events, each kind within its rate.

    Args:
        clock: Returns the seconds of a monotonic clock.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._throttle: Throttle[tuple[int, str, int | str | None]] = Throttle(clock)
        self._loop: asyncio.AbstractEventLoop | None = None

    def write(self, level: int, name: str, **fields: Any) -> None:
        """Log an event, or count it as left out."""
        if not logger.isEnabledFor(level):
            return
        kind = (level, name, fields.get("code", fields.get("reason")))
        suppressed = self._throttle.admit(kind)
        if suppressed is None:
            self._report_later()
        else:
            logger.log(level, Event(name, {**fields, "suppressed": suppressed or None}))

    def report(self, *, all_kinds: bool = False) -> None:
        """Log how many events were left out, of the kinds that have become rare again.

        Args:
            all_kinds: Of the others as well.
        """
        for kind, count in self._throttle.take_suppressed(all_kinds=all_kinds):
            level, name, cause = kind
            fields = {"kind": name, "cause": cause, "suppressed": count}
            logger.log(level, Event("events_suppressed", fields))

    def _report_later(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        if self._loop is not loop:
            self._loop = loop
            loop.call_later(WINDOW, self._report_on, loop)

    def _report_on(self, loop: asyncio.AbstractEventLoop) -> None:
        self.report()
        if self._throttle.has_suppressed:
            loop.call_later(WINDOW, self._report_on, loop)
        else:
            self._loop = None


@functools.cache
def event_log() -> EventLog:
    """Return the `EventLog` of this process; the first call creates it."""
    return EventLog()


# --- The server ---


def server_started(version: str, **limits: Any) -> None:
    """The application is ready to be served."""
    event_log().write(logging.INFO, "server_started", version=version, **limits)


def server_drained(*, clients: int, seconds: float) -> None:
    """All clients that were connected when the server began to stop are gone.

    Args:
        clients: How many there were.
        seconds: How long it took.
    """
    event_log().write(logging.INFO, "server_drained", clients=clients, seconds=round(seconds, 3))


def server_stopped() -> None:
    """The server has stopped. Everything that was left out is reported first."""
    event_log().report(all_kinds=True)
    event_log().write(logging.INFO, "server_stopped")


def twisted_error(message: str, *, reason: str | None = None, place: str | None = None) -> None:
    """Twisted or Daphne has caught an exception of its own and goes on.

    Args:
        message: The text of the exception, or what was logged instead of one.
        reason: The name of its class.
        place: The file and the line.
    """
    event_log().write(
        logging.INFO, "twisted_error", reason=reason, message=message, place=place or None
    )


# --- Other processes ---


def relay_connected(*, server: str, room: str) -> None:
    """NATS is connected, for the first time or again.

    Args:
        server: The URL of the server, without credentials.
        room: The name of the room, `CHATROOM_RELAY_NAME`.
    """
    event_log().write(logging.INFO, "relay_connected", server=server, room=room)


def relay_lost(*, server: str, reason: str) -> None:
    """The connection to NATS was lost."""
    event_log().write(logging.INFO, "relay_lost", server=server, reason=reason)


def relay_unreachable(*, server: str, reason: str) -> None:
    """NATS could not be reached, or refused the connection."""
    event_log().write(logging.INFO, "relay_unreachable", server=server, reason=reason)


def relay_refused(*, reason: str) -> None:
    """NATS is connected, and does not let this process join the others; it keeps trying."""
    event_log().write(logging.INFO, "relay_refused", reason=reason)


def relay_too_small(*, max_payload: int, needed: int) -> None:
    """NATS does not take the largest message of a client, so this process does not join others."""
    event_log().write(logging.ERROR, "relay_too_small", max_payload=max_payload, needed=needed)


def topic_options_differ(topics: str, *, count: int) -> None:
    """Some topics have other options than this process configures for them; theirs count.

    Args:
        topics: The first few of them.
        count: How many there are.
    """
    event_log().write(logging.WARNING, "topic_options_differ", count=count, topics=topics)


def configured_topic_refused(topic: str, *, reason: str) -> None:
    """A topic of the configuration does not exist, because the room has too many topics."""
    event_log().write(logging.WARNING, "configured_topic_refused", reason=reason, topic=topic)


def registry_entry_invalid(key: str, *, message: str) -> None:
    """The room's registry has an entry that this version cannot read; it is ignored."""
    event_log().write(logging.WARNING, "registry_entry_invalid", key=key, message=message)


# --- Clients ---


def client_connected(client_id: str, *, address: str, user: str | None = None) -> None:
    """A client was accepted."""
    event_log().write(
        logging.DEBUG, "client_connected", client_id=client_id, user=user, address=address
    )


def client_disconnected(
    client_id: str, *, address: str, code: int, user: str | None = None
) -> None:
    """A connection has ended, with this close code, for whatever reason."""
    event_log().write(
        logging.DEBUG,
        "client_disconnected",
        code=code,
        client_id=client_id,
        user=user,
        address=address,
    )


def refused(reason: str, *, address: str, **details: Any) -> None:
    """A client was refused at its handshake.

    Args:
        reason: One word of a fixed set, such as ``origin``.
        address: The client's IP address.
        details: More fields, such as ``user``, ``origin`` or ``host``. Never a token.
    """
    event_log().write(logging.INFO, "client_refused", reason=reason, address=address, **details)


def client_closed(
    client_id: str, *, code: int, reason: str, address: str, user: str | None = None
) -> None:
    """The server closes a connection because of what the client did, or failed to do."""
    event_log().write(
        logging.INFO,
        "client_closed",
        code=code,
        reason=reason,
        client_id=client_id,
        user=user,
        address=address,
    )


def slow_consumer(client_id: str, *, address: str, user: str | None = None) -> None:
    """A client has lost an event for the first time, because it does not read fast enough."""
    event_log().write(
        logging.INFO, "slow_consumer", client_id=client_id, user=user, address=address
    )
