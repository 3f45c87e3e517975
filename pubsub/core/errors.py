"""The exceptions of the broker, as one tree.

::

    PubSubError
    ├── TopicError              .topic
    │   ├── InvalidTopicName
    │   ├── TopicExists
    │   ├── TopicNotFound
    │   ├── NotSubscribed
    │   ├── NoHistory
    │   └── NoPresence
    ├── LimitExceeded           .resource, .limit
    ├── WrongThread
    ├── ReentrantCall
    ├── MustAwait
    └── BrokerNotRunning
"""


class PubSubError(Exception):
    """Base class of all exceptions of this package."""


class TopicError(PubSubError):
    """A request failed because of one topic, whose name is ``topic``."""

    reason = "topic cannot be used"

    def __init__(self, topic: str) -> None:
        super().__init__(topic)
        self.topic = topic

    def __str__(self) -> str:
        return self.reason


TOPIC_NAME_RULE = (
    "must be 1 to 128 printable characters without white space or /, in Unicode normalization "
    "form NFC, without invisible characters, with at most two combining marks in a row"
)
"""The rule that `pubsub.core.names` enforces."""


class InvalidTopicName(TopicError):
    """The name breaks the rule for topic names."""

    reason = f"topic {TOPIC_NAME_RULE}"


class TopicExists(TopicError):
    """A topic with this name exists already."""

    reason = "topic already exists"


class TopicNotFound(TopicError):
    """No topic with this name exists."""

    reason = "topic does not exist"


class NotSubscribed(TopicError):
    """The client is not subscribed to this topic."""

    reason = "not subscribed to this topic"


class NoHistory(TopicError):
    """The topic keeps no messages."""

    reason = "topic keeps no history"


class NoPresence(TopicError):
    """The topic was created without presence."""

    reason = "topic has no presence"


class LimitExceeded(PubSubError):
    """The request needs one more ``resource`` than ``limit`` allows."""

    def __init__(self, resource: str, limit: int) -> None:
        super().__init__(resource, limit)
        self.resource = resource
        self.limit = limit

    def __str__(self) -> str:
        return f"no more than {self.limit} {self.resource} are allowed"


class WrongThread(PubSubError):
    """The broker was called from a thread that does not own it; use ``pubsub.publish()`` there."""


class ReentrantCall(PubSubError):
    """A callback of an outbox called the broker in the middle of a publication."""


class MustAwait(PubSubError):
    """The call has to wait for other processes, which the event loop must not do."""

    def __str__(self) -> str:
        return "this has to wait for other processes; on the event loop, await its other form"


class BrokerNotRunning(PubSubError):
    """No event loop of this process runs the broker, so there are no subscribers."""
