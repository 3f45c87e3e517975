"""The events of the chat room."""

import logging

import pytest

from pubsub import logs
from pubsub.logs import events
from pubsub.logs.events import Event, EventLog
from pubsub.logs.throttle import RATE
from tests.connection.support import turn
from tests.logs.support import Lines
from tests.logs.test_throttle import Clock


@pytest.fixture(autouse=True)
def _fresh_log() -> None:
    events.event_log.cache_clear()


def refuse(log: EventLog, times: int, reason: str = "origin") -> None:
    """Log the refusal of some clients."""
    for _ in range(times):
        log.write(logging.INFO, "client_refused", reason=reason)


def test_every_event_has_a_line(json_lines: Lines, caplog: pytest.LogCaptureFixture) -> None:
    """Each function logs its event with its fields; those that are unknown are left out."""
    caplog.set_level(logging.DEBUG, "pubsub")
    logs.server_started("1.0", max_topics=5)
    logs.relay_unreachable(server="nats://host:4222", reason="refused")
    logs.relay_connected(server="nats://host:4222", room="chatroom")
    logs.relay_lost(server="nats://host:4222", reason="unexpected EOF")
    logs.client_connected("c", address="10.0.0.1")
    logs.slow_consumer("c", address="10.0.0.1", user="42")
    logs.client_closed("c", code=3008, reason="slow", address="10.0.0.1")
    logs.client_disconnected("c", code=3008, address="10.0.0.1")
    logs.refused("origin", address="10.0.0.1", origin="http://evil.example")
    events.topic_options_differ("a, b", count=2)
    events.configured_topic_refused("a", reason="max_topics")
    events.registry_entry_invalid("YQ", message="not an array")
    logs.server_drained(clients=1, seconds=0.12345)
    logs.server_stopped()
    standard = ("timestamp", "logger")
    assert [
        {name: value for name, value in line.items() if name not in standard}
        for line in json_lines.decoded
    ] == [
        {"level": "info", "event": "server_started", "version": "1.0", "max_topics": 5},
        {
            "level": "info",
            "event": "relay_unreachable",
            "server": "nats://host:4222",
            "reason": "refused",
        },
        {
            "level": "info",
            "event": "relay_connected",
            "server": "nats://host:4222",
            "room": "chatroom",
        },
        {
            "level": "info",
            "event": "relay_lost",
            "server": "nats://host:4222",
            "reason": "unexpected EOF",
        },
        {
            "level": "debug",
            "event": "client_connected",
            "client_id": "c",
            "address": "10.0.0.1",
        },
        {
            "level": "info",
            "event": "slow_consumer",
            "client_id": "c",
            "user": "42",
            "address": "10.0.0.1",
        },
        {
            "level": "info",
            "event": "client_closed",
            "code": 3008,
            "reason": "slow",
            "client_id": "c",
            "address": "10.0.0.1",
        },
        {
            "level": "debug",
            "event": "client_disconnected",
            "code": 3008,
            "client_id": "c",
            "address": "10.0.0.1",
        },
        {
            "level": "info",
            "event": "client_refused",
            "reason": "origin",
            "address": "10.0.0.1",
            "origin": "http://evil.example",
        },
        {"level": "warning", "event": "topic_options_differ", "count": 2, "topics": "a, b"},
        {
            "level": "warning",
            "event": "configured_topic_refused",
            "reason": "max_topics",
            "topic": "a",
        },
        {
            "level": "warning",
            "event": "registry_entry_invalid",
            "key": "YQ",
            "message": "not an array",
        },
        {"level": "info", "event": "server_drained", "clients": 1, "seconds": 0.123},
        {"level": "info", "event": "server_stopped"},
    ]
    assert {line["logger"] for line in json_lines.decoded} == {"pubsub.server"}


def test_debug_is_off(json_lines: Lines) -> None:
    """Connections that come and go have no line by default, and are not counted either."""
    for _ in range(2 * RATE):
        logs.client_connected("c", address="")
    logs.server_stopped()
    assert [line["event"] for line in json_lines.decoded] == ["server_stopped"]


def test_flood(json_lines: Lines) -> None:
    """The next line of the kind carries the number of events without a line."""
    clock = Clock()
    log = EventLog(clock)
    refuse(log, RATE + 7)
    refuse(log, 1, "host")
    clock.now += 1
    refuse(log, 2)
    assert [(line["reason"], line.get("suppressed")) for line in json_lines.decoded] == [
        *[("origin", None)] * RATE,
        ("host", None),
        ("origin", 7),
        ("origin", None),
    ]


async def test_end_of_a_flood(json_lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    """If no event of the kind follows, a line of its own tells the number."""
    monkeypatch.setattr(events, "WINDOW", 0)
    clock = Clock()
    log = EventLog(clock)
    refuse(log, RATE + 7)
    await turn()
    assert len(json_lines.lines) == RATE  # by the log's clock, the flood still goes on
    clock.now += 1
    await turn()
    refuse(log, RATE + 1)
    clock.now += 1
    await turn()
    trailing = [line for line in json_lines.decoded if line["event"] == "events_suppressed"]
    assert [(line["kind"], line["cause"], line["suppressed"]) for line in trailing] == [
        ("client_refused", "origin", 7),
        ("client_refused", "origin", 1),
    ]


def test_stop_reports_the_rest(json_lines: Lines) -> None:
    """No count is lost when the server stops during a flood."""
    for _ in range(RATE + 4):
        logs.refused("origin", address="")
    logs.server_stopped()
    assert [line.get("suppressed") for line in json_lines.decoded[-2:]] == [4, None]


def test_text_of_an_event() -> None:
    """Other formatters get the event as one safe line."""
    event = Event("client_refused", {"origin": "x\ny z", "user": None, "port": 1})
    assert str(event) == 'client_refused origin="x\\\\ny z" port=1'
