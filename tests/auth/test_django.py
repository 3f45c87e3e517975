"""What the authorizer of a Django project is asked."""

import asyncio
import threading
from typing import Any

import pytest

from pubsub.auth.django import Action, ask, describe


class Plain:
    """An authorizer of ordinary methods, each of which records its thread."""

    def __init__(self) -> None:
        self.threads: list[int] = []

    def may_subscribe(self, user: str, topic: str) -> bool:
        """Everyone may read the topic of the same name."""
        self.threads.append(threading.get_ident())
        return user == topic

    def may_publish(self, user: str, topic: str) -> Any:
        """Return the answer as a coroutine, as a wrapped method may."""
        return asyncio.sleep(0, user == topic)

    def may_manage(self, user: str, topic: str) -> bool:
        """Fail, as a method whose database is away."""
        raise OSError("no database")


class Asynchronous:
    """An authorizer of coroutine functions."""

    async def may_subscribe(self, user: str, topic: str) -> Any:
        """Return something that is as good as true or false."""
        return "yes" if user == topic else ""


async def test_ordinary_methods_run_in_another_thread() -> None:
    """An ordinary method may block, so it does not run on the event loop."""
    authorizer = Plain()
    assert await ask(authorizer, "subscribe", "ann", "ann") is True
    assert await ask(authorizer, "subscribe", "ann", "bob") is False
    assert threading.get_ident() not in authorizer.threads


@pytest.mark.parametrize(
    ("authorizer", "action"), [(Asynchronous(), "subscribe"), (Plain(), "publish")]
)
async def test_coroutines_are_awaited(authorizer: Any, action: Action) -> None:
    """Coroutine functions, and functions that return an awaitable, are awaited."""
    assert await ask(authorizer, action, "ann", "ann") is True
    assert await ask(authorizer, action, "ann", "bob") is False


async def test_errors_reach_the_caller() -> None:
    """An authorizer that fails is not an answer."""
    with pytest.raises(OSError, match="no database"):
        await ask(Plain(), "manage", "ann", "t")


class Described:
    """An authorizer that says of each user what its name says."""

    def info(self, user: Any) -> Any:
        """Describe a user."""
        return user


async def test_description_of_a_user() -> None:
    """What the authorizer says about a user is encoded; saying nothing is allowed."""
    assert await describe(Described(), {"name": "Änn"}) == '{"name":"Änn"}'.encode()
    assert await describe(Described(), None) is None
    assert await describe(Plain(), "ann") is None


@pytest.mark.parametrize("info", ["ann", ["ann"], {"n": "x" * 1024}, {"n": object()}, {"n": 1e999}])
async def test_invalid_descriptions(info: Any) -> None:
    """A description is an object of at most 1 KiB that JSON can represent."""
    with pytest.raises(ValueError, match="info must be an object of at most 1024 bytes"):
        await describe(Described(), info)
