"""What clients leave behind in a server: memory, file descriptors and registrations."""

from types import TracebackType
from typing import Self

from tests.live.server import Server
from tests.live.waiting import wait_until

MAX_GROWTH = 24 << 20
"""Bytes by which the memory of a server may grow while nothing is stored in it.

The allocator keeps some pages of a burst for the next one; a leak of 3 KB for each of the 10,000
clients of a long run exceeds it.
"""


class LeavesNoTrace:
    """Checks that a server is after the block what it was before.

    That is: no client, the same number of file descriptors, and at most `MAX_GROWTH` more memory.
    ``growth`` is then the number of bytes by which the memory grew.
    """

    growth = 0

    def __init__(self, server: Server) -> None:
        self._server = server

    def __enter__(self) -> Self:
        self._server.request("GET", "/stats")
        self._memory = self._server.memory()
        self._descriptors = self._server.descriptors()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            server = self._server
            wait_until(lambda: server.request("GET", "/stats")[1]["totals"]["clients"] == 0)
            wait_until(lambda: server.descriptors() <= self._descriptors)
            self.growth = max(0, server.memory() - self._memory)
            assert self.growth <= MAX_GROWTH
