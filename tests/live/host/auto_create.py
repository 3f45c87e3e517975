"""The same settings, with topics that are created on demand."""

from tests.live.host.settings import *  # noqa: F403

CHATROOM = {"AUTO_CREATE_TOPICS": True}
