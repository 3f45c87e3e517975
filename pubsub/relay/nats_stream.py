"""A stream of JetStream: what a relay stores at NATS, and how it reads that again.

JetStream's interface consists of requests with JSON (NATS' ADR-1, ADR-31 for direct gets), which
are made here directly, so that no consumer is created and none can stay behind.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct, field
from nats.aio.msg import Msg

from pubsub.relay.base import TIMEOUT
from pubsub.relay.errors import Conflict, Unavailable
from pubsub.relay.nats_connection import NatsConnection

PAGE = 1000
"""Messages of one answer at most."""

PAGE_BYTES = 4 * 1024 * 1024
"""Bytes of one answer at most, unless one message has more."""

LAG_PAUSE = 0.05
"""Seconds until a server is asked again that waits for its replicas, or is one that is behind."""

OTHER_CONFIGURATION = 10058
NO_MESSAGE = 10037
NO_STREAM = 10059
WRONG_LAST_SEQUENCE = (10071, 10164)
DUPLICATE_IN_PROCESS = 10158

_GROWING = ("max_bytes", "max_msgs_per_subject", "duplicate_window", "num_replicas")
"""Limits that are raised where another process has set a lower one; -1 is no limit."""

_FIXED = ("subjects", "retention", "discard")
"""Settings that identify the stream: with other values, a stream of this name is not ours."""

_NEEDED = ("republish", "allow_direct", "allow_msg_ttl")


class _Error(Struct):
    err_code: int = 0
    description: str = ""


class _State(Struct):
    messages: int = 0
    last_seq: int = 0


class _Message(Struct):
    subject: str = ""
    seq: int = 0
    hdrs: str = ""


class _Answer(Struct):
    """The fields of all answers that are of interest."""

    error: _Error | None = None
    created: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    state: _State = field(default_factory=_State)
    message: _Message = field(default_factory=_Message)
    seq: int = 0
    duplicate: bool = False


class Stored(NamedTuple):
    """A message of a stream."""

    subject: str
    sequence: int
    data: bytes
    headers: dict[str, str]


class StreamState(NamedTuple):
    """What a stream is. Another ``store`` has lost its contents."""

    store: str
    last_sequence: int


class NatsStream:
    """One stream.

    Args:
        connection: The connection to NATS.
        config: The stream's configuration, as JetStream's interface has it.
    """

    def __init__(self, connection: NatsConnection, config: dict[str, Any]) -> None:
        self.name: str = config["name"]
        self._connection = connection
        self._config = config
        self._created = ""
        self._losses = 0
        self._highest = 0
        self._is_emptied = False

    def __repr__(self) -> str:
        return f"<NatsStream {self.name}>"

    def note(self, sequence: int) -> None:
        """Remember that this sequence was seen: one that is lower later on tells of a loss."""
        self._highest = max(self._highest, sequence)

    async def _ask(self, action: str, **fields: Any) -> _Answer:
        request = msgspec.json.encode(fields) if fields else b""
        try:
            data = await self._connection.request(f"$JS.API.STREAM.{action}.{self.name}", request)
        except Unavailable as error:
            # These requests read, or can be repeated, so their fate does not matter.
            if error.unknown_fate or not self._connection.is_connected:
                raise Unavailable(str(error)) from None
            raise Unavailable(f"JetStream is out of reach ({error})") from None
        return _decode(data)

    async def ensure(self) -> StreamState:
        """Create the stream if it is missing, and return its state.

        A stream that exists is adopted. Its limits are raised if they are below the own ones, so
        processes with different settings do not contend.

        Raises:
            Unavailable: NATS does not answer, or refuses, or has another stream of this name.
        """
        known = self._highest
        answer = await self._ask("CREATE", **self._config)
        if answer.error is not None and answer.error.err_code == OTHER_CONFIGURATION:
            known = self._highest
            answer = await self._ask("INFO")
            _check(answer)
            self._check_kind(answer.config)
            merged = self._merged(answer.config)
            if merged != answer.config:
                answer = await self._ask("UPDATE", **merged)
        _check(answer)
        if answer.created != self._created:
            self._created = answer.created
            self._highest = answer.state.last_seq
        elif answer.state.last_seq < known or self._is_emptied:
            # A cluster may bring a stream in memory back empty, as if it were the same.
            self._losses += 1
            self._highest = answer.state.last_seq
        self._is_emptied = False
        self.note(answer.state.last_seq)
        store = f"{self._created}/{self._losses}"
        return StreamState(store, answer.state.last_seq)

    async def is_intact(self, messages: int) -> bool:
        """Return whether the stream is still there, and has so many messages at least.

        Raises:
            Unavailable: NATS does not answer.
        """
        known = self._highest
        answer = await self._ask("INFO")
        if answer.error is not None and answer.error.err_code == NO_STREAM:
            return False
        _check(answer)
        if answer.created != self._created:
            return False
        if answer.state.messages < messages or answer.state.last_seq < known:
            self._is_emptied = True
        return not self._is_emptied

    def _check_kind(self, existing: dict[str, Any]) -> None:
        wanted = {"retention": "limits", **self._config}
        for name in _FIXED:
            if existing.get(name) != wanted[name]:
                raise Unavailable(f"the stream {self.name} exists with other {name}")

    def _merged(self, existing: dict[str, Any]) -> dict[str, Any]:
        merged = existing | {name: self._config[name] for name in _NEEDED if name in self._config}
        for name in _GROWING:
            value = existing.get(name, 0)
            merged[name] = value if value < 0 else max(value, self._config.get(name, value))
        return merged

    async def store(self, subject: str, data: bytes, headers: dict[str, str]) -> tuple[int, bool]:
        """Store a message; return its sequence, and whether it was there already.

        Raises:
            Conflict: The last sequence of the subject is not that of the headers.
            Unavailable: It was not stored, or its fate is unknown.
        """
        known, began = self._highest, asyncio.get_running_loop().time()
        answer = _decode(await self._connection.request(subject, data, headers or None))
        if answer.error is not None:
            if answer.error.err_code in WRONG_LAST_SEQUENCE:
                raise Conflict(subject)
            if answer.error.err_code == DUPLICATE_IN_PROCESS:
                answer = await self._settled(subject, data, headers, began + TIMEOUT)
        _check(answer)
        if answer.seq <= known and not answer.duplicate:
            raise Unavailable("the stream has lost its contents", unknown_fate=True)
        self.note(answer.seq)
        return answer.seq, answer.duplicate

    async def _settled(
        self, subject: str, data: bytes, headers: dict[str, str], deadline: float
    ) -> _Answer:
        """Ask again until the replicas have, or have not, what has the same id and came before."""
        try:
            async with asyncio.timeout_at(deadline):
                while True:
                    await asyncio.sleep(LAG_PAUSE)
                    answer = _decode(await self._connection.request(subject, data, headers))
                    if answer.error is None or answer.error.err_code != DUPLICATE_IN_PROCESS:
                        return answer
        except TimeoutError:
            raise Unavailable("the replicas of NATS do not agree", unknown_fate=True) from None

    async def last(self, subject: str) -> Stored | None:
        """Return the last message of a subject without its data, as the leader knows it."""
        answer = await self._ask("MSG.GET", last_by_subj=subject)
        if answer.error is not None and answer.error.err_code == NO_MESSAGE:
            return None
        _check(answer)
        message = answer.message
        return Stored(message.subject, message.seq, b"", _parse_headers(message.hdrs))

    async def purge(self, subject: str) -> None:
        """Delete all messages of a subject."""
        _check(await self._ask("PURGE", filter=subject))

    async def pages(self, subject: str, first: int) -> AsyncIterator[list[Stored]]:
        """Yield the messages of a subject in order, from the sequence ``first`` on.

        Replicas answer, which may be behind; it goes on until the leader's last message was seen.

        Raises:
            Unavailable: NATS does not answer, or a replica stays behind.
        """
        last = await self.last(subject)
        clock = asyncio.get_running_loop().time
        deadline = clock() + TIMEOUT
        while last is not None and first <= last.sequence:
            page, _ = await self.get(subject, first, PAGE)
            if page:
                yield page
                first = page[-1].sequence + 1
                deadline = clock() + TIMEOUT
            elif clock() > deadline:
                raise Unavailable("a replica of NATS is behind the leader")
            else:
                await asyncio.sleep(LAG_PAUSE)
                last = await self.last(subject)

    async def get(self, subject: str, first: int, limit: int) -> tuple[list[Stored], int]:
        """Return messages of a subject from a sequence on, and how many there are after them.

        Raises:
            Unavailable: NATS does not answer.
        """
        client = self._connection.client()
        messages: list[Stored] = []
        ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def receive(message: Msg) -> None:
            headers = message.headers or {}
            if "Status" in headers and not ended.done():
                if headers["Status"] in ("204", "404"):
                    ended.set_result(int(headers.get("Nats-Num-Pending", 0)))
                else:
                    ended.set_exception(Unavailable(f"NATS answers {headers['Status']}"))
            elif "Nats-Sequence" in headers:
                sequence = int(headers["Nats-Sequence"])
                messages.append(Stored(headers["Nats-Subject"], sequence, message.data, headers))

        inbox = client.new_inbox()
        subscription = await client.subscribe(inbox, receive, 2 * client.max_payload + PAGE_BYTES)
        wanted = {"seq": first, "next_by_subj": subject, "batch": limit, "max_bytes": PAGE_BYTES}
        try:
            client.publish(f"$JS.API.DIRECT.GET.{self.name}", msgspec.json.encode(wanted), inbox)
            return messages, await self._until_silent(ended, messages)
        finally:
            client.unsubscribe(subscription)

    async def _until_silent(self, ended: "asyncio.Future[int]", messages: list[Stored]) -> int:
        """Wait for an answer's end for as long as messages come."""
        while True:
            so_far = len(messages)
            done, _ = await asyncio.wait({ended}, timeout=TIMEOUT)
            if done:
                return ended.result()
            if len(messages) == so_far:
                raise Unavailable("NATS does not answer")


def _decode(data: bytes) -> _Answer:
    try:
        return msgspec.json.decode(data, type=_Answer)
    except msgspec.MsgspecError as error:
        raise Unavailable(f"NATS answers something unknown ({error})", unknown_fate=True) from None


def _check(answer: _Answer) -> None:
    if answer.error is not None:
        raise Unavailable(f"NATS refuses: {answer.error.description}")


def _parse_headers(encoded: str) -> dict[str, str]:
    lines = msgspec.convert(encoded, bytes, strict=False).decode().split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines if line)
    return {name: value.strip() for name, _, value in pairs}
