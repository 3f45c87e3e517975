"""One connected client, as the broker sees it."""

from pubsub.core.outbox import Outbox


class Client:
    """An id chosen by the server, an outbox, and the names of the subscribed topics.

    ``topics`` is in the order of subscription. It mirrors `Topic.subscribers`: it contains a name
    exactly while this client is among the subscribers of that topic.
    """

    __slots__ = ("id", "outbox", "topics")

    def __init__(self, client_id: str, outbox: Outbox) -> None:
        self.id = client_id
        self.outbox = outbox
        self.topics: dict[str, None] = {}

    def __repr__(self) -> str:
        return f"<Client {self.id}, {len(self.topics)} topics, {self.outbox!r}>"
