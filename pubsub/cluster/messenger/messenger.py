"""Questions between the processes of a room, and their answers, over a relay's lossy channels."""

from collections.abc import Collection
from typing import NamedTuple

from pubsub.cluster.messenger.answering import Answering, Handler
from pubsub.cluster.messenger.asking import Asking
from pubsub.cluster.messenger.messages import ALL, max_bytes, questions_for
from pubsub.core.timer import CallLater, on_running_loop
from pubsub.relay.base import Relay

TIMEOUT = 0.5
"""Seconds for which an answer is awaited, unless the question says otherwise."""


class NoAnswer(Exception):
    """The other process did not answer in time, could not be asked, or failed to answer."""


class MessengerStatistics(NamedTuple):
    """What a messenger has counted since its start."""

    asked: int
    """Processes that were asked."""

    unanswered: int
    """Those that gave no answer, or not in time."""

    failed: int
    """Questions of others that this process failed to answer."""


class Messenger:
    """Asks other processes, and answers them.

    A question is sent once: if it or its answer is lost, there is no answer, as without the
    network. A process never asks itself, so the caller computes its own answer. Answers to one
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
        self._asking = Asking(process_id, relay, call_later)
        self._answering = Answering(process_id, relay)

    async def start(self) -> None:
        """Receive questions and answers. It may be called again, after it has failed.

        Raises:
            Unavailable: The relay did not take the subscriptions.
        """
        await self._asking.start()
        await self._answering.start()

    def stop(self) -> None:
        """Neither ask nor answer any longer; questions that are open end without an answer."""
        self._asking.stop()
        self._answering.stop()

    def handle(self, kind: str, handler: Handler) -> None:
        """Answer questions of a kind with what ``handler`` makes of their bodies.

        It runs on the event loop. If it raises, the answer is a failure, which is logged unless the
        body could not be decoded.
        """
        self._answering.handle(kind, handler)

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
            body: Up to `max_question` bytes that say more.
            timeout: Seconds to wait.

        Raises:
            NoAnswer: There was none in time, or the other process failed to give one.
            ValueError: The body is too long.
        """
        channel = questions_for(process_id)
        answers = await self._asking.ask(channel, kind, body, (process_id,), timeout)
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
        return await self._asking.ask(ALL, kind, body, processes, timeout)

    @property
    def max_question(self) -> int:
        """Bytes that a question may have."""
        return max_bytes(self._relay)

    def statistics(self) -> MessengerStatistics:
        """Return a snapshot of the counters."""
        asking = self._asking
        return MessengerStatistics(asking.asked, asking.unanswered, self._answering.failed)

    def __repr__(self) -> str:
        return f"<Messenger {self._process_id}, {len(self._asking)} questions>"
