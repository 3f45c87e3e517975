"""What the endpoints that publish messages do, for Django's views and for `pubsub.publishing`."""

import uuid

from django.http import HttpRequest, HttpResponse
from msgspec import UNSET, Raw

from pubsub import fairness
from pubsub.api.access import Asker, identify
from pubsub.api.limits import count_publication
from pubsub.api.requests import get_broker, read_body
from pubsub.auth.errors import AccessError
from pubsub.core.broker import Broker
from pubsub.core.errors import PubSubError
from pubsub.protocol import batch, bodies, results
from pubsub.protocol.messages import Publication
from pubsub.runtime import Runtime, get_runtime


async def publish_message(request: HttpRequest, topic: str) -> HttpResponse:
    """Publish the body of a request to a topic.

    Raises:
        PubSubError: The request is refused; `pubsub.api.errors` has the response.
    """
    asker = await identify(request, "publish")
    await asker.check(topic)
    count_publication(asker.bucket)
    publication = bodies.decode_publication(read_body(request))
    result = _publish(get_broker(request), get_runtime(), asker, topic, publication)
    return _response(results.encode_result(result))


async def publish_batch(request: HttpRequest) -> HttpResponse:
    """Publish the items of the body of a request, in their order.

    One that is refused does not hold up those that follow. Other clients are served between two
    slices of a batch, and their publications may come between its own.

    Raises:
        PubSubError: The request as a whole is refused.
    """
    asker = await identify(request, "publish")
    items = batch.split_batch(read_body(request, batch.MAX_BATCH_BYTES))
    publishing = _Batch(get_broker(request), get_runtime(), asker)
    for item in items:
        await publishing.add(item)
    return _response(results.encode_results(publishing.results))


class _Batch:
    """Publishes items one after the other, in slices."""

    def __init__(self, broker: Broker, runtime: Runtime, asker: Asker) -> None:
        self.results: list[results.Result] = []
        self._broker = broker
        self._runtime = runtime
        self._asker = asker
        self._max_bytes = runtime.config.max_message_bytes
        self._allowed: dict[str, bool] = {}
        self._budget = 0

    async def add(self, item: Raw) -> None:
        """Publish an item, or note why it is refused."""
        if self._budget <= 0:
            await self._runtime.turns.wait()
            self._budget = fairness.BATCH_SLICE
        try:
            result = await self._publish(item)
        except PubSubError as error:
            if isinstance(error, AccessError):
                self._runtime.tally.count_access_error(error)
            self._budget -= memoryview(item).nbytes // fairness.REJECTED_BYTES
            self.results.append(results.refused(error))
        else:
            self._budget -= result.subscribers
            self.results.append(result)
        self._budget -= fairness.BATCH_ITEM

    async def _publish(self, item: Raw) -> results.Published:
        count_publication(self._asker.bucket)
        publication = batch.decode_item(item, max_bytes=self._max_bytes)
        asker, topic = self._asker, publication.topic
        if not asker.may_use_all:
            if topic not in self._allowed:  # an authorizer may have to ask a database
                self._allowed[topic] = await asker.may_use(topic)
            if not self._allowed[topic]:
                raise asker.refusal(asker.reason)
        return _publish(self._broker, self._runtime, asker, topic, publication)


def _publish(
    broker: Broker, runtime: Runtime, asker: Asker, topic: str, publication: Publication
) -> results.Published:
    message_id = str(uuid.uuid4()) if publication.id is UNSET else publication.id
    published = broker.publish(
        topic, message_id, publication.payload, user=asker.user, once=publication.once
    )
    runtime.tally.rest_publications += 1
    return results.published(published)


def _response(content: bytes) -> HttpResponse:
    return HttpResponse(content, content_type="application/json; charset=utf-8")
