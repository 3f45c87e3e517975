"""Formatters: they make one line of any log record, as text or as JSON."""

import functools
import logging
import time
from collections.abc import Callable, MutableMapping
from typing import Any

import msgspec
from structlog.processors import ExceptionRenderer, JSONRenderer
from structlog.stdlib import ProcessorFormatter

from pubsub.logs.access import from_foreign
from pubsub.logs.events import Event
from pubsub.logs.text import clean_lines, field, pair, redact

Fields = MutableMapping[str, Any]

MAX_TEXT = 32 * 1024
"""Characters of a message, or of a traceback, of which the end is kept."""

_RESERVED = frozenset(
    {"timestamp", "level", "event", "logger", "exception", "stack_info", "positional_args"}
)


class LineFormatter(ProcessorFormatter):
    """Formats records of the chat room, of `logging` and of structlog.

    Args:
        style: ``console`` or ``json``.
    """

    def __init__(self, style: str) -> None:
        self._render = _RENDERERS[style]
        super().__init__(
            processors=[ExceptionRenderer(), _describe, self._render], pass_foreign_args=True
        )

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, or the lines of a traceback, for a record."""
        if isinstance(record.msg, Event):  # several times faster than the general way
            return self._render(None, "", _line_of(record, record.msg, record.levelname))
        return super().format(record)


def _line_of(record: logging.LogRecord, event: Event, level: str) -> Fields:
    return {
        "timestamp": record.created,
        "level": level.lower(),
        "event": event.name,
        "logger": record.name,
        **event.fields,
    }


def _describe(logger: Any, method: str, found: Fields) -> Fields:
    """Return the fields of a line, all of them safe to print."""
    record: logging.LogRecord = found["_record"]
    event = from_foreign(record.name, str(record.msg), found.get("positional_args"))
    if event is not None:
        return _line_of(record, event, "info")  # a warning is a client's mistake
    line: Fields = {
        "timestamp": record.created,
        "level": record.levelname.lower(),
        "event": _text(str(found["event"])).rstrip("\n"),
        "logger": record.name,
    }
    # Those of a logger of structlog's.
    line.update(
        (name, field(value))
        for name, value in found.items()
        if name not in _RESERVED and not name.startswith("_")
    )
    trace = [str(found[name]) for name in ("stack_info", "exception") if found.get(name)]
    if trace:
        line["exception"] = _text("\n".join(trace))
    return line


def _text(text: str) -> str:
    if len(text) > MAX_TEXT:
        text = f"…{text[-MAX_TEXT:]}"
    return clean_lines(redact(text))


# --- Renderers ---


def _split(created: float) -> tuple[int, int]:
    second, rest = divmod(created, 1)
    return int(second), int(rest * 1000)


@functools.lru_cache(maxsize=2)
def _utc(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


@functools.lru_cache(maxsize=2)
def _local(second: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))


def _dump(line: Fields, default: Callable[[Any], Any]) -> str:
    return msgspec.json.encode(line, enc_hook=default).decode()


_to_json = JSONRenderer(serializer=_dump)


def _render_json(logger: Any, method: str, line: Fields) -> str:
    second, millisecond = _split(line["timestamp"])
    line["timestamp"] = f"{_utc(second)}.{millisecond:03}Z"
    return str(_to_json(logger, method, line))  # structlog allows for bytes


def _render_text(logger: Any, method: str, line: Fields) -> str:
    """Return the time, the level, the event and its fields; further lines are indented.

    So whatever a message contains, a line that begins with a time is a record of its own.
    """
    second, millisecond = _split(line.pop("timestamp"))
    head = f"{_local(second)}.{millisecond:03} {line.pop('level').upper():<8} "
    text: str = line.pop("event")
    exception = line.pop("exception", "")
    del line["logger"]
    pairs = "".join(f" {pair(name, value)}" for name, value in line.items())
    if exception:
        text = f"{text}{pairs}\n{exception}"
    else:
        text += pairs
    return head + text.replace("\n", "\n    ")


_RENDERERS: dict[str, Callable[[Any, str, Fields], str]] = {
    "console": _render_text,
    "json": _render_json,
}

STYLES = tuple(_RENDERERS)
