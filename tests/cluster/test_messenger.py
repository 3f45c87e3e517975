"""The messenger: questions between processes, and every way in which an answer fails to come."""

import asyncio
import logging

import msgspec
import pytest

from pubsub.cluster.messenger.answering import MAX_RUNNING
from pubsub.cluster.messenger.asking import MAX_OPEN
from pubsub.cluster.messenger.messages import MAX_PARTS, PART_BYTES
from pubsub.cluster.messenger.messenger import Messenger, NoAnswer
from pubsub.relay.errors import Unavailable
from pubsub.relay.memory import MemoryNetwork
from tests.cluster.support import Time, connected_relay, turns


class Room:
    """Some processes, each with a messenger."""

    def __init__(self, *names: str) -> None:
        self.network = MemoryNetwork()
        self.time = Time()
        self.names = names
        self.relays = {name: connected_relay(self.network) for name in names}
        self.messengers = {
            name: Messenger(name, relay, call_later=self.time.call_later)
            for name, relay in self.relays.items()
        }

    async def start(self) -> "Room":
        """Start all messengers."""
        for messenger in self.messengers.values():
            await messenger.start()
        return self

    def __getitem__(self, name: str) -> Messenger:
        return self.messengers[name]

    def question(self, asker: str, process: str, kind: str = "echo") -> asyncio.Task[bytes]:
        """Begin to ask."""
        return asyncio.ensure_future(self[asker].ask(process, kind, b"x"))


async def test_ask_one_process() -> None:
    """The process that is asked answers, and no other is bothered."""
    room = await Room("a", "b", "c").start()
    room["b"].handle("echo", lambda body: body + b" of b")
    room["c"].handle("echo", lambda body: pytest.fail("c was asked"))
    assert await room["a"].ask("b", "echo", b"x") == b"x of b"


async def test_answer_later() -> None:
    """A handler may take its time; meanwhile other questions are answered."""
    room = await Room("a", "b").start()
    ready = asyncio.Event()

    async def answer(body: bytes) -> bytes:
        await ready.wait()
        return body

    room["b"].handle("echo", lambda body: answer(body))
    room["b"].handle("quick", lambda body: b"")
    slow = room.question("a", "b")
    await turns()
    assert await room["a"].ask("b", "quick") == b""
    ready.set()
    assert await slow == b"x"


async def test_ask_all() -> None:
    """The answers of all processes come back, without one of the asker's own."""
    room = await Room("a", "b", "c").start()
    for name in room.names:
        room[name].handle("name", lambda body, name=name: body + name.encode())  # type: ignore[misc]
    assert await room["a"].ask_all("name", b"=", ["b", "c"]) == {"b": b"=b", "c": b"=c"}
    assert not room.time.timers


async def test_those_that_answer_in_time() -> None:
    """When the time is over, the answers so far are the result."""
    room = await Room("a", "b", "c").start()
    room["b"].handle("name", lambda body: b"b")
    room["c"].handle("name", lambda body: asyncio.Future())
    asked = asyncio.ensure_future(room["a"].ask_all("name", b"", ["b", "c"], timeout=2))
    await room.time.pass_by(1.75)
    assert not asked.done()
    await room.time.pass_by(0.25)
    assert await asked == {"b": b"b"}
    assert room["a"].statistics().unanswered == 1
    for messenger in room.messengers.values():
        messenger.stop()


async def test_nobody_to_ask() -> None:
    """Without other processes the result is empty at once."""
    room = await Room("a").start()
    assert await room["a"].ask_all("name", b"", []) == {}


async def test_no_answer() -> None:
    """A process that is gone does not answer."""
    room = await Room("a", "b").start()
    asked = room.question("a", "b")
    room["b"].stop()
    await room.time.pass_by(0.5)
    with pytest.raises(NoAnswer, match="process b"):
        await asked


async def test_late_answer() -> None:
    """An answer that comes after the time is over changes nothing."""
    room = await Room("a", "b").start()
    later: asyncio.Future[bytes] = asyncio.Future()
    room["b"].handle("echo", lambda body: later)
    asked = room.question("a", "b")
    await room.time.pass_by(0.5)
    later.set_result(b"late")
    await turns()
    with pytest.raises(NoAnswer):
        await asked


async def test_without_the_network() -> None:
    """Without the network no process answers, and that is known at once."""
    room = await Room("a", "b").start()
    room.relays["a"].disconnect()
    with pytest.raises(NoAnswer):
        await room["a"].ask("b", "echo")
    assert await room["a"].ask_all("echo", b"", ["b"]) == {}
    with pytest.raises(Unavailable):
        await room["a"].start()


