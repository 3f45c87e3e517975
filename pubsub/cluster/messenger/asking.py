"""The questions of this process that wait for answers."""

import asyncio
from collections.abc import Collection

from pubsub.cluster.messenger.messages import (
    MAX_PARTS,
    Part,
    Question,
    answers_for,
    decode,
    encode,
    max_bytes,
)
from pubsub.core.timer import CallLater, Timer
from pubsub.relay.base import Relay

MAX_OPEN = 1024
"""Questions of this process that are not answered yet; one more is not asked."""


class _Open:
    """A question, and what has been answered so far."""

    __slots__ = ("answers", "done", "missing", "parts", "timer")

    def __init__(self, processes: Collection[str]) -> None:
        self.missing = set(processes)
        self.answers: dict[str, bytes] = {}
        self.parts: dict[str, list[bytes]] = {}
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.timer: Timer | None = None

    def end(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


class Asking:
    """Asks questions, and puts the parts of their answers together.

    Args:
        process_id: The id of this process.
        relay: The way to the others.
        call_later: Calls a function after some seconds.
    """

    def __init__(self, process_id: str, relay: Relay, call_later: CallLater) -> None:
        self._process_id = process_id
        self._relay = relay
        self._call_later = call_later
        self._open: dict[int, _Open] = {}
        self._number = 0
        self.asked = 0
        """Processes that were asked."""
        self.unanswered = 0
        """Those that gave no answer, or not in time."""

    async def start(self) -> None:
        """Receive answers. It may be called again, after it has failed.

        Raises:
            Unavailable: The relay did not take the subscription.
        """
        await self._relay.subscribe(answers_for(self._process_id), self._on_part)

    def stop(self) -> None:
        """Receive no more answers; questions that are open end without one."""
        self._relay.unsubscribe(answers_for(self._process_id))
        for question in self._open.values():
            question.end()

    async def ask(
        self,
        channel: str,
        kind: str,
        body: bytes,
        processes: Collection[str],
        timeout: float,  # noqa: ASYNC109  # what has arrived by then is the result
    ) -> dict[str, bytes]:
        """Ask on a channel; return the answers of those of ``processes`` that came in time.

        Raises:
            ValueError: The body is too long.
        """
        size = max_bytes(self._relay)
        if len(body) > size:
            raise ValueError(f"a question has at most {size} bytes, not {len(body)}")
        if not processes or len(self._open) >= MAX_OPEN:
            return {}
        self._number += 1
        number = self._number
        question = self._open[number] = _Open(processes)
        self.asked += len(question.missing)
        data = encode(Question(self._process_id, number, kind, body))
        try:
            if self._relay.publish(channel, data):
                question.timer = self._call_later(timeout, question.end)
                await question.done
        finally:
            del self._open[number]
            if question.timer is not None:
                question.timer.cancel()
        self.unanswered += len(processes) - len(question.answers)
        return question.answers

    def _on_part(self, data: bytes) -> None:
        part = decode(data, Part)
        question = None if part is None else self._open.get(part.number)
        if part is None or question is None or part.sender not in question.missing:
            return
        parts = question.parts.setdefault(part.sender, [])
        if part.has_failed or part.index != len(parts) or part.index >= MAX_PARTS:
            _close(question, part.sender)
            return
        parts.append(part.body)
        if part.is_last:
            question.answers[part.sender] = b"".join(parts)
            _close(question, part.sender)

    def __len__(self) -> int:
        return len(self._open)

    def __repr__(self) -> str:
        return f"<Asking, {len(self)} questions>"


def _close(question: _Open, sender: str) -> None:
    question.missing.discard(sender)
    question.parts.pop(sender, None)
    if not question.missing:
        question.end()
