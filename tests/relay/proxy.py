"""A TCP proxy in front of a server, which can swallow everything, or only some words."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Proxy:
    """Forwards connections to a local port.

    While `swallows`, nothing is forwarded, on old connections and on new ones: bytes disappear,
    as behind a firewall that drops packets.
    """

    def __init__(self, target: int) -> None:
        self.port = 0
        self.swallows = False
        self.unheard: bytes | None = None
        """What no one hears, in either direction."""
        self.swallowed = 0
        """How often that was said."""
        self._target = target
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Connect a client with the server."""
        reader_there, writer_there = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers |= {writer, writer_there}
        for source, sink in ((reader, writer_there), (reader_there, writer)):
            task = asyncio.create_task(self._forward(source, sink))
            self._tasks.add(task)

    async def _forward(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                if self.unheard is not None:
                    self.swallowed += data.count(self.unheard)
                    data = data.replace(self.unheard, b"")
                if not self.swallows:
                    sink.write(data)
                    await sink.drain()
        sink.close()

    async def close(self) -> None:
        """End all connections."""
        for writer in self._writers:
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def proxy_to(port: int) -> AsyncIterator[Proxy]:
    """Run a proxy in front of a local port."""
    proxy = Proxy(port)
    listener = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
    proxy.port = listener.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        listener.close()
        await proxy.close()
        await listener.wait_closed()