async def test_a_handler_fails(caplog: pytest.LogCaptureFixture) -> None:
    """A failure is logged once, with its traceback, and the asker need not wait for the timeout."""
    room = await Room("a", "b").start()

    async def fail(body: bytes) -> bytes:
        raise ZeroDivisionError

    room["b"].handle("later", fail)
    room["b"].handle("now", lambda body: bytes([1 // len(body)]))
    for kind in ("later", "now", "unknown"):
        with pytest.raises(NoAnswer):
            await room["a"].ask("b", kind)
    assert [record.exc_info is not None for record in caplog.records] == [True, True]
    assert {record.levelno for record in caplog.records} == {logging.ERROR}
    assert room["b"].statistics().failed == 3


@pytest.mark.parametrize("size", [0, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES])
async def test_long_answers(size: int) -> None:
    """An answer may be longer than what the network takes in one message."""
    room = await Room("a", "b").start()
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)

    async def later(_: bytes) -> bytes:
        return body

    room["b"].handle("now", lambda _: body)
    room["b"].handle("later", later)
    assert await room["a"].ask("b", "now") == body
    assert await room["a"].ask("b", "later") == body


async def test_a_part_is_lost() -> None:
    """An answer with a hole is no answer."""
    room = await Room("a", "b").start()
    room["b"].handle("echo", lambda body: b"x" * 3 * PART_BYTES)
    asked = room.question("a", "b")
    await asyncio.sleep(0)
    room.relays["a"].drops = 1
    await turns()
    with pytest.raises(NoAnswer):
        await asked


async def test_an_answer_is_too_long() -> None:
    """The parts of an answer are bounded."""
    room = await Room("a", "b").start()
    room["b"].handle("echo", lambda body: bytes(PART_BYTES * MAX_PARTS + 1))
    with pytest.raises(NoAnswer):
        await room["a"].ask("b", "echo")


async def test_a_question_is_too_long() -> None:
    """A question is one message."""
    room = await Room("a", "b").start()
    with pytest.raises(ValueError, match="524288"):
        await room["a"].ask("b", "echo", bytes(PART_BYTES + 1))


async def test_too_many_questions() -> None:
    """The questions that wait for answers are bounded, and so are those that are answered."""
    room = await Room("a", "b", "c").start()
    never: asyncio.Future[bytes] = asyncio.Future()
    room["b"].handle("echo", lambda body: never)
    asked = [room.question("a", "b") for _ in range(MAX_OPEN)]
    await turns()
    assert sum(each.done() for each in asked) == MAX_OPEN - MAX_RUNNING
    asked += [room.question("a", "c") for _ in range(MAX_OPEN - MAX_RUNNING)]
    await turns()
    assert await room["a"].ask_all("echo", b"", ["c"]) == {}
    room["a"].stop()
    assert all(
        isinstance(each, NoAnswer) for each in await asyncio.gather(*asked, return_exceptions=True)
    )
    room["b"].stop()


async def test_an_asker_gives_up() -> None:
    """A cancelled question leaves nothing behind."""
    room = await Room("a", "b").start()
    asked = room.question("a", "b")
    await asyncio.sleep(0)
    asked.cancel()
    await turns()
    assert asked.cancelled()
    assert repr(room["a"]) == "<Messenger a, 0 questions>"
    assert not room.time.timers


async def test_what_is_no_message() -> None:
    """Bytes of another version of the program are ignored."""
    room = await Room("a", "b").start()
    for channel in ("ask.b", "ask.all", "answer.b"):
        assert room.relays["a"].publish(channel, b"\xc1")
    await turns()
    room["b"].handle("echo", lambda body: body)
    assert await room["a"].ask("b", "echo", b"x") == b"x"


async def test_malformed_questions(caplog: pytest.LogCaptureFixture) -> None:
    """A question whose body cannot be decoded is answered as a failure, without a traceback."""
    room = await Room("a", "b").start()

    async def decode(body: bytes) -> bytes:
        return msgspec.msgpack.decode(body, type=bytes)

    room["b"].handle("later", decode)
    room["b"].handle("now", lambda body: body.decode().encode())
    caplog.set_level(logging.INFO)
    for kind in ("later", "now"):
        with pytest.raises(NoAnswer):
            await room["a"].ask("b", kind, b"\xc1")
    assert room["b"].statistics().failed == 2
    assert not caplog.records


@pytest.mark.parametrize("sender", ["", "a b", "a\n", "*", ">", "a.b", "x" * 33])
async def test_a_sender_that_is_no_process(sender: str) -> None:
    """Nothing is sent to a subject that a question from outside names."""
    room = await Room("a", "b").start()
    room["b"].handle("echo", lambda body: body)
    question = msgspec.msgpack.encode((sender, 1, "echo", b""))
    assert room.relays["a"].publish("ask.b", question)
    answers: list[bytes] = []
    await room.relays["a"].subscribe(f"answer.{sender}", answers.append)
    await turns()
    assert not answers
