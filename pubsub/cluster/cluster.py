"""One room from several processes."""

from contextlib import suppress

from msgspec import Raw

from pubsub.cluster.membership import Membership
from pubsub.cluster.reach import OUT_OF_REACH, reaching
from pubsub.core.client import Publisher
from pubsub.core.errors import NoHistory, TopicExists, TopicNotFound
from pubsub.core.notices import Notice
from pubsub.core.options import NOT_GIVEN, GivenOptions
from pubsub.core.publication import Publication
from pubsub.core.topic import Topic
from pubsub.protocol.errors import Unavailable

PREPARATIONS = 3
"""How often a topic is prepared, if it is deleted and created again meanwhile."""


class Cluster(Membership):
    """One room from several processes, as commands, requests and the project's code see it.

    The broker decides what happens in this process, and does not know of others. The cluster
    settles with them what has to be settled first, sends them what has happened here, and passes on
    to the broker what has happened there.

    Guarantees:
        A publication to a topic without history never waits for others. Everything else that waits
        for them ends within a few seconds, or raises `Unavailable`.
    """

    # --- Subscriptions ---

    def is_prepared(self, name: str, since: int = 0) -> bool:
        """Return whether this process gets what others publish to a topic.

        Args:
            name: The topic. If it can neither be found nor created, there is nothing to prepare.
            since: The offset of a message that the process has to have, if the topic has one.
        """
        topic = self.broker.find(name)
        if topic is None:
            return self.is_ready and not self.broker.creates(name)
        if topic.history is None:
            is_prepared = self.channels.is_wanted(name)
        else:
            is_prepared = self.journals.is_open(name) and since <= topic.history.offset
        return is_prepared and (topic.presence is None or self.presence.knows(name))

    def receives(self, name: str) -> bool:
        """Return whether what `prepare` has done for a topic is still in effect.

        It may not be if something else was awaited since: the topic may have been deleted, and
        created again with other options.
        """
        topic = self.broker.find(name)
        if topic is None:
            return True
        if topic.history is None:
            return self.channels.is_asked_for(name)
        return self.journals.is_open(name)

    async def prepare(self, name: str, since: int = 0) -> None:
        """Get what others publish to a topic from now on; create the topic if clients may.

        What others publish to it after this has returned reaches its subscribers here, if they
        subscribe before anything else is awaited.

        Raises:
            InvalidTopicName, LimitExceeded: The topic would have to be created, and cannot be.
            Unavailable: Others have to be asked, and are out of reach; or the topic changes again
                and again.
        """
        for _ in range(PREPARATIONS):
            await self.find_or_create(name)
            topic = self.broker.find(name)
            if topic is None:
                return
            with reaching(), suppress(TopicNotFound, NoHistory):  # it is not the same any more
                await self._prepare(topic, since)
            if self.broker.find(name) is topic and self.receives(name):
                return
        raise Unavailable(OUT_OF_REACH)

    async def _prepare(self, topic: Topic, since: int) -> None:
        name = topic.name
        if topic.history is None:
            await self.channels.want(name)
        elif not (self.journals.is_open(name) and since <= topic.history.offset):
            await self.wait_until_ready()
            await self.journals.open(name)
            if since > topic.history.offset:
                await self.journals.catch_up(name)
        if topic.presence is not None:
            await self.presence.prepare(name)

    # --- Publications ---

    def publishes_at_once(self, name: str) -> bool:
        """Return whether `Broker.publish` does the right thing for a topic, or raises it."""
        topic = self.broker.find(name)
        if topic is None:
            return self.is_ready and not self.broker.creates(name)
        return topic.history is None

    def appends_at_once(self, name: str) -> bool:
        """Return whether `publish_kept` does the right thing for a topic without waiting first."""
        return self.shares_order(name) and self.is_ready

    async def publish(
        self,
        name: str,
        message_id: str,
        payload: Raw,
        *,
        publisher: Publisher | None = None,
        user: str | None = None,
        once: bool = False,
    ) -> Publication:
        """Publish to the subscribers of all processes; see `Broker.publish`.

        Raises:
            Unavailable: The topic keeps history or has to be created, and others are out of reach.
        """
        if not self.publishes_at_once(name):
            await self.find_or_create(name)
            if self.shares_order(name):
                return await self.publish_kept(
                    name, message_id, payload, publisher=publisher, user=user, once=once
                )
        return self.broker.publish(
            name, message_id, payload, publisher=publisher, user=user, once=once
        )

    async def publish_kept(
        self,
        name: str,
        message_id: str,
        payload: Raw,
        *,
        publisher: Publisher | None = None,
        user: str | None = None,
        once: bool = False,
    ) -> Publication:
        """Publish to a topic with history, in the order that all processes share.

        Publications that begin while `appends_at_once` have the order in which they begin.

        Raises:
            TopicNotFound, InvalidTopicName: The topic does not exist, or the name is invalid.
            Unavailable: Others are out of reach. The message may have been published nevertheless.
        """
        await self.wait_until_ready()
        self.broker.topic(name)
        with reaching():
            return await self.journals.publish(
                name,
                message_id,
                payload,
                publisher_id=None if publisher is None else publisher.id,
                user=user,
                once=once,
            )

    def subscribers_elsewhere(self, name: str) -> int:
        """Return the number of subscribers in other processes, as of a few seconds ago."""
        return self.peers.remote_subscribers(name)

    # --- Topics with history ---

    def shares_order(self, name: str) -> bool:
        """Return whether the messages of a topic have one order in all processes."""
        topic = self.broker.find(name)
        return topic is not None and topic.history is not None

    def must_catch_up(self, name: str) -> bool:
        """Return whether others may know a topic, or messages of it, that are unknown here."""
        topic = self.broker.find(name)
        return not self.is_ready if topic is None else topic.history is not None

    async def catch_up(self, name: str) -> None:
        """Get all messages of a topic with history that were accepted before this call.

        Raises:
            TopicNotFound, InvalidTopicName: The topic does not exist, or the name is invalid.
            NoHistory: The topic keeps no messages.
            Unavailable: Others are out of reach.
        """
        await self.wait_until_ready()
        with reaching():
            await self.journals.catch_up(name)

    # --- Presence ---

    def knows_members(self, name: str) -> bool:
        """Return whether this process knows who is subscribed to a topic in others."""
        topic = self.broker.find(name)
        return topic is None or topic.presence is None or self.presence.knows(name)

    async def presence_of(self, name: str) -> Notice:
        """Return who is subscribed to a topic in all processes.

        Raises:
            TopicNotFound, InvalidTopicName: The topic does not exist, or the name is invalid.
            NoPresence: The topic has no presence.
        """
        if self.knows_members(name) or not self._relay.is_connected:
            return self.broker.presence(name)
        return await self.presence.view(name)

    # --- Topics ---

    async def find_or_create(self, name: str) -> None:
        """Wait until this process knows a topic, or that it is missing; create it if clients may.

        Raises:
            InvalidTopicName, LimitExceeded: The topic would have to be created, and cannot be.
            Unavailable: Others have to be asked, and are out of reach.
        """
        if self.broker.find(name) is None:
            await self.wait_until_ready()
            if self.broker.find(name) is None and self.broker.creates(name):
                with suppress(TopicExists):  # it has just been created elsewhere
                    await self.create_topic(name)

    async def create_topic(self, name: str, given: GivenOptions = NOT_GIVEN) -> None:
        """Create a topic in all processes; see `Broker.create_topic`.

        Raises:
            InvalidTopicName, TopicExists, LimitExceeded: As in one process. Of many simultaneous
                creations in all processes exactly one succeeds.
            Unavailable: Others are out of reach. The topic may have been created nevertheless.
        """
        await self.wait_until_ready()
        with reaching():
            await self.topics.create(name, given)

    async def delete_topic(self, name: str) -> None:
        """Delete a topic in all processes; its subscribers are notified.

        Raises:
            TopicNotFound, InvalidTopicName: The topic does not exist, or the name is invalid.
            Unavailable: Others are out of reach. The topic may have been deleted nevertheless.
        """
        await self.wait_until_ready()
        self.broker.topic(name)
        with reaching():
            await self.topics.delete(name)

    # --- Access ---

    async def recheck(self, user: str) -> None:
        """Have all other processes ask again what a user may do.

        Raises:
            Unavailable: Not all of them have answered.
        """
        await self.wait_until_ready()
        if not await self._questions.recheck(user):
            raise Unavailable(OUT_OF_REACH, unknown_fate=True)
