"""The users of a Django project, and the class in which the project decides what they may do."""

import inspect
from collections.abc import Callable
from typing import Any, Literal

from channels.db import aclose_old_connections, database_sync_to_async
from django.db.models import Model

from pubsub.auth.info import encode_info

Action = Literal["subscribe", "publish", "manage"]


async def ask(authorizer: Any, action: Action, user: Any, topic: str) -> bool:
    """Return what the authorizer of the project says."""
    return bool(await _call(getattr(authorizer, f"may_{action}"), user, topic))


async def describe(authorizer: Any, user: Any) -> bytes | None:
    """Return what the authorizer of the project lets others know about a user, as compact JSON.

    The method ``info`` is optional: without it, or if it returns ``None``, this is ``None``.

    Raises:
        ValueError: It returns something else than an object of at most 1 KiB.
    """
    method = getattr(authorizer, "info", None)
    info = None if method is None else await _call(method, user)
    return None if info is None else encode_info(info)


async def _call(method: Callable[..., Any], *arguments: Any) -> Any:
    """Call a method of the authorizer, which may use the database.

    A coroutine is awaited, and a plain function runs in a thread of a pool, so that nobody else
    waits. Broken and outdated database connections are replaced, as Django does before each
    request.
    """
    if inspect.iscoroutinefunction(method):
        await aclose_old_connections()
        return await method(*arguments)
    answer = await database_sync_to_async(method, thread_sensitive=False)(*arguments)
    # A coroutine of a method that hides being one would be as good as "yes".
    return await answer if inspect.isawaitable(answer) else answer


def name_of(user: Any) -> str:
    """Return the name that other clients see: a user's primary key, or the key given, as text."""
    return str(getattr(user, "pk", user))


async def reload(user: Any) -> Any:
    """Return the user as the database has it now, without cached permissions.

    Returns ``None`` if the user was deleted or deactivated. A user that is not a model is returned
    unchanged.
    """
    if not isinstance(user, Model):
        return user
    # Channels and Django wrap users lazily; `__class__` sees through that, and `type` does not.
    manager = user.__class__._default_manager  # noqa: SLF001  # a documented attribute
    find = database_sync_to_async(manager.filter(pk=user.pk).first, thread_sensitive=False)
    found = await find()
    return found if getattr(found, "is_active", True) else None
