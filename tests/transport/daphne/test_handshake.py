"""What a handshake on Daphne costs beyond what is necessary."""

from typing import Any

import pytest

from pubsub.transport.daphne import foreign
from pubsub.transport.daphne.handshake import spare_debug_messages
from tests.transport.daphne.support import running_daphne

FORMATTERS = [(place, name) for place, names in foreign.DEBUG_MESSAGES.items() for name in names]


def formatted(*args: Any, **kwargs: Any) -> str:
    """Format a debug message."""
    return "formatted"


@pytest.fixture(autouse=True)
def formatters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have Autobahn format debug messages, whatever this process has done before."""
    for place, name in FORMATTERS:
        monkeypatch.setattr(foreign.find(place), name, formatted)


def still_formatted() -> list[bool]:
    """Return, for each function, whether it is still the original."""
    return [getattr(foreign.find(place), name, None) is formatted for place, name in FORMATTERS]


@pytest.mark.parametrize("verbosity", [1, 2])
async def test_debug_messages_of_autobahn(verbosity: int) -> None:
    """They are formatted only if Daphne's verbosity lets anyone read them."""
    async with running_daphne(verbosity=verbosity) as server:
        for _ in range(2):
            session = await server.connect()
            session.write("hello")
            assert await session.client.receive_text() == "hello"
            assert still_formatted() == [verbosity > 1] * len(FORMATTERS)


@pytest.mark.parametrize("missing", FORMATTERS)
def test_version_of_autobahn_without_one_of_these_functions(
    missing: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """None is replaced, and nothing is logged: the messages are formatted, as without us."""
    place, name = missing
    monkeypatch.delattr(foreign.find(place), name)
    spare_debug_messages()
    assert still_formatted() == [each != missing for each in FORMATTERS]
