"""A stream: how it is prepared, refused and ended."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec import Raw

from pubsub.auth.access import Access
from pubsub.auth.configuration import AccessConfiguration, Auth
from pubsub.auth.errors import Forbidden, InvalidKey, InvalidToken, Unauthorized
from pubsub.connection.stream import Credentials, Stream, Unopened, Wanted
from pubsub.core.configuration import Configuration
from pubsub.core.errors import LimitExceeded, TopicNotFound
from pubsub.core.options import GivenOptions
from pubsub.core.publication import Frame
from pubsub.protocol.codes import Close
from pubsub.protocol.errors import TooManyConnections, Unavailable
from pubsub.protocol.replies import encode_topic_deleted
from pubsub.runtime import Runtime
from tests.auth.support import SECRET, token
from tests.connection.support import UUID, ClusterRoom, MemoryTransport, open_cluster, turn, until

NOBODY = Credentials()


class Room:
    """A runtime and the tasks that serve its streams."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.tasks: list[asyncio.Task[None]] = []

    def stream(self) -> Stream:
        """Return a stream that is not prepared yet."""
        return Stream(self.runtime, address="10.0.0.1")

    async def open(
        self, *topics: str, credentials: Credentials = NOBODY, **wanted: Any
    ) -> tuple[MemoryTransport, Stream]:
        """Open a stream."""
        transport, stream = MemoryTransport(), self.stream()
        transport.kind = "sse"
        await stream.prepare(credentials, Wanted(topics=topics, **wanted))
        stream.open(transport)
        self.tasks.append(asyncio.create_task(stream.run()))
        await turn()
        stream.on_writable()
        return transport, stream

    def publish(self, topic: str, payload: Any) -> None:
        """Publish a message."""
        self.runtime.broker.publish(topic, UUID, str(payload).encode())

    def is_empty(self) -> bool:
        """Return whether there is neither a client nor a connection."""
        registry = self.runtime.registry
        return not (self.runtime.broker.client_count or len(registry) or registry.tasks)


@asynccontextmanager
async def open_room(access: Access | None = None, **config: Any) -> AsyncIterator[Room]:
    """Open a room, and cancel its streams at the end."""
    config = {"auto_create_topics": True, **config}
    room = Room(Runtime(Configuration(**config), access))
    room.runtime.enter()
    yield room
    for task in room.tasks:
        task.cancel()
    await asyncio.gather(*room.tasks, return_exceptions=True)


def types(transport: MemoryTransport) -> list[str]:
    """Return the types of all messages written so far."""
    return [message["type"] for message in transport.sent]


# --- Subscribing ---


async def test_acknowledgements_come_first() -> None:
    """All acknowledgements precede all replays, and these the live events."""
    async with open_room(history_size=10) as room:
        for topic in ("a", "b"):
            room.publish(topic, 1)
        transport, stream = await room.open("a", "b", last_n=1)
        room.publish("a", 2)
        await turn()
        assert types(transport) == ["ack", "ack", "event", "event", "event"]
        assert transport.sent[0]["client_id"] == stream.client.id
        assert room.runtime.tally.opened["sse"] == 1


async def test_beginning() -> None:
    """A stream begins behind what its client has, or behind the newest message."""
    async with open_room(history_size=10) as room:
        for number in range(5):
            room.publish("t", number)
        epoch = room.runtime.broker.topic("t").epoch

        async def begin(**wanted: Any) -> bytes:
            bookmark = await room.stream().prepare(NOBODY, Wanted(topics=["t"], **wanted))
            return bookmark.field().removeprefix(b"id: ").rstrip().partition(b":")[2]

        assert await begin() == b"5"
        assert await begin(last_n=2) == b"3"
        assert await begin(since={epoch: 1}) == b"1"
        assert await begin(since={epoch: 5}) == b"5"
        assert await begin(since={epoch: 6}) == b"5"
        assert await begin(since={}, last_n=1) == b"4"


async def begin_long_replay(room: Room) -> tuple[MemoryTransport, Stream]:
    """Open a stream with 2,000 past messages, and write what one turn of the event loop may."""
    for topic in ("a", "b"):
        for number in range(1000):
            room.publish(topic, number)
    transport, stream = MemoryTransport(), room.stream()
    await stream.prepare(NOBODY, Wanted(topics=["a", "b"], last_n=1000))
    stream.open(transport)
    stream.on_writable()
    assert 100 < len(transport.sent) < 2000
    return transport, stream


async def test_long_replay_takes_turns() -> None:
    """A long replay is written in slices, between which others are served; nothing overtakes it."""
    async with open_room(history_size=1000) as room:
        transport, stream = await begin_long_replay(room)
        room.publish("a", 1000)
        while not stream.outbox.empty():
            await turn()
        payloads = [message["message"]["payload"] for message in transport.sent[2:]]
        assert payloads == [*range(1000), *range(1000), 1000]


