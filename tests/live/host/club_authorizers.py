"""Two authorizers that give the same answers from the database.

The members of a group may read the topic of its name, and a permission of Django allows to publish.
"""

import asyncio
import os
import socket
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connection

HELD = "held"
"""The topic about which both ask the test, at the port ``CLUB_GATE``."""

DROPPED = "dropped"
"""The topic at which both lose the connection to the database, as in a restart of its server."""

PUBLISH = "auth.change_group"


def ask_the_test() -> bool:
    """Wait until the test says yes or no."""
    with socket.create_connection(("127.0.0.1", int(os.environ["CLUB_GATE"]))) as gate:
        return gate.recv(1) == b"y"


def lose_connection() -> bool:
    """Close the connection below Django, which does not notice."""
    connection.ensure_connection()
    connection.connection.close()
    return True


class Plain:
    """Ordinary methods."""

    def may_subscribe(self, user: Any, topic: str) -> bool:
        """Allow it to the members of the group."""
        if topic == HELD:
            return ask_the_test()
        if topic == DROPPED:
            return lose_connection()
        return user.groups.filter(name=topic).exists()

    def may_publish(self, user: Any, topic: str) -> bool:
        """Allow it with a permission, which Django caches in the user."""
        return user.has_perm(PUBLISH)

    def may_manage(self, user: Any, topic: str) -> bool:
        """Is not asked over a WebSocket."""
        return False


class Asynchronous:
    """Coroutine methods."""

    async def may_subscribe(self, user: Any, topic: str) -> bool:
        """Allow it to the members of the group."""
        if topic == HELD:
            return await asyncio.to_thread(ask_the_test)
        if topic == DROPPED:
            return await sync_to_async(lose_connection)()
        return await user.groups.filter(name=topic).aexists()

    async def may_publish(self, user: Any, topic: str) -> bool:
        """Allow it with a permission, which Django caches in the user."""
        return await user.ahas_perm(PUBLISH)

    async def may_manage(self, user: Any, topic: str) -> bool:
        """Is not asked over a WebSocket."""
        return False
