"""A logger with our configuration, whose lines a test reads."""

import json
import logging
from typing import Any

from pubsub.logs.rendering import LineFormatter


class Lines(logging.Handler):
    """Keeps what it would write."""

    def __init__(self, style: str) -> None:
        super().__init__()
        self.setFormatter(LineFormatter(style))
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Format a record and keep the result."""
        self.lines.append(self.format(record))

    @property
    def decoded(self) -> list[dict[str, Any]]:
        """The lines as JSON."""
        return [json.loads(line) for line in self.lines]
