"""A handler that never disturbs the server, whatever happens to the log."""

import io
import logging
import os
import sys
from typing import TextIO


class LineHandler(logging.Handler):
    """Writes each record to standard error in one piece, and counts the lines that get lost.

    A line is lost if nobody reads the pipe any more, the disk is full or standard error is closed.
    That raises nothing and prints nothing; as soon as a line can be written again, another one says
    how many were lost. Nothing is buffered, so a pipe that is full blocks the server until somebody
    reads from it.

    Args:
        stream: Where to write; by default what is standard error now. Twisted may replace it later
            by an object that logs.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__()
        self._stream = sys.stderr if stream is None else stream
        self.lost = 0
        """Lines that were lost and not reported yet."""
        self._torn = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; if it cannot be formatted, write which one it is."""
        try:
            line = self.format(record)
        except Exception as error:
            line = self.format(_replacement(record, error))
        if not self._write(line):
            self.lost += 1
        elif self.lost and self._write(self.format(_report(self.lost))):
            self.lost = 0

    def _write(self, line: str) -> bool:
        # The end of a torn line comes first, so that only that one is illegible.
        data = ("\n" * self._torn + line + "\n").encode("utf-8", "backslashreplace")
        try:
            written = _write(self._stream, data)
        except (OSError, ValueError):
            return False
        self._torn = written < len(data)
        return not self._torn


def _write(stream: TextIO | None, data: bytes) -> int:
    if stream is None:  # it was closed when the process started
        raise OSError("there is no standard error")
    try:
        descriptor = stream.fileno()
    except io.UnsupportedOperation:  # not a file, as in some tests
        stream.write(data.decode())
        return len(data)
    return os.write(descriptor, data)


def _replacement(record: logging.LogRecord, error: Exception) -> logging.LogRecord:
    return logging.makeLogRecord(
        {
            "name": record.name,
            "levelno": logging.ERROR,
            "levelname": "ERROR",
            "msg": "a line of %s:%d cannot be formatted (%s)",
            "args": (record.filename, record.lineno, type(error).__name__),
        }
    )


def _report(lost: int) -> logging.LogRecord:
    return logging.makeLogRecord(
        {
            "name": __name__,
            "levelno": logging.WARNING,
            "levelname": "WARNING",
            "msg": "lines of the log that were lost: %d",
            "args": (lost,),
        }
    )
