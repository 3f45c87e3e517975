"""Settings for all tests."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from pubsub.processes import neighbours

# Use the same examples every time, so that a failure can be reproduced.
settings.register_profile("deterministic", derandomize=True, deadline=None)
settings.load_profile("deterministic")


@pytest.fixture(scope="session", autouse=True)
def claims() -> Iterator[None]:
    """Release the ports that requests without a server make this process claim."""
    yield
    neighbours().close()
