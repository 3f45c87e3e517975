"""One connected client, as the broker sees it."""

from pubsub.core.counters import ClientStatistics
from pubsub.core.outbox import Outbox


class Publisher:
    """Whose message it is, and who therefore gets no copy: here, or as a client elsewhere."""

    __slots__ = ("id",)

    def __init__(self, client_id: str) -> None:
        self.id = client_id

    def __repr__(self) -> str:
        return f"<Publisher {self.id}>"


class Client(Publisher):
    """An id chosen by the server, an outbox, and the names of the subscribed topics.

    ``user`` is the authenticated user, if there is one, and ``info`` a JSON object that describes
    the user to others; it is empty without a user. `Broker.identify` changes both.

    ``joined`` is a number that grows with each client: the time at which it connected, in
    nanoseconds since the Unix epoch, or a little more where two would be equal or the clock was set
    back.

    ``topics`` is in the order of subscription, with the time of each in seconds. It mirrors
    `Topic.subscribers`: it contains a name exactly while this client is among the subscribers of
    that topic.
    """

    __slots__ = ("info", "joined", "outbox", "topics", "user")

    def __init__(self, client_id: str, outbox: Outbox, joined: int = 0) -> None:
        super().__init__(client_id)
        self.joined = joined
        self.outbox = outbox
        self.topics: dict[str, float] = {}
        self.user: str | None = None
        self.info = b""

    def statistics(self) -> ClientStatistics:
        """Return a snapshot."""
        outbox = self.outbox
        return ClientStatistics(
            self.id, self.joined, list(self.topics), outbox.qsize(), outbox.dropped
        )

    def __repr__(self) -> str:
        return f"<Client {self.id}, {len(self.topics)} topics, {self.outbox!r}>"


def shared_name(client_id: str, user: str | None) -> str:
    """Return the name of a publisher in a history that several processes share.

    A publisher can give the id of a client in another process as its own. Only together with its
    user, which nobody can choose, it tells whose a message is. No client id is such a name.
    """
    return f"{client_id} {'' if user is None else user}"
