"""The chat room behind a middleware that wraps ``send``."""

from typing import Any

from chatroom_project.asgi import application as chat_room


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Pass everything on, with ``send`` wrapped."""

    async def wrapped(message: Any) -> None:
        await send(message)

    await chat_room(scope, receive, wrapped)
