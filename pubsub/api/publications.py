"""What the endpoints that publish messages do, for Django's views and for `pubsub.publishing`."""

import asyncio
import logging
import uuid

from django.http import HttpRequest, HttpResponse
from msgspec import UNSET, Raw

from pubsub import fairness
from pubsub.api.access import Asker, identify
from pubsub.api.limits import count_publication
from pubsub.api.requests import get_broker, get_turns, read_body
from pubsub.auth.errors import AccessError
from pubsub.core.broker import Broker
from pubsub.core.client import Publisher
from pubsub.core.errors import PubSubError
from pubsub.core.publication import Publication as Accepted
from pubsub.protocol import batch, bodies, results
from pubsub.protocol.batch import BatchPublication
from pubsub.protocol.errors import MessageTooLarge
from pubsub.protocol.messages import Publication, is_message_id
from pubsub.runtime import get_runtime

logger = logging.getLogger(__name__)

_CLIENT_ID = "HTTP_X_CLIENT_ID"
"""The header ``X-Client-Id``, with which a connected client publishes over REST and gets no copy
of its own message. It is found here quicker than in ``request.headers``."""


async def publish_message(request: HttpRequest, topic: str) -> HttpResponse:
    """Publish the body of a request to a topic.

    Raises:
        PubSubError: The request is refused; `pubsub.api.errors` has the response.
    """
    publisher = _Publisher(request, await identify(request, "publish"))
    await publisher.asker.check(topic)
    publisher.count_one()
    publication = bodies.decode_publication(read_body(request))
    result = await publisher.publish(get_broker(request), topic, publication)
    return _response(results.encode_result(result))


async def publish_batch(request: HttpRequest) -> HttpResponse:
    """Publish the items of the body of a request, in their order.

    One that is refused does not hold up those that follow. Other clients are served between two
    slices of a batch, and their publications may come between its own.

    Raises:
        PubSubError: The request as a whole is refused.
    """
    publisher = _Publisher(request, await identify(request, "publish"))
    body, broker = read_body(request, batch.MAX_BATCH_BYTES), get_broker(request)
    await get_turns().wait()  # only one batch is split in each turn of the event loop
    items = batch.split_batch(body)
    publishing = _Batch(broker, publisher)
    for item in items:
        await publishing.add(item)
    return _response(results.encode_results(await publishing.finish()))


class _Publisher:
    """Who publishes by a request."""

    def __init__(self, request: HttpRequest, asker: Asker) -> None:
        self.asker = asker
        self._runtime = runtime = get_runtime()
        self.cluster = runtime.cluster
        client_id = request.META.get(_CLIENT_ID)
        registry = runtime.registry
        self._client: Publisher | None = (
            registry.exclude_for(client_id, asker.user) if client_id else None
        )
        if client_id and self._client is None and self.cluster and is_message_id(client_id):
            self._client = Publisher(client_id)  # it may be connected to another process

    def count_one(self) -> None:
        """Count one message that it wants to publish.

        Raises:
            TooManyPublications: It has published too much lately.
        """
        if self._runtime.rest_rates is not None:
            count_publication(self.asker.bucket)

    async def publish(
        self, broker: Broker, topic: str, publication: Publication
    ) -> results.Published:
        """Publish a message, and make an id if it has none.

        Raises:
            TopicNotFound, InvalidTopicName, LimitExceeded: As `Broker.publish` does.
            Unavailable: Other processes have to be asked, and are out of reach.
        """
        cluster = self.cluster
        if cluster is None:
            return self.publish_here(broker, topic, publication)
        published = await cluster.publish(
            topic,
            str(uuid.uuid4()) if publication.id is UNSET else publication.id,
            publication.payload,
            publisher=self._client,
            user=self.asker.user,
            once=publication.once,
        )
        self._count(published)
        elsewhere = 0 if published.duplicate else cluster.subscribers_elsewhere(topic)
        scope = UNSET if published.offset is not None else cluster.scope
        return results.published(published, elsewhere=elsewhere, scope=scope)

    def publish_here(
        self, broker: Broker, topic: str, publication: Publication
    ) -> results.Published:
        """Publish a message in the only process; see `publish`."""
        published = broker.publish(
            topic,
            str(uuid.uuid4()) if publication.id is UNSET else publication.id,
            publication.payload,
            publisher=self._client,
            user=self.asker.user,
            once=publication.once,
        )
        self._count(published)
        return results.published(published)

    def _count(self, published: Accepted) -> None:
        if not published.duplicate:
            tally = self._runtime.tally
            tally.rest_publications += 1
            if self._client:
                tally.rest_client_publications += 1