async def test_end_during_a_long_replay() -> None:
    """A stream that ends gets all that its socket takes first."""
    async with open_room(history_size=1000) as room:
        transport, stream = await begin_long_replay(room)
        stream.stop()
        assert len(transport.sent) == 2002
        assert transport.closed_with is Close.SHUTDOWN


async def test_topics_that_do_not_exist_yet() -> None:
    """There is nothing to recover from a topic that is created for the stream."""
    async with open_room(history_size=10) as room:
        transport, _ = await room.open("new", since={"x": 1})
        assert transport.sent[0]["recovered"] is False


async def test_all_topics_or_none() -> None:
    """A stream with a missing topic subscribes to none, and leaves no trace."""
    async with open_room(auto_create_topics=False) as room:
        room.runtime.broker.create_topic("t")
        stream = room.stream()
        with pytest.raises(TopicNotFound):
            await stream.prepare(NOBODY, Wanted(topics=["t", "missing"]))
        stream.abandon()
        assert room.is_empty()
        assert room.runtime.broker.subscriber_counts() == {"t": 0}
        assert sum(room.runtime.tally.closed.values()) == 0


@pytest.mark.parametrize(("configured", "limit"), [(2, 2), (5000, 1024)])
async def test_limit_of_topics(configured: int, limit: int) -> None:
    """A stream has at most as many topics as are configured, and as answers are kept."""
    async with open_room(max_subscriptions=configured) as room:
        topics = [f"t{number}" for number in range(limit + 1)]
        await room.open(*topics[:limit])
        with pytest.raises(LimitExceeded, match=f"no more than {limit} subscriptions"):
            await room.stream().prepare(NOBODY, Wanted(topics=topics))


async def test_limit_of_connections() -> None:
    """A stream over a limit is refused, counted, and not registered."""
    async with open_room(max_connections=1) as room:
        await room.open("t")
        stream = room.stream()
        with pytest.raises(TooManyConnections, match=r"^too many connections$"):
            await stream.prepare(NOBODY, Wanted(topics=["t"]))
        stream.abandon()
        assert room.runtime.registry.refused["connections"] == 1
        assert len(room.runtime.registry.tasks) == 1


# --- The end ---


async def test_last_topic() -> None:
    """A stream ends with its last topic, after the notice."""
    async with open_room() as room:
        transport, _ = await room.open("a", "b")
        for topic in ("a", "b"):
            room.runtime.broker.delete_topic(topic, encode_topic_deleted(topic))
            await turn()
            assert (transport.closed_with is None) is (topic == "a")
        assert types(transport) == ["ack", "ack", "info", "info"]
        assert transport.close_code == 1000
        await room.tasks[0]
        assert room.is_empty()


async def test_last_topic_of_a_client_that_does_not_read() -> None:
    """The notice waits until the client reads, and so does the end."""
    async with open_room() as room:
        transport, stream = await room.open("t")
        transport.writable = False
        room.runtime.broker.delete_topic("t", encode_topic_deleted("t"))
        await turn()
        assert transport.closed_with is None
        transport.drain()
        await turn()
        assert types(transport) == ["ack", "info"]
        assert transport.close_code == 1000
        stream.on_writable()  # once more changes nothing
        await turn()


async def test_closed_before_it_is_open() -> None:
    """A stream that was sent away before its response began ends as soon as it does."""
    async with open_room() as room:
        transport, stream = MemoryTransport(), room.stream()
        await stream.prepare(NOBODY, Wanted(topics=["t"]))
        stream.stop()
        stream.open(transport)
        await stream.run()
        assert transport.close_code == 3001
        assert room.is_empty()


async def test_unopened_transport() -> None:
    """What stands in for the transport neither reads nor writes, and ends at once."""
    transport = Unopened()
    transport.pause_reading()
    transport.resume_reading()
    transport.write([Frame(b"{}")])
    assert transport.next_message() is None
    await transport.serve(None)
    await transport.wait_closed()
    assert (transport.writable, transport.close_code) == (False, 1006)


# --- Access control ---


