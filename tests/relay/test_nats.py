"""The relay over NATS and the faults of a network: what is noticed, and what comes back."""

import asyncio
import json
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from itertools import takewhile
from typing import Any

import pytest
from nats import connect

from pubsub.logs import events
from pubsub.relay.configuration import RelayConfiguration
from pubsub.relay.errors import Unavailable
from pubsub.relay.nats import NatsRelay, ask_max_bytes
from tests.live.waiting import PATIENCE
from tests.relay.proxy import proxy_to
from tests.relay.server import NatsServer
from tests.relay.support import PATIENT, QUICK, NatsNetwork, Process, connected, poll, process


@pytest.fixture(autouse=True)
def _log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing that happens to NATS makes nats-py, or asyncio, write to the log."""
    events.event_log.cache_clear()
    caplog.set_level(logging.INFO)
    yield
    others = [record for record in caplog.records if not record.name.startswith("pubsub.server")]
    assert not others


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the names of the relay's events, in order."""
    names = [record.msg.name for record in caplog.records if isinstance(record.msg, events.Event)]
    return [name for name in names if name.startswith("relay_")]


@pytest.fixture
def server() -> Iterator[NatsServer]:
    """A server that a test may disturb."""
    with NatsServer() as server:
        yield server


async def works_again(one: Process, other: Process) -> None:
    """Wait until both are connected; then what was subscribed to and followed before arrives."""
    for each in (one, other):
        await each.until(lambda each=each: each.relay.is_connected)
    one.messages.clear()
    one.entries.clear()
    await other.relay.snapshot()
    assert other.relay.publish("c", b"again")
    await other.relay.append("7.again", b"again")
    await other.relay.create("again", b"again")
    await one.until(lambda: one.messages and one.entries and one.changes)
    assert one.messages == [b"again"]


async def receive_all(one: Process) -> None:
    """Subscribe to a channel and follow logs."""
    await one.relay.subscribe("c", one.on_message)
    await one.relay.follow("7", one.on_entry)


# --- Faults of the server ---