class _Batch:
    """Publishes items one after the other, in slices, the first one at once."""

    def __init__(self, broker: Broker, publisher: _Publisher) -> None:
        self.results: list[results.Result] = []
        self._broker = broker
        self._publisher = publisher
        self._cluster = publisher.cluster
        self._publishing: set[asyncio.Task[None]] = set()
        self._runtime = get_runtime()
        self._max_bytes = self._runtime.config.max_message_bytes
        self._allowed: dict[str, bool] = {}
        self._budget = fairness.BATCH_SLICE

    async def add(self, item: Raw) -> None:
        """Publish an item, or note why it is refused."""
        if self._budget <= 0:
            await self._runtime.turns.wait()
            self._budget = fairness.BATCH_SLICE
        try:
            publication = await self._check(item)
            if self._cluster is not None and self._cluster.shares_order(publication.topic):
                await self._publish_meanwhile(publication)
                return
            result = await self._publish(publication)
        except Exception as error:
            self.results.append(self._refusal(error))
        else:
            self._budget -= result.subscribers
            self.results.append(result)
        self._budget -= fairness.BATCH_ITEM

    async def finish(self) -> list[results.Result]:
        """Wait for what is still being published, and return all results."""
        await asyncio.gather(*self._publishing)
        return self.results

    async def _publish_meanwhile(self, publication: BatchPublication) -> None:
        """Begin to publish an item whose order other processes decide; several wait at once."""
        if len(self._publishing) >= fairness.PIPELINED:
            await asyncio.wait(self._publishing, return_when=asyncio.FIRST_COMPLETED)
        index = len(self.results)
        self.results.append(results.failed())  # until the outcome is known

        async def publish() -> None:
            try:
                self.results[index] = await self._publish(publication)
            except Exception as error:
                self.results[index] = self._refusal(error)

        task = asyncio.ensure_future(publish())
        self._publishing.add(task)
        task.add_done_callback(self._publishing.discard)
        self._budget -= fairness.COMMAND

    async def _publish(self, publication: BatchPublication) -> results.Published:
        if self._cluster is None:
            return self._publisher.publish_here(self._broker, publication.topic, publication)
        return await self._publisher.publish(self._broker, publication.topic, publication)

    def _refusal(self, error: Exception) -> results.Refused:
        if isinstance(error, AccessError):
            self._runtime.tally.count_access_error(error)
        if isinstance(error, PubSubError):
            return results.refused(error)
        # The items before this one are published, so the others' results must not be lost.
        logger.error("Failed to publish an item of a batch", exc_info=error)
        return results.failed()

    async def _check(self, item: Raw) -> BatchPublication:
        publisher, asker = self._publisher, self._publisher.asker
        publisher.count_one()
        size = memoryview(item).nbytes
        if size > self._max_bytes:
            raise MessageTooLarge(f"message exceeds {self._max_bytes} bytes")
        publication = batch.decode_item(item)
        if publication is None:
            self._budget -= size // fairness.REJECTED_BYTES
            publication = batch.diagnose_item(item)
        topic = publication.topic
        if not asker.may_use_all:
            if topic not in self._allowed:  # an authorizer may have to ask a database
                self._allowed[topic] = await asker.may_use(topic)
            if not self._allowed[topic]:
                raise asker.refusal(asker.reason)
        return publication


def _response(content: bytes) -> HttpResponse:
    return HttpResponse(content, content_type="application/json; charset=utf-8")
