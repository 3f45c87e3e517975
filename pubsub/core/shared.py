"""The broker of a process that shares its topics with other processes."""

import time
from collections.abc import Callable
from typing import Any

from pubsub.core.broker import Broker
from pubsub.core.client import Client, shared_name
from pubsub.core.configuration import Configuration
from pubsub.core.loss import Loss
from pubsub.core.members import Export
from pubsub.core.notices import Notice
from pubsub.core.options import TopicOptions
from pubsub.core.publication import Encode, Frame
from pubsub.core.timer import CallLater, on_running_loop
from pubsub.core.topic import Topic


class SharedBroker(Broker):
    """A broker for one of several processes that share their topics.

    It knows nothing of the other processes, and creates no topics itself. Its caller installs and
    removes the topics that exist in all processes, and passes on what others have published.
    Messages of a topic with history have one order in all processes, so those of this process, too,
    enter through `deliver_kept`. None of these methods announces anything, so nothing loops.

    See `Broker` for the arguments.
    """

    def __init__(
        self,
        config: Configuration,
        *,
        encode: Encode,
        encode_kept: Encode | None = None,
        describe_loss: Callable[[Loss], Frame],
        describe_presence: Callable[[Notice], Frame],
        clock: Callable[[], float] = time.monotonic,
        call_later: CallLater = on_running_loop,
    ) -> None:
        super().__init__(
            config,
            encode=encode,
            encode_kept=encode_kept,
            describe_loss=describe_loss,
            describe_presence=describe_presence,
            clock=clock,
            call_later=call_later,
        )
        self._changed_counts: set[str] = set()
        """Topics whose number of subscribers has changed."""

    # --- Topics ---

    def install(self, name: str, options: TopicOptions, epoch: str) -> None:
        """Create a topic that exists in all processes, with complete options and its epoch.

        The name must be valid and new; there is no limit of topics here.
        """
        self._check_caller()
        self._install(name, options, epoch)

    def remove(self, name: str, notice: Frame) -> None:
        """Delete a topic that was deleted in all processes; its subscribers get ``notice``.

        The topic must exist.
        """
        self._check_caller()
        self._remove(name, notice)

    def begin_again(self, name: str, epoch: str, notice: Frame) -> None:
        """Begin a new epoch of a topic with history, because the old order was lost.

        The topic must exist. Its history is empty then, and its subscribers get ``notice``, after
        what they have lost of the old epoch was reported.
        """
        self._check_caller()
        topic = self._topics[name]
        topic.begin_again(epoch)
        for outbox in topic.subscribers.values():
            outbox.put_reset(notice, topic.counters)

    def _create_configured(self) -> None:
        """Create nothing: the topics that exist from the start are installed, too."""

    def _creates(self, name: str) -> bool:
        return False

    def _remove(self, name: str, notice: Frame) -> None:
        if self._topics[name].subscribers:
            self._changed_counts.add(name)
        super()._remove(name, notice)

    # --- Messages of other processes ---

    def deliver(
        self, name: str, event: bytes, *, publisher_id: str | None, user: str | None
    ) -> int:
        """Deliver an event of a topic without history that another process has accepted.

        Args:
            name: The topic. If it does not exist, nothing happens; nor if it keeps history: then
                it was created again since the event was accepted.
            event: The encoded event.
            publisher_id: The id that the publisher gives as its own; the client with that id gets
                no copy, if it is of the same user.
            user: The authenticated user who publishes, if there is one.

        Returns:
            The number of subscribers that it was offered to.
        """
        self._check_caller()
        topic = self._topics.get(name)
        if topic is None or topic.history is not None:
            return 0
        count: int = self._deliver(topic.deliver, event, self._own_client(publisher_id, user))
        return count

    def deliver_kept(
        self,
        name: str,
        event: bytes,
        *,
        offset: int,
        publisher_id: str | None,
        user: str | None,
        age: float = 0.0,
    ) -> None:
        """Keep and deliver an event of a topic with history, whichever process has accepted it.

        Args:
            name: The topic, which must exist and keep history.
            event: The encoded event, with its offset.
            offset: Its offset, which must be above those of all events before.
            publisher_id: See `deliver`. The message is not replayed to this client either.
            user: See `deliver`.
            age: Seconds since it was accepted, by which it expires.
        """
        self._check_caller()
        deliver = self._topics[name].deliver_kept
        publisher = self._own_client(publisher_id, user)
        name_kept = None if publisher_id is None else shared_name(publisher_id, user)
        self._deliver(deliver, event, offset, name_kept, publisher, age)

    def _deliver(self, deliver: Callable[..., Any], *arguments: Any) -> Any:
        self._delivering = True
        try:
            return deliver(*arguments)
        finally:
            self._delivering = False

    def _own_client(self, client_id: str | None, user: str | None) -> Client | None:
        client = self.find_client(client_id)
        return client if client is not None and client.user == user else None

    def find_client(self, client_id: str | None) -> Client | None:
        """Return a connected client, if there is one with this id."""
        return None if client_id is None else self._clients.get(client_id)

    def forget_kept(self, name: str, offset: int) -> None:
        """Forget the kept events of a topic, and regard all up to ``offset`` as evicted.

        The topic must exist and keep history; its subscribers are not notified.
        """
        self._check_caller()
        history = self._topics[name].history
        assert history is not None  # noqa: S101  # only such topics share an order
        history.begin_after(offset)

    # --- Counts ---

    def count_accepted(self, name: str, *, by_client: bool) -> None:
        """Count a message of a topic with history that this process has accepted.

        If the topic does not exist any more, nothing happens.
        """
        self._check_caller()
        topic = self._topics.get(name)
        if topic is not None:
            topic.count_accepted()
            if not by_client:
                self._other_publications += 1

    def count_repetition(self) -> None:
        """Count a message of a topic with history that repeated an earlier one."""
        self._check_caller()
        self._repetitions += 1

    def take_changed_counts(self) -> dict[str, int]:
        """Return the number of subscribers of each topic where it has changed since the last call.

        A topic that was deleted has 0.
        """
        self._check_caller()
        names, self._changed_counts = self._changed_counts, set()
        topics = self._topics
        return {name: len(topics[name].subscribers) if name in topics else 0 for name in names}

    def disconnect(self, client: Client, *, lost: bool = False) -> None:
        """Remove a client from every topic; see `Broker.disconnect`."""
        names = tuple(client.topics)
        super().disconnect(client, lost=lost)
        self._changed_counts.update(names)

    def unsubscribe(self, client: Client, name: str) -> None:
        """End a subscription; see `Broker.unsubscribe`."""
        super().unsubscribe(client, name)
        self._changed_counts.add(name)

    def _add_subscriber(self, client: Client, name: str) -> Topic:
        topic = super()._add_subscriber(client, name)
        self._changed_counts.add(name)
        return topic

    # --- Presence ---

    def export_presence(self, export: Export) -> None:
        """Have a function called when a topic's member in this process changes.

        It gets the name of the topic and the member, and must not call the broker.
        """
        self._presences.export = export
