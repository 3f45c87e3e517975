"""The configuration for Django, and the hooks for Python's own output."""

import gc
import logging
import sys
import threading
import warnings

import pytest

from pubsub import logs
from tests.logs.support import Lines


def test_unknown_style() -> None:
    """The message says what a valid style is."""
    with pytest.raises(ValueError, match="must be console or json, not 'xml'"):
        logs.configuration("xml")


def test_details_of_daphne(monkeypatch: pytest.MonkeyPatch) -> None:
    """`daphne -v 2` shows the details of the chat room, too; nothing hides what is the default."""
    root = logging.getLogger()
    for level, own in (("WARNING", "INFO"), ("INFO", "INFO"), ("DEBUG", "DEBUG")):
        monkeypatch.setattr(root, "level", getattr(logging, level))
        configured = logs.configuration()["loggers"]["pubsub"]["level"]
        assert configured == getattr(logging, own)


def test_project_uses_it() -> None:
    """The settings of the project contain it."""
    assert logs.is_in_use()


class Unraisable:
    """Fails while it is freed."""

    def __del__(self) -> None:
        raise ValueError("freed")


def test_capture(json_lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Python would print is logged: warnings and uncaught exceptions of every kind."""
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)
    monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logs.capture()
        logs.capture()
        try:
            warnings.warn("beware", stacklevel=1)
            sys.excepthook(ValueError, ValueError("top"), None)
            thread = threading.Thread(target=lambda: 1 / 0, name="worker")
            thread.start()
            thread.join()
            Unraisable()
            gc.collect()
        finally:
            logging.captureWarnings(False)
    lines = json_lines.decoded
    assert [(line["logger"], line["level"]) for line in lines] == [
        ("py.warnings", "warning"),
        ("python", "critical"),
        ("python", "error"),
        ("python", "error"),
    ]
    assert "UserWarning: beware" in lines[0]["event"]
    assert [line["exception"].splitlines()[-1] for line in lines[1:]] == [
        "ValueError: top",
        "ZeroDivisionError: division by zero",
        "ValueError: freed",
    ]
    assert lines[2]["event"] == "Uncaught exception in the thread worker"


def test_interruption_is_not_logged(
    json_lines: Lines, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C and the end of a thread stay what they are."""
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)
    logs.capture()
    logging.captureWarnings(False)
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    thread = threading.Thread(target=sys.exit)
    thread.start()
    thread.join()
    assert json_lines.lines == []
    assert capsys.readouterr().err == "KeyboardInterrupt\n"


def test_hooks_of_others_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hook that an error tracker has set is not replaced."""
    hooks = [lambda *_: None for _ in range(3)]
    monkeypatch.setattr(sys, "excepthook", hooks[0])
    monkeypatch.setattr(sys, "unraisablehook", hooks[1])
    monkeypatch.setattr(threading, "excepthook", hooks[2])
    logs.capture()
    logging.captureWarnings(False)
    assert [sys.excepthook, sys.unraisablehook, threading.excepthook] == hooks
