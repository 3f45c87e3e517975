"""The questions of other processes, and the answers of this one."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import msgspec

from pubsub.cluster.messenger.messages import (
    ALL,
    MAX_PARTS,
    Part,
    Question,
    answers_for,
    decode,
    encode,
    max_bytes,
    questions_for,
)
from pubsub.relay.base import Relay

logger = logging.getLogger(__name__)

MAX_RUNNING = 256
"""Questions of others that are answered at the same time; one more is answered with a failure."""

Handler = Callable[[bytes], bytes | Awaitable[bytes]]
"""Answers questions of one kind, at once or later."""


class Answering:
    """Answers the questions of other processes, each with the handler for its kind.

    Args:
        process_id: The id of this process.
        relay: The way to the others.
    """

    def __init__(self, process_id: str, relay: Relay) -> None:
        self._process_id = process_id
        self._relay = relay
        self._handlers: dict[str, Handler] = {}
        self._running: set[asyncio.Task[None]] = set()
        self.failed = 0
        """Questions that this process failed to answer."""

    async def start(self) -> None:
        """Receive questions. It may be called again, after it has failed.

        Raises:
            Unavailable: The relay did not take the subscriptions.
        """
        for channel in (questions_for(self._process_id), ALL):
            await self._relay.subscribe(channel, self._on_question)

    def stop(self) -> None:
        """Receive no more questions, and give up those that are being answered."""
        for channel in (questions_for(self._process_id), ALL):
            self._relay.unsubscribe(channel)
        for task in self._running:
            task.cancel()

    def handle(self, kind: str, handler: Handler) -> None:
        """Answer questions of a kind; see `Messenger.handle`."""
        self._handlers[kind] = handler

    def _on_question(self, data: bytes) -> None:
        question = decode(data, Question)
        if question is None:
            return
        handler = self._handlers.get(question.kind)
        if handler is None or len(self._running) >= MAX_RUNNING:
            self._fail(question)
            return
        try:
            answer = handler(question.body)
        except Exception as error:
            self._log(question, error)
            return
        if isinstance(answer, bytes) and len(answer) <= max_bytes(self._relay):
            self._send(question, 0, answer, is_last=True)
            return
        task = asyncio.ensure_future(self._finish(question, answer))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _finish(self, question: Question, answer: bytes | Awaitable[bytes]) -> None:
        try:
            body = answer if isinstance(answer, bytes) else await answer
        except Exception as error:
            self._log(question, error)
            return
        size = max_bytes(self._relay)
        if len(body) > size * MAX_PARTS:
            self._fail(question)
            return
        starts = range(0, len(body) or 1, size)
        for index, start in enumerate(starts):
            if index:
                await asyncio.sleep(0)  # half a MiB a turn, so that others are served meanwhile
            is_last = start == starts[-1]
            self._send(question, index, body[start : start + size], is_last=is_last)

    def _send(self, question: Question, index: int, body: bytes, *, is_last: bool) -> None:
        self._publish(
            question, Part(self._process_id, question.number, index, is_last, False, body)
        )

    def _log(self, question: Question, error: Exception) -> None:
        if isinstance(error, msgspec.MsgspecError | UnicodeDecodeError):
            # It came from another version of the program, or not from a process at all.
            logger.debug("A process's question is malformed: %s: %s", question.kind, error)
        else:
            logger.error("Failed to answer a process's question: %s", question.kind, exc_info=error)
        self._fail(question)

    def _fail(self, question: Question) -> None:
        self.failed += 1
        self._publish(question, Part(self._process_id, question.number, 0, True, True, b""))

    def _publish(self, question: Question, part: Part) -> None:
        self._relay.publish(answers_for(question.sender), encode(part))

    def __repr__(self) -> str:
        return f"<Answering, {len(self._running)} questions>"
