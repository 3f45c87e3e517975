"""The proxies of `deploy/`; tests are skipped where a proxy is not installed."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.deploy.proxies import Caddy, Nginx, Proxy
from tests.deploy.upstream import Upstream, running_upstream
from tests.live import conftest as live

# The tests behind a proxy use the same servers as the live tests.
server, shared_server, start_server = live.server, live.shared_server, live.start_server

PROXIES = {"nginx": Nginx, "caddy": Caddy}


class HasPort(Protocol):
    """A server on this machine."""

    @property
    def port(self) -> int:
        """The port that it listens on."""


class StartProxy(Protocol):
    """A function that starts a proxy."""

    def __call__(self, server: HasPort, changes: dict[str, str] | None = None) -> Any:
        """Start it in front of a server; ``changes`` replace text in its configuration file."""


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> str:
    """Return the proxy that a test uses: nginx, unless the test names others."""
    return str(getattr(request, "param", "nginx"))


@pytest.fixture
def start_proxy(kind: str, tmp_path: Path) -> Iterator[StartProxy]:
    """Start proxies for one test."""
    if shutil.which(kind) is None:
        variable = f"CHATROOM_TEST_{kind.upper()}"
        if os.environ.get(variable) == "required":
            pytest.fail(f"{kind} is not installed, and {variable} is required")
        pytest.skip(f"{kind} is not installed")
    with ExitStack() as stack:

        def start(server: HasPort, changes: dict[str, str] | None = None) -> Proxy:
            proxy = PROXIES[kind](tmp_path, server.port, changes or {})
            stack.callback(proxy.close)
            return proxy

        yield start


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """Return a server that shows what a proxy sends to it."""
    with running_upstream() as server:
        yield server
