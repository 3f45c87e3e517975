"""The questions that the parts of a cluster ask those of other processes."""

from collections.abc import Callable, Mapping
from contextlib import suppress

import msgspec

from pubsub.cluster.messenger.messenger import Messenger, NoAnswer
from pubsub.cluster.peers.beats import Count, Peer

GAP_TIMEOUT = 2.0
"""Seconds in which a process has to say what was lost of its publications."""

_COUNT, _POSITION, _RECHECK = "channels.count", "channels.position", "recheck"


class Questions:
    """Asks other processes, and answers them.

    Args:
        messenger: Carries the questions.
        alive: Returns the other processes that are alive.
        count: Returns how many publications in a part of a partition each topic had.
        position: Returns the number of the last publication in a partition.
        recheck: Asks again what a user may do, in this process.
    """

    def __init__(
        self,
        messenger: Messenger,
        *,
        alive: Callable[[], list[Peer]],
        count: Callable[[int, int, int], dict[str, int] | None],
        position: Callable[[int], int],
        recheck: Callable[[str], None],
    ) -> None:
        self._messenger = messenger
        self._alive = alive
        self._count = count
        self._position = position
        self._recheck = recheck
        messenger.handle(_COUNT, self._answer_count)
        messenger.handle(_POSITION, self._answer_position)
        messenger.handle(_RECHECK, self._answer_recheck)

    async def ask_all(self, kind: str, body: bytes) -> dict[str, bytes]:
        """Ask all processes that are alive; return the answers."""
        return await self._messenger.ask_all(kind, body, [each.id for each in self._alive()])

    async def ask_each(self, kind: str, body: bytes) -> dict[str, bytes | None]:
        """Ask all processes that are alive; return for each its answer, or ``None``."""
        asked = [each.id for each in self._alive()]
        answers = await self._messenger.ask_all(kind, body, asked)
        return {process_id: answers.get(process_id) for process_id in asked}

    async def ask_count(
        self, process_id: str, partition: int, first: int, last: int
    ) -> dict[str, int] | None:
        """Ask how many publications of each topic were lost; ``None`` if that is unknown."""
        body = msgspec.msgpack.encode((partition, first, last))
        try:
            answer = await self._messenger.ask(process_id, _COUNT, body, GAP_TIMEOUT)
        except NoAnswer:
            return None
        with suppress(msgspec.MsgspecError):
            return msgspec.msgpack.decode(answer, type=dict[str, Count] | None)
        return None

    def _answer_count(self, body: bytes) -> bytes:
        partition, first, last = msgspec.msgpack.decode(body, type=tuple[int, int, int])
        return msgspec.msgpack.encode(self._count(partition, first, last))

    async def ask_positions(self, partition: int) -> Mapping[str, int]:
        """Ask for the number of each process' last publication in a partition."""
        answers = await self.ask_all(_POSITION, msgspec.msgpack.encode(partition))
        positions: dict[str, int] = {}
        for process_id, answer in answers.items():
            with suppress(msgspec.MsgspecError):
                positions[process_id] = msgspec.msgpack.decode(answer, type=Count)
        return positions

    def _answer_position(self, body: bytes) -> bytes:
        return msgspec.msgpack.encode(self._position(msgspec.msgpack.decode(body, type=int)))

    async def recheck(self, user: str) -> bool:
        """Have all other processes ask again what a user may do; return whether all did."""
        alive = [peer.id for peer in self._alive() if peer.serves]
        answers = await self._messenger.ask_all(_RECHECK, user.encode(), alive, GAP_TIMEOUT)
        return len(answers) == len(alive)

    def _answer_recheck(self, body: bytes) -> bytes:
        self._recheck(body.decode())
        return b""
