"""One connected client, as the broker sees it."""

from pubsub.core.outbox import Outbox


class Client:
    """A connection: an id chosen by the server, an outbox, and the topics it subscribes to.

    ``topics`` has the names in the order of subscription. It mirrors the topics' own subscribers:
    a name is in it exactly as long as the broker has that topic with this client in it.
    """

    __slots__ = ("id", "outbox", "topics")

    def __init__(self, client_id: str, outbox: Outbox) -> None:
        self.id = client_id
        self.outbox = outbox
        self.topics: dict[str, None] = {}

    def __repr__(self) -> str:
        return f"<Client {self.id}, {len(self.topics)} topics, {self.outbox!r}>"