async def test_killed_and_restarted_empty(
    server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    """After a restart without its store all works again, and the stores are others."""
    network = NatsNetwork(server)
    async with connected(network) as one, connected(network) as other:
        await receive_all(one)
        before = await one.relay.snapshot()
        server.kill()
        for each in (one, other):
            await each.until(lambda each=each: each.disconnections)
        assert not other.relay.publish("c", b"lost")
        with pytest.raises(Unavailable) as error:
            await other.relay.create("key", b"1")
        assert not error.value.unknown_fate
        server.start()
        await works_again(one, other)
        after = await one.relay.snapshot()
        assert after.registry_store != before.registry_store
        assert after.log_store != before.log_store
        assert other.relay.statistics().dropped == {"disconnected": 1}
        assert other.relay.statistics().reconnections == 1
    names = logged(caplog)
    assert names.count("relay_lost") == 2
    assert names.count("relay_connected") == 4


async def test_killed_and_restarted_with_its_store(server: NatsServer) -> None:
    """With file storage everything is there after a restart, in the same stores."""
    network = NatsNetwork(server, relay_storage="file")
    async with connected(network) as one, connected(network) as other:
        await receive_all(one)
        await one.relay.create("key", b"1")
        offset = (await one.relay.append("7.log", b"2", once="x")).offset
        before = await one.relay.snapshot()
        server.stop()
        await one.until(lambda: one.disconnections)
        server.start()
        await one.until(lambda: one.connections == 2)
        assert await one.relay.snapshot() == before
        assert await one.relay.read("7.log", after=0, limit=9) == [(offset, b"2")]
        assert await one.relay.append("7.log", b"2", once="x") == (offset, True)
        one.changes.clear()
        await works_again(one, other)


async def test_paused(server: NatsServer) -> None:
    """A server that hangs is noticed, whatever is under way fails, and all comes back."""
    network = NatsNetwork(server, QUICK)
    async with connected(network) as one, connected(network) as other:
        await receive_all(one)
        server.pause()
        with pytest.raises(Unavailable) as error:
            await one.relay.append("7.log", b"1")
        assert error.value.unknown_fate
        for reading in (one.relay.read("7.log", after=0, limit=1), one.relay.last_offset("7.log")):
            with pytest.raises(Unavailable) as error:
                await reading
            assert not error.value.unknown_fate
        for each in (one, other):
            await each.until(lambda each=each: not each.relay.is_connected)
        server.resume()
        await works_again(one, other)


async def test_paused_while_subscribing(server: NatsServer) -> None:
    """A subscription that the server never confirmed fails, and holds after the reconnection."""
    network = NatsNetwork(server, QUICK)
    async with connected(network) as one, connected(network) as other:
        server.pause()
        with pytest.raises(Unavailable):
            await one.relay.subscribe("c", one.on_message)
        with pytest.raises(Unavailable):
            await one.relay.follow("7", one.on_entry)
        server.resume()
        await works_again(one, other)


async def test_start_without_server(server: NatsServer, caplog: pytest.LogCaptureFixture) -> None:
    """A process that starts before NATS connects as soon as NATS is there; one line says why."""
    network = NatsNetwork(server)
    server.kill()
    async with process(network.relay()) as one:
        await poll(lambda: "relay_unreachable" in logged(caplog))
        server.start()
        await one.until(lambda: one.connections)
        assert (await one.relay.snapshot()).entries == {}
    assert logged(caplog) == ["relay_unreachable", "relay_connected"]


async def test_unreachable_servers_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """However often several servers are tried, the log says of each once why it is out of reach."""
    attempts = 0

    def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal attempts
        attempts += 1
        writer.close()

    with socket.socket() as one, socket.socket() as other:
        for sock in (one, other):
            sock.bind(("127.0.0.1", 0))  # and does not listen
        async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as listener:
            ports = [sock.getsockname()[1] for sock in (one, other, *listener.sockets)]
            urls = ",".join(f"nats://127.0.0.1:{port}" for port in ports)
            config = RelayConfiguration(relay=urls)
            async with process(NatsRelay(config, history_bytes=1 << 20, timings=QUICK)):
                await poll(lambda: attempts == 4)
    assert logged(caplog) == ["relay_unreachable"] * 3


async def test_servers_that_are_no_longer_announced() -> None:
    """Of the servers that NATS announces, only those of its last announcement are tried."""
    tried: list[str] = []
    writers: list[asyncio.StreamWriter] = []

    def info(*ports: int) -> bytes:
        urls = [f"127.0.0.1:{port}" for port in ports]
        announced = {"version": "2.12.2", "headers": True, "proto": 1, "max_payload": 1 << 20}
        return b"INFO " + json.dumps({**announced, "connect_urls": urls}).encode() + b"\r\n"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tried.append("named")
        writers.append(writer)
        writer.write(info(ports["named"], ports["old"]))
        with suppress(ConnectionError):
            while line := await reader.readline():
                if line == b"PING\r\n":
                    writer.write(b"PONG\r\n")
        writer.close()

    def hang_up(name: str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
        def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            tried.append(name)
            writer.close()

        return hang_up

    async with AsyncExitStack() as stack:
        ports = {}
        for name, accept in [
            ("named", serve),
            *((name, hang_up(name)) for name in ("old", "new", "newest")),
        ]:
            listener = await asyncio.start_server(accept, "127.0.0.1", 0)
            ports[name] = (await stack.enter_async_context(listener)).sockets[0].getsockname()[1]
        config = RelayConfiguration(relay=f"nats://127.0.0.1:{ports['named']}")
        async with process(NatsRelay(config, history_bytes=1 << 20, timings=QUICK)) as one:
            for number, announced in enumerate((("old",), ("new",), ("new", "newest")), 1):
                await one.until(lambda number=number: one.connections == number)
                if announced != ("old",):
                    writers[-1].write(info(ports["named"], *(ports[name] for name in announced)))
                writers[-1].close()
            await one.until(lambda: one.connections == 4)
    assert tried[:5] == ["named", "old", "named", "new", "named"]
    assert sorted(tried[5:7]) == ["new", "newest"]
    assert tried[7:] == ["named"]


async def test_server_that_is_too_old(caplog: pytest.LogCaptureFixture) -> None:
    """A server that lacks something, or that is known to hang, is not used, and the log says so."""
    writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        info = {"version": "2.12.1", "headers": True, "proto": 1, "max_payload": 1 << 20}
        writers.add(writer)
        writer.write(b"INFO " + json.dumps(info).encode() + b"\r\n")
        with suppress(ConnectionError):
            while line := await reader.readline():
                if line == b"PING\r\n":
                    writer.write(b"PONG\r\n")
        writer.close()
        writers.remove(writer)

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listener:
        config = RelayConfiguration(
            relay="nats://127.0.0.1:%d" % listener.sockets[0].getsockname()[1]
        )
        async with process(NatsRelay(config, history_bytes=1 << 20, timings=QUICK)) as one:
            await poll(lambda: logged(caplog))
            assert one.connections == 0
        await poll(lambda: not writers)
    assert logged(caplog) == ["relay_unreachable"]
    assert "the server must have version 2.12.2 at least" in caplog.text


async def test_start_with_a_paused_server(
    server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    """An attempt to connect ends even if the server accepts it and says nothing."""
    network = NatsNetwork(server, QUICK)
    server.pause()
    async with process(network.relay()) as one:
        await poll(lambda: "relay_unreachable" in logged(caplog))
        server.resume()
        await one.until(lambda: one.connections)


async def test_second_server(server: NatsServer) -> None:
    """If there are several servers, any that can be reached is used."""
    with NatsServer() as second:
        network = NatsNetwork(server, relay=f"{server.url},{second.url}")
        server.kill()
        async with process(network.relay()) as one:
            await one.until(lambda: one.connections)
            server.start()
            second.kill()
            await one.until(lambda: one.connections == 2)


async def test_stop_without_server(server: NatsServer) -> None:
    """A relay stops at once whether NATS is there, hangs, or never was."""
    network = NatsNetwork(server, QUICK)
    async with connected(network) as one:
        server.pause()
        await one.relay.stop()
        assert not one.relay.is_connected
        assert one.disconnections == 0
        async with process(network.relay()):
            server.resume()


async def test_last_messages_are_sent(nats_server: NatsServer) -> None:
    """What was published before the end still arrives."""
    network = NatsNetwork(nats_server)
    async with connected(network) as one:
        await one.relay.subscribe("c", one.on_message)
        async with connected(network) as other:
            for _ in range(3500):
                assert other.relay.publish("c", b"x" * 1000)
        await one.until(lambda: len(one.messages) == 3500)


# --- Faults of the network ---


async def test_black_hole(nats_server: NatsServer) -> None:
    """A network in which packets vanish is noticed, with bytes on their way, and comes back."""
    async with proxy_to(nats_server.port) as proxy:
        network = NatsNetwork(nats_server)
        address = f"nats://127.0.0.1:{proxy.port}"
        room = network.config.relay_name
        behind = NatsNetwork(nats_server, QUICK, relay=address, relay_name=room)
        async with connected(behind) as one, connected(network) as other:
            await receive_all(one)
            proxy.swallows = True
            for _ in range(100):
                one.relay.publish("d", b"x" * 30_000)
            await one.until(lambda: one.disconnections)
            assert other.relay.is_connected
            other.relay.publish("c", b"lost")
            await other.relay.append("7.log", b"1")
            proxy.swallows = False
            await works_again(one, other)
            assert len(await one.relay.read("7.log", after=0, limit=9)) == 1


async def test_late_answer_behind_a_flood(nats_server: NatsServer) -> None:
    """While many messages arrive, the server is alive, even if it seems to answer nothing."""
    async with proxy_to(nats_server.port) as proxy:
        network = NatsNetwork(nats_server)
        address = f"nats://127.0.0.1:{proxy.port}"
        timings = replace(QUICK, ping_timeout=0.2, flood_bytes=10_000)
        behind = NatsNetwork(
            nats_server, timings, relay=address, relay_name=network.config.relay_name
        )
        async with connected(behind) as one, connected(network) as other:
            await one.relay.subscribe("c", one.on_message)
            proxy.unheard = b"PONG\r\n"

            async def flood() -> None:
                while True:
                    other.relay.publish("c", b"x" * 10_000)
                    await asyncio.sleep(0)

            async with asyncio.TaskGroup() as tasks:
                flooding = tasks.create_task(flood())
                await poll(lambda: proxy.swallowed >= 3)
                assert one.disconnections == 0
                flooding.cancel()
            await one.until(lambda: one.disconnections)


async def test_fault_in_one_direction(nats_server: NatsServer) -> None:
    """A server that does not hear this process is noticed, although some messages arrive."""
    async with proxy_to(nats_server.port) as proxy:
        network = NatsNetwork(nats_server)
        address = f"nats://127.0.0.1:{proxy.port}"
        timings = replace(QUICK, ping_timeout=0.2)
        behind = NatsNetwork(
            nats_server, timings, relay=address, relay_name=network.config.relay_name
        )
        async with connected(behind) as one, connected(network) as other:
            await one.relay.subscribe("c", one.on_message)
            proxy.unheard = b"PING\r\n"
            async with asyncio.timeout(PATIENCE):
                while not one.disconnections:
                    other.relay.publish("c", b"heartbeat")
                    await asyncio.sleep(0)
            assert one.messages


# --- Bounds ---


async def test_outgoing_flood(nats_server: NatsServer) -> None:
    """What does not fit into the buffer is refused and counted; all else arrives in order."""
    network = NatsNetwork(nats_server, relay_buffer_bytes=100_000)
    async with connected(network) as one, connected(network) as other:
        await one.relay.subscribe("c", one.on_message)
        nats_server.pause()
        accepted = [b"%d " % number + b"x" * 40_000 for number in range(1000)]
        accepted = list(takewhile(lambda data: other.relay.publish("c", data), accepted))
        statistics = other.relay.statistics()
        assert 0 < len(accepted) < 1000
        assert statistics.dropped == {"buffer_full": 1}
        assert 0 <= statistics.buffered_bytes <= 50_000
        nats_server.resume()
        with pytest.raises(Unavailable):
            for _ in range(100):
                await asyncio.gather(*(other.relay.append("7.a", b"x" * 1000) for _ in range(100)))
        await one.until(lambda: len(one.messages) == len(accepted))
        assert one.messages == accepted


async def test_a_server_that_hangs_costs_no_memory(nats_server: NatsServer) -> None:
    """Messages are refused at the bound as well if the event loop writes what it can in between."""
    network = NatsNetwork(nats_server, relay_buffer_bytes=100_000)
    async with connected(network) as one:
        nats_server.pause()
        accepted = 0
        while accepted < 2000 and one.relay.publish("c", b"x" * 40_000):
            accepted += 1
            await asyncio.sleep(0)
        nats_server.resume()
        assert accepted < 2000


@pytest.fixture
def small() -> Iterator[NatsServer]:
    """A server with small messages, so that few of them are too many."""
    with NatsServer("max_payload: 4096") as server:
        yield server


async def test_incoming_flood(small: NatsServer) -> None:
    """Messages of a channel that come too fast wait at NATS, and all arrive in order."""
    network = NatsNetwork(small, replace(PATIENT, incoming_bytes=8192))
    async with connected(network) as one, connected(network) as other:
        await one.relay.subscribe("c", one.on_message)
        sent = [b"%d " % number + b"x" * 2000 for number in range(1000)]
        for data in sent:
            assert other.relay.publish("c", data)
        await one.until(lambda: len(one.messages) == len(sent))
        assert one.messages == sent
        assert (one.connections, one.relay.statistics().dropped) == (1, {})


async def test_a_handler_that_fails(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A fault of a handler is logged, and the next message arrives on the same connection."""

    def fail_once(data: bytes) -> None:
        one.on_message(data)
        if data == b"1":
            raise ZeroDivisionError

    network = NatsNetwork(nats_server)
    async with connected(network) as one, connected(network) as other:
        await one.relay.subscribe("c", fail_once)
        other.relay.publish("c", b"1")
        other.relay.publish("c", b"2")
        await one.until(lambda: one.messages == [b"1", b"2"])
        assert one.connections == 1
    (record,) = (each for each in caplog.records if each.levelname == "ERROR")
    assert record.getMessage() == "a handler of the relay has failed"


async def test_incoming_flood_of_a_log(small: NatsServer) -> None:
    """If entries of a log are dropped, the connection begins again, and nothing is missing."""
    network = NatsNetwork(small, replace(PATIENT, incoming_bytes=8192))
    async with connected(network) as one, connected(network) as other:
        await one.relay.follow("7", one.on_entry)
        while one.connections == 1:
            await asyncio.gather(
                *(other.relay.append("7.a", b"x" * 2000) for _ in range(100)),
                return_exceptions=True,
            )
        entries = []
        while not entries:
            await one.until(lambda: one.relay.is_connected)
            with suppress(Unavailable):  # what is left of the flood may end this connection too
                offset = await one.relay.last_offset("7.a")
                entries = await one.relay.read("7.a", after=0, limit=1000)
        assert entries[-1].offset == offset
        assert one.relay.statistics().dropped["slow_consumer"] > 0


async def test_order_behind_a_full_socket(nats_server: NatsServer) -> None:
    """Messages keep their order, whether they are written at once or have to wait."""
    network = NatsNetwork(nats_server, relay_buffer_bytes=1 << 26)
    async with connected(network) as one, connected(network) as other:
        await one.relay.subscribe("c", one.on_message)
        nats_server.pause()
        sent = [b"%d " % number + b"x" * 100_000 for number in range(100)]
        for data in sent:
            assert other.relay.publish("c", data)
        nats_server.resume()
        for number in range(100, 200):
            sent.append(b"%d" % number)
            assert other.relay.publish("c", sent[-1])
            await asyncio.sleep(0)
        await one.until(lambda: len(one.messages) == len(sent))
        assert one.messages == sent


async def test_size_of_messages(small: NatsServer) -> None:
    """A message over NATS' limit is refused, and the connection stays."""
    async with connected(NatsNetwork(small)) as one:
        assert one.relay.max_bytes == 4096 - 1024
        assert one.relay.publish("c", bytes(one.relay.max_bytes))
        assert not one.relay.publish("c", bytes(one.relay.max_bytes + 1))
        await one.relay.append("7.a", bytes(one.relay.max_bytes), once="x" * 128)
        with pytest.raises(Unavailable) as error:
            await one.relay.append("7.a", bytes(one.relay.max_bytes + 1))
        assert not error.value.unknown_fate
        assert one.relay.statistics().dropped == {"too_large": 1}
        assert one.disconnections == 0


def test_size_before_the_start(small: NatsServer) -> None:
    """The largest message can be asked for before anything runs, if NATS can be reached."""
    config = NatsNetwork(small).config
    assert ask_max_bytes(config, QUICK) == 4096 - 1024
    small.kill()
    assert ask_max_bytes(config, QUICK) is None


# --- What is stored ---


async def test_rooms_are_separate(nats_server: NatsServer) -> None:
    """Two rooms on one server have nothing in common."""
    async with (
        connected(NatsNetwork(nats_server, relay_name="one")) as one,
        connected(NatsNetwork(nats_server, relay_name="one-1")) as other,
    ):
        await receive_all(one)
        await other.relay.create("key", b"1")
        await other.relay.append("7.log", b"1")
        other.relay.publish("c", b"1")
        await one.relay.create("key", b"2")
        assert (await one.relay.snapshot()).entries == {"key": (b"2", 1)}
        assert await one.relay.last_offset("7.log") == 0
        await one.until(lambda: one.changes)
        assert (one.messages, one.entries, one.changes) == ([], [], [("key", b"2", 1)])


async def test_deletions_are_forgotten(nats_server: NatsServer) -> None:
    """The registry does not grow with keys that were deleted, and revisions go on."""
    network = NatsNetwork(nats_server)
    async with process(network.relay(marker_seconds=1)) as one:
        await one.until(lambda: one.connections)
        await one.relay.snapshot()
        revision = await one.relay.create("key", b"1")
        await one.relay.delete("key", revision)
        subject = f"$KV.{network.config.relay_name}.key"
        while await one.relay._registry.last(subject) is not None:
            pass  # each turn asks NATS
        snapshot = await one.relay.snapshot()
        assert (snapshot.entries, snapshot.revision) == ({}, 2)
        assert await one.relay.create("key", b"2") == 3


async def test_long_log(nats_server: NatsServer) -> None:
    """Few entries of a long log, many, and all of them are read right."""
    network = NatsNetwork(nats_server)
    async with process(network.relay(max_history=3000)) as one:
        await one.until(lambda: one.connections)
        await one.relay.snapshot()
        offsets = []
        for _ in range(6):
            for log in ("7.a", "7.b"):
                appended = await asyncio.gather(
                    *(one.relay.append(log, b"%d" % number) for number in range(500))
                )
                offsets += [each.offset for each in appended if log == "7.a"]
        for limit in (1, 10, 1000, 2999, 3000, 5000):
            entries = await one.relay.read("7.a", after=0, limit=limit)
            assert [entry.offset for entry in entries] == offsets[-limit:]
        entries = await one.relay.read("7.a", after=offsets[1000], limit=1500)
        assert [entry.offset for entry in entries] == offsets[1500:]


async def test_limits_are_raised_and_never_lowered(nats_server: NatsServer) -> None:
    """Processes with different settings agree on the larger limits."""
    network = NatsNetwork(nats_server)
    async with connected(network):
        for max_history, expected in ((2000, 2001), (1, 2001)):
            async with process(network.relay(max_history=max_history)) as one:
                await one.until(lambda one=one: one.connections)
                await one.relay.snapshot()
                config = (await one.relay._logs._ask("INFO")).config
                assert config["max_msgs_per_subject"] == expected


async def test_a_store_that_came_back_empty_is_another(nats_server: NatsServer) -> None:
    """A stream that has lost what was seen in it counts as another store."""
    async with connected(NatsNetwork(nats_server)) as one:
        before = await one.relay.snapshot()
        one.relay._registry.note(7)  # as if a revision had been seen that NATS has lost
        after = await one.relay.snapshot()
        assert after.registry_store != before.registry_store
        assert after.log_store == before.log_store
        assert await one.relay.snapshot() == after


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [({"subjects": ["other.>"]}, "subjects"), ({"retention": "workqueue"}, "retention")],
)
async def test_a_stream_of_another_kind(
    nats_server: NatsServer, changed: dict[str, Any], complaint: str
) -> None:
    """A stream of the same name that serves something else is neither used nor changed."""
    network = NatsNetwork(nats_server)
    async with process(network.relay()) as one:
        await one.until(lambda: one.connections)
        stream = one.relay._logs
        foreign = {"name": stream.name, "storage": "memory"}
        foreign["subjects"] = stream._config["subjects"]
        created = await stream._ask("CREATE", **{**foreign, **changed})
        with pytest.raises(Unavailable, match=f"LOG_.* exists with other {complaint}"):
            await one.relay.snapshot()
        assert (await stream._ask("INFO")).config == created.config


async def test_without_jetstream() -> None:
    """A server that stores nothing is named as the reason."""
    with NatsServer(jetstream=False) as server:
        async with process(NatsNetwork(server).relay()) as one:
            await one.until(lambda: one.connections)
            with pytest.raises(Unavailable, match="JetStream is out of reach"):
                await one.relay.snapshot()


async def test_a_subscription_that_nats_refuses(caplog: pytest.LogCaptureFixture) -> None:
    """Without a permission that it needs a relay is not connected, and logs why once."""
    permissions = '{ subscribe: ["_INBOX.>"] }'
    user = f"{{ user: u, password: p, permissions: {permissions} }}"
    with NatsServer(f"authorization {{ users: [ {user} ] }}") as server:
        url = server.url.replace("//", "//u:p@")
        async with process(NatsNetwork(server, relay=url).relay()) as one:
            await poll(lambda: logged(caplog))
            attempts = server.log().count("Subscription Violation")
            await poll(lambda: server.log().count("Subscription Violation") > attempts)
            assert not one.relay.is_connected
            assert not one.connections
    assert logged(caplog) == ["relay_unreachable"]
    assert "permissions violation" in caplog.text.lower()


@pytest.mark.parametrize(
    "denied",
    [
        *("*.channel.>", "*.log.>", "$KV.>", "$JS.API.>", "$JS.API.STREAM.CREATE.>"),
        *("$JS.API.STREAM.INFO.>", "$JS.API.STREAM.MSG.GET.>", "$JS.API.DIRECT.GET.>"),
    ],
)
async def test_a_right_to_publish_is_missing(caplog: pytest.LogCaptureFixture, denied: str) -> None:
    """A relay that may not publish what it will have to is not connected, and logs why once."""
    permissions = f'{{ publish: {{ deny: "{denied}" }} }}'
    user = f"{{ user: u, password: p, permissions: {permissions} }}"
    with NatsServer(f"authorization {{ users: [ {user} ] }}") as server:
        url = server.url.replace("//", "//u:p@")
        async with process(NatsNetwork(server, relay=url).relay()) as one:
            await poll(lambda: one.relay._connection._reasons)
            attempts = server.log().count("Publish Violation")
            await poll(lambda: server.log().count("Publish Violation") > attempts)
            assert not one.relay.is_connected
            assert not one.connections
    assert logged(caplog) == ["relay_unreachable"]
    assert "permissions violation for publish" in caplog.text.lower()


async def test_trying_rights_changes_nothing(nats_server: NatsServer) -> None:
    """What a new connection sends to learn its rights is stored nowhere."""
    network = NatsNetwork(nats_server)
    async with connected(network) as one:
        await one.relay.create("k", b"1")
        await one.relay.append("1.log", b"1")
        streams = (one.relay._registry, one.relay._logs)
        before = [await stream._ask("INFO") for stream in streams]
        async with connected(network):
            assert [await stream._ask("INFO") for stream in streams] == before


@pytest.mark.parametrize("action", ["DELETE", "PURGE"])
async def test_the_registry_is_deleted_by_hand(nats_server: NatsServer, action: str) -> None:
    """A registry that somebody has deleted or emptied is noticed, and is another one then."""
    async with connected(NatsNetwork(nats_server)) as one:
        await one.relay.create("k", b"1")
        before = await one.relay.snapshot()
        await one.relay._registry._ask(action)
        assert not await one.relay.is_intact(1)
        after = await one.relay.snapshot()
        assert after.entries == {}
        assert after.registry_store != before.registry_store
        assert after.log_store == before.log_store
        assert await one.relay.is_intact(0)


async def test_entries_of_a_log_that_was_lost_are_not_confirmed(nats_server: NatsServer) -> None:
    """What is stored by a stream that counts from the beginning again has an unknown fate."""
    network = NatsNetwork(nats_server)
    async with connected(network) as one, connected(network) as other:
        for _ in range(3):
            await one.relay.append("7.a", b"1")
        await other.relay._logs._ask("DELETE")
        await other.relay.snapshot()
        for _ in range(3):
            with pytest.raises(Unavailable) as error:
                await one.relay.append("7.a", b"2")
            assert error.value.unknown_fate
        assert not await one.relay.is_intact(0)
        await one.relay.snapshot()
        assert not (await one.relay.append("7.a", b"3")).duplicate


async def test_the_logs_are_deleted_by_hand(nats_server: NatsServer) -> None:
    """Logs that somebody has deleted are noticed, even if somebody has made them again."""
    network = NatsNetwork(nats_server)
    async with connected(network) as one, connected(network) as other:
        before = await one.relay.snapshot()
        await one.relay._logs._ask("DELETE")
        assert not await one.relay.is_intact(0)
        await other.relay.snapshot()
        assert not await one.relay.is_intact(0)
        after = await one.relay.snapshot()
        assert after.log_store != before.log_store
        assert after.registry_store == before.registry_store
        assert await one.relay.is_intact(0)


@pytest.mark.parametrize(
    "headers",
    [
        None,
        {"Nats-Sequence": "1"},
        {"Nats-Sequence": "x", "Nats-Last-Sequence": "0"},
        {"Nats-Sequence": "9" * 30, "Nats-Last-Sequence": "-1"},
    ],
)
async def test_what_the_stores_have_not_published(
    nats_server: NatsServer, headers: dict[str, str] | None
) -> None:
    """Messages that others publish on the subjects of the stores are ignored."""
    network = NatsNetwork(nats_server)
    async with connected(network) as one:
        await receive_all(one)
        nats = await connect(nats_server.url)
        room = network.config.relay_name
        await nats.publish(f"{room}.live.7.a", b"x", headers=headers)
        if headers is None or headers["Nats-Sequence"] != "1":
            await nats.publish(f"{room}.registry.k", b"x", headers=headers)
        await nats.close()
        await one.relay.append("7.b", b"1")
        await one.relay.create("k", b"1")
        await one.until(lambda: one.entries and one.changes)
        assert [entry[0] for entry in one.entries] == ["7.b"]
        assert len(one.changes) == 1


async def test_statistics(nats_server: NatsServer) -> None:
    """Messages and bytes are counted in both directions, over all connections."""
    network = NatsNetwork(nats_server)
    async with connected(network) as one, connected(network) as other:
        await one.relay.subscribe("c", one.on_message)
        before = one.relay.statistics(), other.relay.statistics()
        for _ in range(10):
            other.relay.publish("c", b"x" * 100)
        await one.until(lambda: len(one.messages) == 10)
        received = one.relay.statistics()
        assert received.received_messages - before[0].received_messages == 10
        assert received.received_bytes - before[0].received_bytes == 1000
        assert other.relay.statistics().sent_bytes - before[1].sent_bytes == 1000
        one.relay._connection.lose("a test")
        await one.until(lambda: one.connections == 2)
        assert one.relay.statistics().received_messages >= received.received_messages
        assert one.relay.statistics().connected
