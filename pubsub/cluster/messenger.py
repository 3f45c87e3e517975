"""Questions between the processes of a room, and their answers, over a relay's lossy channels."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from typing import NamedTuple, TypeVar

import msgspec

from pubsub.cluster.names import ProcessId
from pubsub.core.timer import CallLater, Timer, on_running_loop
from pubsub.relay.base import Relay

logger = logging.getLogger(__name__)

TIMEOUT = 0.5
"""Seconds for which an answer is awaited, unless the question says otherwise."""

PART_BYTES = 512 * 1024
"""Bytes of an answer that travel as one message, and the most that a question may have; or half of
what the relay takes, if that is less."""

MAX_PARTS = 64
"""Parts of one answer; a longer one is a failure."""

MAX_OPEN = 1024
"""Questions of this process that are not answered yet; one more is not asked."""

MAX_RUNNING = 256
"""Questions of others that are being answered; one more is answered as a failure."""

Structure = TypeVar("Structure", bound=msgspec.Struct)

Handler = Callable[[bytes], bytes | Awaitable[bytes]]
"""Answers questions of one kind, at once or later."""


class NoAnswer(Exception):
    """The other process did not answer in time, could not be asked, or failed to answer."""


class _Question(msgspec.Struct, array_like=True):
    sender: ProcessId
    number: int
    kind: str
    body: bytes


class _Part(msgspec.Struct, array_like=True):
    """A part of an answer; a failure is one part that says so."""

    sender: str
    number: int
    index: int
    is_last: bool
    has_failed: bool
    body: bytes


class _Open:
    """A question of this process, and what has been answered so far."""

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


class MessengerStatistics(NamedTuple):
    """What a messenger has counted since its start."""

    asked: int
    unanswered: int
    """Processes that were asked and gave no answer, or not in time."""

    failed: int
    """Questions of others that this process failed to answer."""


class Messenger:
    """Asks other processes, and answers them.

    Nothing is asked twice: a lost question or answer is no answer. Without the network nobody
    answers. A process never asks itself, so the caller computes its own answer. Answers to one
    question may arrive in any order.

    Args:
        process_id: The id of this process.
        relay: The way to the others.
        call_later: Calls a function after some seconds; by default the running event loop does.
    """

    def __init__(
        self, process_id: str, relay: Relay, *, call_later: CallLater = on_running_loop
    ) -> None:
        self._process_id = process_id
        self._relay = relay
        self._call_later = call_later
        self._handlers: dict[str, Handler] = {}
        self._open: dict[int, _Open] = {}
        self._number = 0
        self._running: set[asyncio.Task[None]] = set()
        self._asked = self._unanswered = self._failed = 0

    async def start(self) -> None:
        """Receive questions and answers. It may be called again, after it has failed.

        Raises:
            Unavailable: The relay did not take the subscriptions.
        """
        own = self._process_id
        await self._relay.subscribe(f"answer.{own}", self._on_part)
        await self._relay.subscribe(f"ask.{own}", self._on_question)
        await self._relay.subscribe("ask.all", self._on_question)

    def stop(self) -> None:
        """Neither ask nor answer any longer; questions that are open end without an answer."""
        for channel in (f"answer.{self._process_id}", f"ask.{self._process_id}", "ask.all"):
            self._relay.unsubscribe(channel)
        for task in self._running:
            task.cancel()
        for question in self._open.values():
            question.end()

    def handle(self, kind: str, handler: Handler) -> None:
        """Answer questions of a kind with what ``handler`` makes of their bodies.

        It runs on the event loop. If it raises, the answer is a failure, which is logged unless the
        body could not be decoded.
        """
        self._handlers[kind] = handler

    async def ask(
        self,
        process_id: str,
        kind: str,
        body: bytes = b"",
        timeout: float = TIMEOUT,  # noqa: ASYNC109  # what has arrived by then is the result
    ) -> bytes:
        """Ask one process; return its answer.

        Args:
            process_id: The id of another process.
            kind: What is asked.
            body: Up to `PART_BYTES` bytes that say more.
            timeout: Seconds to wait.

        Raises:
            NoAnswer: There was none in time, or the other process failed to give one.
        """
        answers = await self._ask(f"ask.{process_id}", kind, body, (process_id,), timeout)
        if process_id not in answers:
            raise NoAnswer(f"process {process_id} did not answer")
        return answers[process_id]

    async def ask_all(
        self,
        kind: str,
        body: bytes,
        processes: Collection[str],
        timeout: float = TIMEOUT,  # noqa: ASYNC109  # as for `ask`
    ) -> dict[str, bytes]:
        """Ask all processes; return the answers of those of ``processes`` that came in time.

        It ends as soon as each of them has answered or failed. See `ask` for the arguments.
        """
        return await self._ask("ask.all", kind, body, processes, timeout)

    async def _ask(
        self,
        channel: str,
        kind: str,
        body: bytes,
        processes: Collection[str],
        timeout: float,  # noqa: ASYNC109  # as for `ask`
    ) -> dict[str, bytes]:
        if len(body) > self.max_question:
            raise ValueError(f"a question has at most {self.max_question} bytes, not {len(body)}")
        if not processes or len(self._open) >= MAX_OPEN:
            return {}
        self._number += 1
        number = self._number
        question = self._open[number] = _Open(processes)
        self._asked += len(question.missing)
        data = msgspec.msgpack.encode(_Question(self._process_id, number, kind, body))
        try:
            if self._relay.publish(channel, data):
                question.timer = self._call_later(timeout, question.end)
                await question.done
        finally:
            del self._open[number]
            if question.timer is not None:
                question.timer.cancel()
        self._unanswered += len(processes) - len(question.answers)
        return question.answers

    # --- What others send ---

    def _on_part(self, data: bytes) -> None:
        part = _decode(data, _Part)
        question = None if part is None else self._open.get(part.number)
        if part is None or question is None or part.sender not in question.missing:
            return
        parts = question.parts.setdefault(part.sender, [])
        if part.has_failed or part.index != len(parts) or part.index >= MAX_PARTS:
            self._close(question, part.sender)
            return
        parts.append(part.body)
        if part.is_last:
            question.answers[part.sender] = b"".join(parts)
            self._close(question, part.sender)

    def _close(self, question: _Open, sender: str) -> None:
        question.missing.discard(sender)
        question.parts.pop(sender, None)
        if not question.missing:
            question.end()

    def _on_question(self, data: bytes) -> None:
        question = _decode(data, _Question)
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
        if isinstance(answer, bytes) and len(answer) <= self.max_question:
            self._send(question, 0, answer, is_last=True)
            return
        task = asyncio.ensure_future(self._finish(question, answer))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _finish(self, question: _Question, answer: bytes | Awaitable[bytes]) -> None:
        try:
            body = answer if isinstance(answer, bytes) else await answer
        except Exception as error:
            self._log(question, error)
            return
        size = self.max_question
        if len(body) > size * MAX_PARTS:
            self._fail(question)
            return
        starts = range(0, len(body) or 1, size)
        for index, start in enumerate(starts):
            if index:
                await asyncio.sleep(0)  # half a MiB a turn, so that others are served meanwhile
            is_last = start == starts[-1]
            self._send(question, index, body[start : start + size], is_last=is_last)

    @property
    def max_question(self) -> int:
        """Bytes that a question may have."""
        return min(PART_BYTES, self._relay.max_bytes // 2)

    def _send(self, question: _Question, index: int, body: bytes, *, is_last: bool) -> None:
        self._publish(
            question, _Part(self._process_id, question.number, index, is_last, False, body)
        )

    def _log(self, question: _Question, error: Exception) -> None:
        if isinstance(error, msgspec.MsgspecError | UnicodeDecodeError):
            # Another version of the program has asked, or somebody who is no process.
            logger.debug("A process's question is malformed: %s: %s", question.kind, error)
        else:
            logger.error("Failed to answer a process's question: %s", question.kind, exc_info=error)
        self._fail(question)

    def _fail(self, question: _Question) -> None:
        self._failed += 1
        self._publish(question, _Part(self._process_id, question.number, 0, True, True, b""))

    def _publish(self, question: _Question, part: _Part) -> None:
        self._relay.publish(f"answer.{question.sender}", msgspec.msgpack.encode(part))

    def statistics(self) -> MessengerStatistics:
        """Return a snapshot of the counters."""
        return MessengerStatistics(self._asked, self._unanswered, self._failed)

    def __repr__(self) -> str:
        return f"<Messenger {self._process_id}, {len(self._open)} questions>"


def _decode(data: bytes, kind: type[Structure]) -> Structure | None:
    """Decode a message; ``None`` if another version of the program has sent something else."""
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except msgspec.MsgspecError:
        return None
