"""What a client is told about events that it has lost."""


class Loss:
    """Events of one topic that one client has lost since its last notice of a loss.

    Args:
        topic: The name of the topic.
        dropped: Their number.
        first: The offset of the first one; ``None`` if the topic keeps no history.
        last: The offset of the last one. Between the two there may be events that were not lost.
    """

    __slots__ = ("dropped", "first", "is_bound", "last", "topic")

    def __init__(
        self, topic: str, dropped: int = 0, first: int | None = None, last: int | None = None
    ) -> None:
        self.topic = topic
        self.dropped = dropped
        self.first = first
        self.last = last
        self.is_bound = False
        """Whether ``dropped`` is only the largest possible number."""

    def add(self, offset: int | None) -> None:
        """Include one more event, which is later than all before."""
        self.dropped += 1
        self.last = offset
        if self.first is None:
            self.first = offset

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.dropped} events of {self.topic!r}>"


class Gap(Loss):
    """Events of one topic that were lost on their way here, of which the client was not notified.

    Its outbox was full when they were missed.
    """

    __slots__ = ()
