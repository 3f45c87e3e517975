"""The transport for server-sent events on any ASGI server: ``send`` is its flow control."""

import asyncio
import contextlib
from typing import Any

from pubsub.core.publication import Frame
from pubsub.protocol.codes import Close
from pubsub.transport import sse
from pubsub.transport.asgi import ASGITransport
from pubsub.transport.base import Peer, Reason, Receive, Send
from pubsub.transport.sse import Bookmark
from pubsub.transport.timeouts import Timeouts
from pubsub.transport.traffic import Traffic


class ASGIStream(ASGITransport):
    """The body of one response, whose headers are sent; otherwise like `ASGITransport`.

    Args:
        receive, send: The ASGI callables of the request.
        bookmark: Where the stream begins.
        timeouts: The timers of this event loop.
        traffic: Where the bytes are counted.
    """

    kind = "sse"

    def __init__(
        self,
        receive: Receive,
        send: Send,
        bookmark: Bookmark,
        timeouts: Timeouts,
        traffic: Traffic,
    ) -> None:
        super().__init__(receive, send, timeouts, traffic)
        self._bookmark = bookmark

    async def serve(self, peer: Peer) -> None:
        """Serve the stream with ``peer`` until the client leaves or the response is complete.

        A server that stops cancels a stream, which has no end of its own (uvicorn after
        ``--timeout-graceful-shutdown``). The response is completed then, instead of leaving the
        server with an exception to log.
        """
        self._peer = peer
        self._timeouts.comments.watch(self)
        peer.on_writable()
        ends = [
            asyncio.ensure_future(self._until_left()),
            asyncio.ensure_future(self.wait_closed()),
        ]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await self._end_at_stop(Close.SHUTDOWN)
        finally:
            for end in ends:
                end.cancel()
            self._lose()

    async def _until_left(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _end_at_stop(self, reason: Reason) -> None:
        """Complete the response, unless the client does not read: the server does not wait."""
        self.close_code, self.close_reason = reason.code, reason.reason
        if self.writable:
            with contextlib.suppress(Exception):  # the connection may be lost
                await self._send(self._last_message(reason))

    def comment(self) -> None:
        """Send a comment, if nothing else is waiting."""
        if self.writable:
            self.write([sse.KEEP_ALIVE])

    def _encode(self, frame: Frame) -> tuple[dict[str, Any], int]:
        body = sse.serialize([frame], self._bookmark)
        return {"type": "http.response.body", "body": body, "more_body": True}, len(body)

    def _last_message(self, reason: Reason) -> dict[str, Any]:
        return {"type": "http.response.body", "body": sse.ending(reason), "more_body": False}

    def _lose(self) -> None:
        self._timeouts.comments.forget(self)
        super()._lose()
