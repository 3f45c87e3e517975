"""The topics of the configuration, which exist from the start."""

from collections.abc import Awaitable, Callable

from pubsub.cluster.topics.catalogue import Catalogue
from pubsub.cluster.topics.concurrency import for_each
from pubsub.core.errors import LimitExceeded, TopicExists
from pubsub.core.shared import SharedBroker
from pubsub.logs import events as log

NAMED = 10
"""Topics that one line of the log names."""


class ConfiguredTopics:
    """Creates the topics of the configuration, unless other processes have.

    Args:
        broker: Its configuration names them.
        catalogue: The copy of the registry.
        create: Creates a topic of the room.
    """

    def __init__(
        self, broker: SharedBroker, catalogue: Catalogue, create: Callable[[str], Awaitable[None]]
    ) -> None:
        self._broker = broker
        self._catalogue = catalogue
        self._create = create
        self._is_done = False

    async def create(self) -> None:
        """Create those that are missing, at the first call; log those with other options.

        Raises:
            Unavailable: The registry did not answer. The next call creates the rest.
        """
        if self._is_done:
            return
        broker = self._broker
        names = list(broker.config.topics.names)
        await for_each(self._create_one, names)
        self._is_done = True
        found = ((name, self._catalogue.find(name)) for name in names)
        different = [
            name
            for name, known in found
            if known is not None and known.record.options != broker.options_for(name)
        ]
        if different:
            log.topic_options_differ(", ".join(different[:NAMED]), count=len(different))

    async def _create_one(self, name: str) -> None:
        try:
            await self._create(name)
        except TopicExists:
            pass
        except LimitExceeded:
            log.configured_topic_refused(name, reason="max_topics")

    def __repr__(self) -> str:
        return f"<ConfiguredTopics, {'created' if self._is_done else 'not created yet'}>"
