"""nats-py's connection, encrypted so that its end is no event for asyncio's log."""

import asyncio
import ssl
from urllib.parse import ParseResult

from nats.aio.transport import TcpTransport


class Transport(TcpTransport):
    """As nats-py's, but with the stream that asyncio itself makes for TLS.

    nats-py puts a stream for unencrypted connections onto TLS. With each lost connection asyncio
    then warns that it `returns true from eof_received()`.
    """

    def __bool__(self) -> bool:
        """Return true even before the connection, so that nats-py does not make another one."""
        return True

    async def connect_tls(
        self,
        uri: str | ParseResult,
        ssl_context: ssl.SSLContext,
        buffer_size: int,
        connect_timeout: int,
    ) -> None:
        """Encrypt the connection.

        Args:
            uri: The server, or the name in its certificate.
            ssl_context: What is trusted, and the own certificate.
            buffer_size: Not used: the connection has its buffer.
            connect_timeout: Seconds that it may take.

        Raises:
            ConnectionError: There is no connection.
            ssl.SSLError: One side does not accept the other.
            TimeoutError: It takes too long.
        """
        if self._io_writer is None:
            raise ConnectionError("there is no connection")
        name = uri if isinstance(uri, str) else uri.hostname
        async with asyncio.timeout(connect_timeout):
            await self._io_writer.start_tls(ssl_context, server_hostname=name)
