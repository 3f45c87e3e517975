"""The users of a Django project, and the class of the project that decides what they may do."""

from inspect import isawaitable, iscoroutinefunction
from typing import Any, Literal

from channels.db import database_sync_to_async

Action = Literal["subscribe", "publish", "manage"]


async def ask(authorizer: Any, action: Action, user: Any, topic: str) -> bool:
    """Return whether a user may do something with a topic.

    An ordinary method runs in a thread of its own, because it may use the database; meanwhile only
    the caller waits.

    Args:
        authorizer: An object with ``may_subscribe``, ``may_publish`` and ``may_manage``, each an
            ordinary method or a coroutine function of a user and a topic's name.
        action: What the user wants to do.
        user: The user, as Django knows it.
        topic: The topic's name; there may be no such topic.

    Raises:
        Exception: Whatever the method raises.
    """
    method = getattr(authorizer, f"may_{action}")
    if iscoroutinefunction(method):
        return bool(await method(user, topic))
    answer = await database_sync_to_async(method, thread_sensitive=False)(user, topic)
    return bool(await answer if isawaitable(answer) else answer)
