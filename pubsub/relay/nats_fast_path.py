"""A shorter way through nats-py for what most messages need.

nats-py writes in a task of its own, and calls a subscription's callback in another, behind a queue.
Each of these is one more turn of the event loop and about 10 µs for every message. Here the first
message of a turn is written at once, if nothing waits to be written before it; those that follow
are left to nats-py, which writes them together. Messages of channels are received while nats-py
parses.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from nats.aio.client import Client
from nats.aio.subscription import Subscription

from pubsub.relay.nats_transport import Transport

logger = logging.getLogger(__name__)


class FastClient(Client):
    """nats-py's client, with `write`, `receive` and `announced`."""

    def __init__(self) -> None:
        super().__init__()
        self._transport = Transport()  # type: ignore[no-untyped-call]  # nats-py's constructor
        self._receivers: dict[int, Callable[[bytes], None]] = {}
        self._has_written = False
        """Whether a message was written in this turn of the event loop."""
        self.announced: list[str] = []
        """The servers of the cluster, as the server has announced them last."""

    def write(self, subject: str, data: bytes) -> bool:
        """Give a message to the operating system now.

        Returns:
            False, and nothing is done, if there is no connection, if the message is too large, if
            another one was written in this turn, or if something that was sent before still waits:
            then `publish` keeps the order, the bound of what waits, and the number of system calls
            small.
        """
        writer = getattr(self._transport, "_io_writer", None)
        if writer is None or not self.is_connected or self._pending or self._has_written:
            return False
        if len(data) > self.max_payload:
            return False
        transport = writer.transport
        if transport.is_closing() or transport.get_write_buffer_size():
            return False
        self._has_written = True
        asyncio.get_running_loop().call_soon(self._end_turn)
        self.stats["out_msgs"] += 1
        self.stats["out_bytes"] += len(data)
        transport.write(b"PUB %b %d\r\n%b\r\n" % (subject.encode(), len(data), data))
        return True

    def _end_turn(self) -> None:
        self._has_written = False

    async def receive(self, subject: str, receiver: Callable[[bytes], None]) -> Subscription:
        """Subscribe, and have each message's data passed to a function as soon as it is parsed.

        There is no queue: while the function runs, nothing is read from the server.
        """
        subscription = await self.subscribe(subject)
        self._receivers[subscription._id] = receiver
        return subscription

    def _remove_sub(self, sid: int, max_msgs: int = 0) -> None:
        super()._remove_sub(sid, max_msgs)
        self._receivers.pop(sid, None)

    async def _process_msg(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes
    ) -> None:
        receiver = self._receivers.get(sid)
        if receiver is None:
            await super()._process_msg(sid, subject, reply, data, headers)
            return
        self.stats["in_msgs"] += 1
        self.stats["in_bytes"] += len(data)
        try:
            receiver(data)
        except Exception:
            logger.exception("a handler of the relay has failed")

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        # nats-py only collects the servers, and so keeps those that are gone.
        self.announced = info.get("connect_urls") or self.announced
        await super()._process_info(info, initial_connection)

    @staticmethod
    def _parse_header_lines(raw: bytes) -> dict[str, str]:
        """Return the headers of a message, without examining each of their characters.

        NATS, or a process of the room, has made them.
        """
        lines = raw.decode("utf-8", "replace").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        return {name.strip(): value.strip() for name, separator, value in pairs if separator}
