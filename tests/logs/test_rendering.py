"""Each record is one line, whoever logged it."""

import logging
import re
import warnings

import pytest
import structlog

from pubsub.logs.access import access
from pubsub.logs.events import Event
from pubsub.logs.rendering import MAX_TEXT
from tests.logs.support import Lines

other = logging.getLogger("other")
other.setLevel(logging.INFO)

FORGERY = "x\r\n2030-01-01 00:00:00.000 CRITICAL forged\x1b[2J\u2028forged"


def test_json(json_lines: Lines) -> None:
    """The time is RFC 3339 in UTC with milliseconds; the level is in lower case."""
    other.warning("%d of %s", 1, "them")
    (line,) = json_lines.decoded
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("timestamp"))
    assert line == {"level": "warning", "event": "1 of them", "logger": "other"}


def test_console(console_lines: Lines) -> None:
    """The time, the level, the event, and its fields."""
    other.info("plain")
    other.info(Event("named", {"reason": "too slow", "code": 3008}))
    first, second = console_lines.lines
    time = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}"
    assert re.fullmatch(f"{time} INFO     plain", first)
    assert re.fullmatch(f'{time} INFO     named reason="too slow" code=3008', second)


def log_forgeries() -> None:
    """Put the forgery into every part of a line."""
    other.error(FORGERY)
    other.error("%s", FORGERY)
    other.error(Event("event", {"user": FORGERY}))
    other.error("in a traceback", exc_info=ValueError(FORGERY), stack_info=True)
    details = {"path": FORGERY, "method": FORGERY, "client": FORGERY, "status": 200}
    access("http", "complete", details)


def test_forgery_in_json(json_lines: Lines) -> None:
    """No line can be forged, and nothing reaches a terminal raw."""
    log_forgeries()
    assert len(json_lines.decoded) == 5
    assert all(line.isprintable() for line in json_lines.lines)


def test_forgery_on_the_console(console_lines: Lines) -> None:
    """A line that does not start with four spaces starts with the time of a record."""
    log_forgeries()
    lines = "\n".join(console_lines.lines).split("\n")
    assert all(line.isprintable() for line in lines)
    assert sum(not line.startswith("    ") for line in lines) == 5


def test_traceback(json_lines: Lines, console_lines: Lines) -> None:
    """A traceback is a field in JSON, and indented lines on the console."""
    try:
        raise KeyError("chatroom.bearer.opaque")
    except KeyError:
        other.exception("it failed")
    (line,) = json_lines.decoded
    assert line["event"] == "it failed"
    assert line["exception"].startswith("Traceback (most recent call last):\n")
    assert line["exception"].endswith("KeyError: 'chatroom.bearer.[redacted]'")
    first, *rest = console_lines.lines[0].split("\n")
    assert first.endswith("ERROR    it failed")
    assert rest[0] == "    Traceback (most recent call last):"


def test_long_text_is_cut(json_lines: Lines) -> None:
    """What somebody logs without a bound is bounded."""
    other.info("%s", "x" * 10 * MAX_TEXT)
    assert len(json_lines.lines[0]) < MAX_TEXT + 200


def test_logger_of_structlog(json_lines: Lines) -> None:
    """A project's events from structlog keep their fields, made safe."""
    log = structlog.wrap_logger(
        other,
        processors=[structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    log.info("ordered", item="a\nb", count=2, header="Bearer opaque")
    (line,) = json_lines.decoded
    del line["timestamp"]
    assert line == {
        "level": "info",
        "event": "ordered",
        "logger": "other",
        "item": "a\\nb",
        "count": 2,
        "header": "Bearer [redacted]",
    }


def test_access_lines(json_lines: Lines) -> None:
    """A line has no query, and a handshake that has only begun has no line."""
    request = {"path": "/t?token=opaque", "status": 404, "method": "GET", "client": "10.0.0.1:99"}
    access("http", "complete", {**request, "time_taken": 0.123456, "size": 5})
    for action in ("connecting", "connected", "rejected", "disconnected"):
        access("websocket", action, {"path": "/ws", "client": None})
    first, *others = json_lines.decoded
    del first["timestamp"]
    assert first == {
        "level": "info",
        "event": "http_request",
        "logger": "pubsub.access",
        "method": "GET",
        "path": "/t",
        "status": 404,
        "bytes": 5,
        "seconds": 0.1235,
        "address": "10.0.0.1",
        "port": 99,
    }
    assert [(line["event"], line["path"], "address" in line) for line in others] == [
        ("websocket_connected", "/ws", False),
        ("websocket_rejected", "/ws", False),
        ("websocket_disconnected", "/ws", False),
    ]


def test_access_lines_of_other_servers(json_lines: Lines) -> None:
    """`runserver` and uvicorn give the same fields, and a client's mistake is no warning."""
    details = {"path": "/a?token=opaque", "method": "GET", "status": 404, "client": "10.0.0.1:9"}
    logger = logging.getLogger("django.channels.server")
    logger.warning("\x1b[33mHTTP %(method)s %(path)s\x1b[0m", details)
    logger.info("WebSocket DISCONNECT %(path)s [%(client)s]", details)
    logging.getLogger("uvicorn.access").warning(
        '%s - "%s %s HTTP/%s" %d', "10.0.0.1:9", "GET", "/a?token=opaque", "1.1", 404
    )
    logging.getLogger("uvicorn.access").warning("something else")
    assert [
        (line["level"], line["event"], line.get("path"), line.get("port"))
        for line in json_lines.decoded
    ] == [
        ("info", "http_request", "/a", 9),
        ("info", "websocket_disconnected", "/a", 9),
        ("info", "http_request", "/a", 9),
        ("warning", "something else", None, None),
    ]


def test_warnings(json_lines: Lines) -> None:
    """A captured warning is one line."""
    logging.captureWarnings(True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.getLogger("py.warnings").warning(
                "%s", "a.py:1: UserWarning: beware\n  call()\n"
            )
    finally:
        logging.captureWarnings(False)
    (line,) = json_lines.decoded
    assert line["event"] == "a.py:1: UserWarning: beware\n  call()"


@pytest.mark.parametrize("level", ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"])
def test_levels(console_lines: Lines, level: str) -> None:
    """The message begins in the same column, whatever the level."""
    logging.getLogger("other").setLevel(logging.DEBUG)
    try:
        other.log(getattr(logging, level), "here")
    finally:
        other.setLevel(logging.INFO)
    assert console_lines.lines[0][24:] == f"{level:<9}here"
