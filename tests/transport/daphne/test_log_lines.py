"""The lines of Daphne and Twisted, where the project's logging is in use."""

import io
import logging
import re
import sys
from collections.abc import Iterator

import pytest
import twisted.python.log
from daphne.access import AccessLogGenerator
from twisted.logger import Logger, globalLogPublisher
from twisted.python.failure import Failure

from pubsub.logs.config import ACCESS_LOGGER
from pubsub.transport.daphne import foreign, log_lines
from tests.transport.daphne.support import installed_reactor
from tests.transport.daphne.test_foreign import take_away

DETAILS = {"path": "/a?b", "status": 200, "method": "GET", "client": "10.0.0.1:9", "size": 1}


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Begin and end without what `install` leaves behind."""
    caches = (log_lines._log_stop, log_lines._log_errors_of_twisted)
    for cache in caches:
        cache.cache_clear()
    monkeypatch.setattr(globalLogPublisher, "_observers", [])
    call = AccessLogGenerator.__call__
    monkeypatch.setattr(AccessLogGenerator, "__call__", getattr(call, "__wrapped__", call))
    yield
    for cache in caches:
        cache.cache_clear()


async def test_access_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Lines for standard output are logged, once; a file that was chosen keeps Daphne's form."""
    stdout, file = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", stdout)
    async with installed_reactor():
        log_lines.install()
        log_lines.install()
        for stream in (stdout, file):
            AccessLogGenerator(stream)("http", "complete", DETAILS)
    (record,) = caplog.records
    assert record.name == ACCESS_LOGGER
    assert record.getMessage().startswith("http_request method=GET path=/a status=200")
    assert stdout.getvalue() == ""
    assert '"GET /a?b" 200 1' in file.getvalue()


async def test_other_logging(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing changes in a project that uses other logging."""
    stdout = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stdout)
    monkeypatch.setattr(logging.getLogger(ACCESS_LOGGER), "level", logging.NOTSET)
    async with installed_reactor():
        log_lines.install()
    AccessLogGenerator(stdout)("http", "complete", DETAILS)
    assert '"GET /a?b" 200 1' in stdout.getvalue()
    assert globalLogPublisher._observers == []


async def test_other_daphne(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If a name is missing, one warning is logged and Daphne's own form stays."""
    foreign.warn_once.cache_clear()
    call = AccessLogGenerator.__call__
    take_away("daphne.access:AccessLogGenerator.__init__", "stream", monkeypatch)
    async with installed_reactor():
        log_lines.install()
    assert AccessLogGenerator.__call__ is call
    (record,) = caplog.records
    assert "AccessLogGenerator.__init__.stream" in record.getMessage()
    foreign.warn_once.cache_clear()


async def test_errors_of_twisted(caplog: pytest.LogCaptureFixture) -> None:
    """Each of Twisted's errors is one line; what is less than an error is none."""
    caplog.set_level(logging.INFO, "pubsub")
    log = Logger("twisted.test")
    async with installed_reactor():
        log_lines.install()
        log.warn("nothing")
        log.error("no {word}", word="exception")
        for report in (twisted.python.log.err, lambda: log.failure("it failed")):
            try:
                raise ValueError("a bug")
            except ValueError:
                report()
        log.failure("it failed", Failure(KeyError("elsewhere")))
    assert [re.sub(r":\d+", ":9", record.getMessage()) for record in caplog.records] == [
        'twisted_error message="no exception"',
        'twisted_error reason=ValueError message="a bug" place=test_log_lines.py:9',
        'twisted_error reason=ValueError message="a bug" place=test_log_lines.py:9',
        "twisted_error reason=KeyError message=\"'elsewhere'\"",
    ]


async def test_verbose_daphne(monkeypatch: pytest.MonkeyPatch) -> None:
    """If Daphne passes everything on itself, nothing is logged twice."""
    monkeypatch.setattr(logging.getLogger("daphne.server"), "level", logging.DEBUG)
    logging.getLogger("daphne.server").manager._clear_cache()
    async with installed_reactor():
        log_lines.install()
    assert globalLogPublisher._observers == []


async def test_stop_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The end of the server is logged once."""
    caplog.set_level(logging.INFO, "pubsub")
    async with installed_reactor() as reactor:
        log_lines.install()
        log_lines.install()
        reactor.fireSystemEvent("shutdown")
    # Other tests of this process may have left something to report.
    messages = [record.getMessage() for record in caplog.records]
    assert messages.count("server_stopped") == 1
    assert messages[-1] == "server_stopped"
