"""The limit of file descriptors, and those that are reserved."""

import logging
import resource
from collections.abc import Iterator

import pytest

from pubsub.transport.daphne import descriptors, install
from tests.transport.daphne.http_support import LIMITS
from tests.transport.daphne.support import running_daphne


@pytest.fixture(autouse=True)
def soft_limit() -> Iterator[int]:
    """Lower the soft limit; raising it again needs no privileges."""
    descriptors.raise_limit.cache_clear()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowered = min(soft, hard - 1)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowered, hard))
    yield lowered
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_limit_is_raised_when_the_server_starts(
    soft_limit: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The soft limit becomes the hard one, and one line says so, however often this is done."""
    caplog.set_level(logging.INFO, "pubsub.transport.daphne.descriptors")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with running_daphne(limits=LIMITS):
        install(LIMITS)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    (record,) = (each for each in caplog.records if each.name == descriptors.__name__)
    assert record.getMessage() == (
        f"At most {hard} files and connections can be open (the soft limit was {soft_limit})"
    )
