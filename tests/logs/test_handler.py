"""The log disturbs nobody, whatever happens to it."""

import io
import json
import logging
import os
import sys
from pathlib import Path
from typing import TextIO

import pytest

from pubsub.logs.handler import LineHandler
from pubsub.logs.rendering import LineFormatter


class Replaced(io.StringIO):
    """Standard error with a descriptor that a test chooses."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self.descriptor = descriptor

    def fileno(self) -> int:
        """Return the descriptor."""
        return self.descriptor


def write(stream: TextIO, *messages: str) -> LineHandler:
    """Write messages to a stream; return the handler, which can write more."""
    handler = LineHandler(stream)
    handler.setFormatter(LineFormatter("json"))
    for message in messages:
        handler.handle(record(message))
    return handler


def record(message: str, *args: object) -> logging.LogRecord:
    """Return a record."""
    return logging.LogRecord("only", logging.WARNING, __file__, 7, message, args, None)


def events(path: Path) -> list[str]:
    """Return the events in a file, each of whose lines must be JSON."""
    return [json.loads(line)["event"] for line in path.read_text().splitlines()]


def test_lost_lines_are_counted(tmp_path: Path) -> None:
    """While the disk is full lines are lost; afterwards their number is logged."""
    path = tmp_path / "log"
    with path.open("w") as log, Path("/dev/full").open("w") as full:
        stream = Replaced(log.fileno())
        handler = write(stream, "before")
        stream.descriptor = full.fileno()
        for _ in range(3):
            handler.handle(record("lost"))
        stream.descriptor = log.fileno()
        handler.handle(record("after"))
        handler.handle(record("later"))
        assert stream.getvalue() == ""
    assert events(path) == ["before", "after", "lines of the log that were lost: 3", "later"]


def test_reader_goes_away(capfd: pytest.CaptureFixture[str]) -> None:
    """A broken pipe raises nothing and prints nothing."""
    reader, writer = os.pipe()
    os.close(reader)
    assert write(Replaced(writer), "lost").lost == 1
    os.close(writer)
    assert capfd.readouterr() == ("", "")


def test_torn_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If only a part of a line fits, the next one still begins in a line of its own."""
    path = tmp_path / "log"
    write_all = os.write
    with path.open("w") as log:
        monkeypatch.setattr(os, "write", lambda descriptor, data: write_all(descriptor, data[:10]))
        handler = write(Replaced(log.fileno()), "torn")
        monkeypatch.setattr(os, "write", write_all)
        handler.handle(record("whole"))
    torn, *rest = path.read_text().splitlines()
    assert len(torn) == 10
    assert [json.loads(line)["event"] for line in rest] == [
        "whole",
        "lines of the log that were lost: 1",
    ]


def test_no_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process may start with standard error closed."""
    monkeypatch.setattr(sys, "stderr", None)
    handler = LineHandler()
    handler.handle(record("lost"))
    assert handler.lost == 1


def test_stream_that_is_no_file() -> None:
    """A test runner or a notebook may have replaced standard error."""
    stream = io.StringIO()
    write(stream, "here")
    assert json.loads(stream.getvalue())["event"] == "here"


def test_standard_error_that_is_replaced_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines still go where they went; what Twisted puts there would log them again."""
    first, second = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", first)
    handler = LineHandler()
    monkeypatch.setattr(sys, "stderr", second)
    handler.handle(record("here"))
    assert (first.getvalue(), second.getvalue()) == ("here\n", "")


def test_line_that_cannot_be_formatted() -> None:
    """A wrong call says where it is, without a traceback."""
    stream = io.StringIO()
    write(stream).handle(record("%d", "no number"))
    line = json.loads(stream.getvalue())
    assert line["level"] == "error"
    assert line["event"] == "a line of test_handler.py:7 cannot be formatted (TypeError)"
