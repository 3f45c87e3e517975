"""nats-py's connection, without two faults of what it is made of."""

import asyncio
import ssl
from collections.abc import Iterable
from urllib.parse import ParseResult

from nats.aio.transport import TcpTransport


class Transport(TcpTransport):
    """As nats-py's, but with a bounded buffer, and with the stream that asyncio makes for TLS.

    asyncio's `writelines` does not ask the writer to wait in Python 3.12.0 to 3.12.8 and 3.13.0
    (CVE-2024-12254), so that all messages would be buffered there while NATS hangs. And nats-py
    puts a stream for unencrypted connections onto TLS, about which asyncio warns with each lost
    connection, because it `returns true from eof_received()`.
    """

    def __bool__(self) -> bool:
        """Return true even before the connection, so that nats-py does not make another one."""
        return True

    def writelines(self, payload: Iterable[bytes]) -> None:
        """Write messages at once.

        Raises:
            ConnectionError: There is no connection.
        """
        self._writer().write(b"".join(payload))

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
        name = uri if isinstance(uri, str) else uri.hostname
        async with asyncio.timeout(connect_timeout):
            await self._writer().start_tls(ssl_context, server_hostname=name)

    def _writer(self) -> asyncio.StreamWriter:
        if self._io_writer is None:
            raise ConnectionError("there is no connection")
        return self._io_writer
