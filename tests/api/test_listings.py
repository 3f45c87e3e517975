"""Pages of listings, collected in slices, for those who see only a part of the topics."""

from typing import Any

import msgspec
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.test import RequestFactory

from pubsub import fairness
from pubsub.api.listings import SORTED_AT_A_TIME, SubscriptionWriter, write_topics
from pubsub.api.pages import Document, Page, encode_cursor, read_page
from pubsub.core.broker import Broker
from pubsub.turns import Turns
from tests.core.support import join, make_broker

EVERYTHING = Page(prefix="", limit=1000, after=None)


class CountedTurns(Turns):
    """Counts the turns that are taken."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = 0

    async def wait(self) -> None:
        """Count a turn and take it."""
        self.taken += 1
        await super().wait()


async def listed(
    broker: Broker, page: Page = EVERYTHING, **options: Any
) -> tuple[list[str], dict[str, Any]]:
    """Return the names of the topics of a page, and what tells what is cut off."""
    names: list[str] = []
    rest = await write_topics(
        broker, Turns(), page, lambda topics: names.extend(name for name, _ in topics), **options
    )
    return names, rest


async def test_total_counts_only_visible_topics() -> None:
    """What the asker may not see is neither listed nor counted, on any page."""
    broker = make_broker()
    for number in range(1000):
        broker.create_topic(f"{number:03}")

    def visible(name: str) -> bool:
        return name.endswith("7")

    names, rest = await listed(broker, Page("", 98, None), visible=visible)
    assert names[-1] == "977"
    assert rest == {"truncated": True, "next": encode_cursor("977"), "total": 100}
    names, rest = await listed(broker, Page("", 1, "977"), visible=visible)
    assert (names, rest["total"]) == (["987"], 100)
    assert await listed(broker, Page("", 2, "977"), visible=visible) == (["987", "997"], {})
    names, rest = await listed(broker, Page("9", 9, None), visible=visible)
    assert (len(names), rest["total"]) == (9, 10)
    assert await listed(broker, visible=lambda name: False) == ([], {})


async def test_rejected_topics_are_looked_at_in_slices() -> None:
    """An asker who may see nothing of a large room holds the event loop no longer than others."""
    broker = make_broker()
    number = fairness.LISTING_SLICE // fairness.EXAMINED_ROW
    for each in range(3 * number):
        broker.create_topic(str(each))
    turns = CountedTurns()
    await write_topics(broker, turns, EVERYTHING, lambda topics: None, visible=lambda name: False)
    assert turns.taken == 3


async def content_of(response: HttpResponseBase) -> Any:
    """Return the decoded body of a response, whether it is in one piece or in many."""
    if isinstance(response, StreamingHttpResponse):
        content = b"".join([chunk async for chunk in response])
        assert response["Content-Length"] == str(len(content))
    else:
        assert isinstance(response, HttpResponse)
        content = response.content
    return msgspec.json.decode(content)


async def test_all_pages_together_have_every_client_and_every_topic() -> None:
    """Topics without subscribers follow the last client, so that no page is large."""
    broker = make_broker()
    used = [f"used-{number:04}" for number in range(SORTED_AT_A_TIME + 10)]
    unused = [f"unused-{number:04}" for number in range(2 * 10 + 1)]
    for name in (*used, *unused):
        broker.create_topic(name)
    clients = [join(broker, *used[start : start + 100]).id for start in range(0, len(used), 100)]
    clients.append(join(broker, *used[:100]).id)
    pages: list[dict[str, Any]] = []
    query = {"limit": "10"}
    while not pages or pages[-1].get("truncated"):
        document = Document()
        page = read_page(RequestFactory().get("/", query), int, str)
        document.add(await SubscriptionWriter(document, Turns(), broker).write(page))
        pages.append(await content_of(document.response()))
        query["cursor"] = pages[-1].get("next", "")
    assert [len(page["subscriptions"]) for page in pages] == [10, 2, 0, 0]
    assert [page.get("total") for page in pages] == [12, 12, 12, None]
    assert [row["client_id"] for page in pages for row in page["subscriptions"]] == clients
    assert all(list(page["topic_breakdown"]) == sorted(page["topic_breakdown"]) for page in pages)
    assert pages[0]["topic_breakdown"][used[0]] == clients[:1]
    assert pages[1]["topic_breakdown"][used[0]] == clients[-1:]
    found = {name for page in pages for name in page["topic_breakdown"]}
    assert found == {*used, *unused}
