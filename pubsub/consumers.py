"""The entry point from Channels."""

from typing import Any, NamedTuple, NoReturn

from channels.exceptions import AcceptConnection, DenyConnection
from channels.generic.websocket import AsyncWebsocketConsumer

from pubsub.auth import handshake
from pubsub.connection.connection import Connection
from pubsub.core.publication import Frame
from pubsub.protocol.codes import Close
from pubsub.runtime import Runtime, get_runtime
from pubsub.transport import accept
from pubsub.transport.base import Receive, Send


class OwnReason(NamedTuple):
    """Why a subclass of `ChatConsumer` closes a connection."""

    code: int
    reason: str


class ChatConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """Accepts a WebSocket and hands it to a `Connection`.

    A subclass may override `connect`, to reject the client or to choose a subprotocol, and
    `disconnect`. Channels' dispatch loop, which switches threads for each message, is not used, so
    message handlers and channel-layer groups are not available.

    Args:
        runtime: The runtime that the client joins; by default that of this process.
    """

    connection: Connection | None = None
    """The client's connection; ``None`` until the client is accepted."""

    def __init__(self, runtime: Runtime | None = None) -> None:
        super().__init__()
        self.runtime = runtime or get_runtime()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Serve the client until its socket is closed."""
        self.scope = scope
        self.base_receive = receive
        self.base_send = send
        await receive()  # websocket.connect
        try:
            await self._connect()
        except BaseException:
            if self.connection is not None:  # it is a client already, and will not be served
                self.connection.close(Close.INTERNAL)
            raise
        if self.connection is not None:
            try:
                await self.connection.run()
            finally:
                await self.disconnect(self.connection.transport.close_code)

    async def _connect(self) -> None:
        try:
            await self.connect()
        except AcceptConnection:
            await self.accept()
        except DenyConnection:
            await self.close()

    async def connect(self) -> None:
        """Accept the client, with the subprotocol ``chatroom.v1`` if the client offers it."""
        await self.accept(handshake.subprotocol_of(self.scope))

    async def accept(self, subprotocol: str | None = None, headers: Any = None) -> None:
        """Complete the handshake.

        Raises:
            ValueError: ``headers`` were given, which Daphne does not send.
        """
        if headers:
            raise ValueError("additional headers are not supported by Daphne")
        runtime = self.runtime
        runtime.enter()
        transport = await accept(
            self.scope,
            self.base_receive,
            self.base_send,
            subprotocol=subprotocol,
            config=runtime.config,
            timeouts=runtime.timeouts,
            traffic=runtime.traffic,
        )
        address = runtime.proxies.address_of(self.scope)
        self.connection = Connection(runtime, transport, address=address, **self._credentials())

    def _credentials(self) -> dict[str, Any]:
        access, scope = self.runtime.access, self.scope
        if not access.is_on:
            return {}
        user = handshake.user_of(scope) if access.authorizer else None
        return {"user": user, "token": handshake.token_of(scope)}

    async def send(
        self, text_data: str | None = None, bytes_data: bytes | None = None, close: bool = False
    ) -> None:
        """Queue a text frame in the client's outbox. It is never dropped.

        Raises:
            ValueError: ``text_data`` is missing (binary frames are not supported), or the client
                is not accepted yet.
        """
        if text_data is None or self.connection is None:
            raise ValueError("only text can be sent, and only once the client is accepted")
        self.connection.outbox.put_reply(Frame(text_data.encode()))
        if close:
            await self.close()

    async def close(self, code: int | bool | None = None, reason: str | None = None) -> None:
        """Close the connection, or reject the client if it is not accepted yet."""
        if self.connection is None:
            await super().close(code, reason)
        else:
            number = 1000 if code is None or code is True else int(code)
            self.connection.on_writable()  # flush first: closing discards the outbox
            self.connection.close(OwnReason(number, reason or ""))

    def _not_there(self) -> NoReturn:
        raise AttributeError("the chat room does not use the dispatch loop of Channels")

    dispatch = receive = property(_not_there)
    websocket_connect = websocket_receive = websocket_disconnect = property(_not_there)
