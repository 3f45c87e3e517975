"""One connected client, as the broker sees it."""

from typing import TYPE_CHECKING

from pubsub.core.outbox import Outbox

if TYPE_CHECKING:
    from pubsub.core.topic import Topic


class Client:
    """A connection: an id that the server chose, an outbox, and the topics it subscribes to."""

    __slots__ = ("id", "outbox", "topics")

    def __init__(self, client_id: str, outbox: Outbox) -> None:
        self.id = client_id
        self.outbox = outbox
        self.topics: dict[str, Topic] = {}

    def __repr__(self) -> str:
        return f"<Client {self.id}, {len(self.topics)} topics, {self.outbox!r}>"