class Authorizer:
    """An authorizer whose answers a test gives one by one."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[str] = asyncio.Queue()
        self.answers: asyncio.Queue[bool] = asyncio.Queue()

    async def may_subscribe(self, user: Any, topic: str) -> bool:
        """Return the next answer."""
        self.asked.put_nowait(topic)
        return await self.answers.get()


def access(auth: Auth = Auth.OPTIONAL, authorizer: Any = None) -> Access:
    """Return an access control with tokens and an API key."""
    config = AccessConfiguration(
        auth=auth, jwt_secret=SECRET, api_keys=("key-0123456789",), anonymous_subscribe=("open",)
    )
    return Access(config, authorizer)


@pytest.mark.parametrize(
    ("credentials", "user"),
    [
        (Credentials(), None),
        (Credentials(token=token("42", subscribe=["open"])), "42"),
        (Credentials(api_key="key-0123456789", token="x"), None),
        (Credentials(user="7", token="x"), "7"),
    ],
)
async def test_credentials(credentials: Credentials, user: str | None) -> None:
    """The first credentials that are there decide who reads the stream."""
    authorizer = Authorizer()
    authorizer.answers.put_nowait(True)
    async with open_room(access(authorizer=authorizer)) as room:
        transport, stream = await room.open("open", credentials=credentials)
        assert types(transport) == ["ack"]
        assert stream.user == user
        assert stream.client.user == user


@pytest.mark.parametrize(
    ("credentials", "error"),
    [
        (Credentials(), Unauthorized),
        (Credentials(token="x"), InvalidToken),
        (Credentials(api_key="x"), InvalidKey),
        (Credentials(token=token("42", subscribe=["other"])), Forbidden),
    ],
)
async def test_insufficient_credentials(credentials: Credentials, error: type[Exception]) -> None:
    """Credentials that do not suffice are refused with the reason."""
    async with open_room(access(Auth.REQUIRED)) as room:
        stream = room.stream()
        with pytest.raises(error):
            await stream.prepare(credentials, Wanted(topics=["open"]))
        stream.abandon()
        assert room.is_empty()


async def test_limit_of_a_user() -> None:
    """A user with too many connections is refused."""
    async with open_room(access(), max_connections_per_user=1) as room:
        credentials = Credentials(token=token("42", subscribe=["t"]))
        await room.open("t", credentials=credentials)
        stream = room.stream()
        with pytest.raises(TooManyConnections, match="of this user"):
            await stream.prepare(credentials, Wanted(topics=["t"]))
        stream.abandon()
        assert room.runtime.tally.auth_failures["limit"] == 1


async def test_expiry() -> None:
    """The client is notified at once if its token expires soon, and disconnected when it does."""
    async with open_room(access()) as room:
        credentials = Credentials(token=token("42", subscribe=["t"], ttl=2))
        transport, _ = await room.open("t", credentials=credentials)
        async with asyncio.timeout(10):
            await room.tasks[0]
        assert types(transport) == ["ack", "info"]
        assert transport.close_code == 3005


async def test_permissions_that_change_while_the_authorizer_is_asked() -> None:
    """All answers are those of one time: after a change, the authorizer is asked again."""
    authorizer = Authorizer()
    async with open_room(access(authorizer=authorizer)) as room:
        stream = room.stream()
        wanted = Wanted(topics=["a", "b"])
        preparing = asyncio.create_task(stream.prepare(Credentials(user="7"), wanted))
        assert await authorizer.asked.get() == "a"
        authorizer.answers.put_nowait(True)
        assert await authorizer.asked.get() == "b"
        room.runtime.recheck("7")
        authorizer.answers.put_nowait(True)
        assert await authorizer.asked.get() == "a"
        authorizer.answers.put_nowait(False)
        with pytest.raises(Forbidden):
            await preparing
        stream.abandon()
        assert room.is_empty()


async def test_closed_while_the_authorizer_is_asked() -> None:
    """A stream that is sent away while the authorizer is asked is refused."""
    authorizer = Authorizer()
    async with open_room(access(authorizer=authorizer)) as room:
        stream = room.stream()
        wanted = Wanted(topics=["a"])
        preparing = asyncio.create_task(stream.prepare(Credentials(user="7"), wanted))
        await authorizer.asked.get()
        stream.close(Close.FORCE_DISCONNECT)
        authorizer.answers.put_nowait(True)
        with pytest.raises(Unavailable, match="force disconnect"):
            await preparing
        stream.abandon()
        assert room.is_empty()


# --- In a room of several processes ---


async def create(here: ClusterRoom, there: ClusterRoom, **options: Any) -> None:
    """Create the topic `t`, and wait until both processes know it."""
    await here.cluster.create_topic("t", GivenOptions(**options))
    await until(lambda: there.runtime.broker.find("t"))


async def test_stream_of_what_others_publish() -> None:
    """A stream that is prepared gets what other processes accept from then on."""
    async with open_cluster() as (here, there):
        await create(here, there)
        transport, _ = await Room(here.runtime).open("t")
        there.runtime.broker.publish("t", UUID, b'"x"')
        await until(lambda: len(transport.sent) == 2)
        assert transport.sent[1]["message"]["payload"] == "x"


async def test_stream_that_creates_a_topic() -> None:
    """Where clients may create topics, a stream does in all processes."""
    async with open_cluster() as (here, there):
        await Room(here.runtime).open("t")
        await until(lambda: there.runtime.broker.find("t"))


@pytest.mark.parametrize("epochs", [("right", "wrong"), ("wrong",)])
async def test_recovery_in_another_process(epochs: tuple[str, ...]) -> None:
    """A stream recovers what another process accepted and this one has missed, if it can."""
    async with open_cluster() as (here, there):
        await create(here, there, history=10)
        await there.cluster.prepare("t")
        await Room(here.runtime).open("t")
        here.relay.drops = 2
        offsets = [
            (await there.cluster.publish_kept("t", UUID, Raw(b"%d" % number))).offset
            for number in range(2)
        ]
        epoch = here.runtime.broker.topic("t").epoch
        since = {epoch if each == "right" else each: offsets[-1] for each in epochs}
        transport, _ = await Room(here.runtime).open("t", since=since)
        (ack,) = transport.sent
        assert ack["recovered"] is ("right" in epochs)
        assert (ack["offset"] == offsets[-1]) is ("right" in epochs)


async def test_stream_that_others_do_not_answer() -> None:
    """A stream is refused if its topic keeps history and the others are out of reach."""
    async with open_cluster() as (here, there):
        await create(here, there, history=10)
        here.relay.disconnect()
        stream = Stream(here.runtime)
        with pytest.raises(Unavailable):
            await stream.prepare(NOBODY, Wanted(topics=["t"]))
        stream.abandon()
        assert here.runtime.broker.client_count == 0


async def test_stream_of_a_topic_that_changes_while_it_waits_for_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A topic that is replaced while the next one is prepared is received as what it is then."""
    async with open_cluster() as (here, there):
        await create(here, there)
        subscribe = here.relay.subscribe

        async def slow(*arguments: Any) -> None:
            monkeypatch.undo()
            await there.replace("t", here, history=10)
            await subscribe(*arguments)

        await here.cluster.prepare("t")
        monkeypatch.setattr(here.relay, "subscribe", slow)
        transport, _ = await Room(here.runtime).open("t", "u")
        await there.cluster.publish_kept("t", UUID, Raw(b"1"))
        await until(lambda: len(transport.sent) == 3)
        assert transport.sent[2]["offset"] > transport.sent[0]["offset"]


