"""The host project's settings, with topics created on demand."""

from tests.live.host.settings import *  # noqa: F403

CHATROOM = {"AUTO_CREATE_TOPICS": True}