async def test_stream_of_a_topic_that_changes_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A stream of a topic that is replaced whenever it was prepared is refused."""
    async with open_cluster() as (here, there):
        await create(here, there, history=10)
        await here.cluster.create_topic("u", GivenOptions(history=10))
        last_offset = here.relay.last_offset

        async def slow(log: str) -> int:
            await there.replace("t", here, history=10)
            return await last_offset(log)

        monkeypatch.setattr(here.relay, "last_offset", slow)
        since = {here.runtime.broker.topic("u").epoch: 1_000_000}
        stream = Stream(here.runtime)
        with pytest.raises(Unavailable):
            await stream.prepare(NOBODY, Wanted(topics=["t", "u"], since=since))
        stream.abandon()
        assert here.runtime.broker.subscriber_counts() == {"t": 0, "u": 0}


async def test_stream_that_is_closed_while_it_waits_for_others() -> None:
    """A stream that is closed before the others have answered is refused."""
    async with open_cluster() as (here, there):
        await create(here, there)
        stream = Stream(here.runtime)
        preparing = asyncio.create_task(stream.prepare(NOBODY, Wanted(topics=["t"])))
        await asyncio.sleep(0)
        stream.close(Close.SHUTDOWN)
        with pytest.raises(Unavailable, match="shutdown"):
            await preparing
        assert here.runtime.broker.subscriber_counts() == {"t": 0}


async def test_rights_that_end_while_a_stream_waits_for_others() -> None:
    """A stream is refused if its user may not read the topic any more when the others answer."""
    settings = AccessConfiguration(auth=Auth.REQUIRED, jwt_secret=SECRET)
    async with open_cluster(Access(settings)) as (here, there):
        await create(here, there)
        stream = Stream(here.runtime)
        credentials = Credentials(token=token("42", subscribe=["t"]))
        preparing = asyncio.create_task(stream.prepare(credentials, Wanted(topics=["t"])))
        await asyncio.sleep(0)
        assert stream.session is not None
        stream.session.identify(Credentials(token=token("42", subscribe=["u"])))
        with pytest.raises(Forbidden):
            await preparing
        assert here.runtime.broker.subscriber_counts() == {"t": 0}
