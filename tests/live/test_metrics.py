"""The metrics of a real server, as Prometheus reads them."""

import re
import urllib.request
from typing import Any

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from tests.live.client import UUID
from tests.live.conftest import StartServer
from tests.live.server import PROJECT, Server
from tests.live.waiting import PATIENCE
from tests.test_metrics import RELAY_METRICS


def get(server: Server, path: str = "/metrics", accept: str = "") -> tuple[str, str]:
    """Return the content type and the text."""
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}")
    request.add_header("Accept", accept)
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:
        return response.headers["Content-Type"], response.read().decode()


def totals(server: Server) -> dict[str, float]:
    """Return the sum of each metric over all values of its labels."""
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(get(server)[1]):
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    return sums


def test_totals_are_those_of_the_statistics(start_server: StartServer) -> None:
    """Messages over all three ways in, deliveries and losses are the same as in `/stats`."""
    server = start_server(CHATROOM_QUEUE_SIZE="4", CHATROOM_HISTORY_SIZE="2")
    topic = server.create_topic("t")
    reader, publisher = server.subscriber(topic), server.connect()
    stuck = server.connect(receive_buffer=4096)
    stuck.ask(type="subscribe", topic=topic)
    for _ in range(200):
        publisher.publish(topic, "x" * 50_000)
        reader.receive()
    server.request("POST", f"/topics/{topic}/messages", {"payload": 1})
    reader.close()
    found = totals(server)
    stats: dict[str, Any] = server.request("GET", "/stats")[1]["totals"]
    assert stats["dropped"] > 0
    assert stats["messages"] == found["chatroom_messages_published_total"] == 201
    assert stats["delivered"] == found["chatroom_messages_delivered_total"]
    assert stats["dropped"] == found["chatroom_messages_dropped_total"]
    assert stats["delivered"] + stats["dropped"] == found["chatroom_messages_offered_total"] == 402
    assert stats["topics"] == found["chatroom_topics"] == 1
    assert stats["history_bytes"] == found["chatroom_history_bytes"] > 50_000
    assert found["chatroom_publish_duration_seconds_count"] == 13
    assert 0 < found["chatroom_queued_frames"] <= 4
    assert found["chatroom_received_bytes_total"] > 200 * 50_000
    assert found["chatroom_sent_bytes_total"] > 200 * 50_000


def test_formats(server: Server) -> None:
    """Both text formats are valid, and the client chooses one."""
    server.connect().ask(type="ping")
    content_type, text = get(server)
    assert content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert "chatroom_clients" in {family.name for family in text_string_to_metric_families(text)}
    content_type, text = get(server, accept="application/openmetrics-text;version=1.0.0")
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert "chatroom_clients" in {family.name for family in parse_openmetrics(text)}
    assert server.raw_request("POST", "/metrics")[0] == 405


def test_every_metric_is_documented(server: Server) -> None:
    """The table in the documentation has each metric, including those of a relay, and no other."""
    documented = re.findall(r"`(chatroom_\w+)`", (PROJECT / "docs/operations.md").read_text())
    exported = re.findall(r"^# TYPE (chatroom_\w+)", get(server)[1], re.MULTILINE)
    assert set(documented) == {*exported, *RELAY_METRICS}


def test_no_label_is_chosen_by_a_client(server: Server) -> None:
    """Topics, ids, types and close codes that a client makes up appear in no label."""
    topic = server.create_topic("made-up-topic")
    before = set(get(server)[1].split())
    client = server.subscriber(topic, request_id="made-up-request")
    client.publish(topic, "made-up-payload")
    client.ask(type="made-up-type")
    client.ask(type="publish", topic="made-up-missing", message={"id": UUID, "payload": 1})
    client.send_bytes(b"\x88\x82\0\0\0\0" + (4321).to_bytes(2, "big"))
    assert client.receive_close()[0] == 1000
    text = get(server)[1]
    assert "made-up" not in text
    assert "4321" not in {word.split('"')[1] for word in text.split() if '"' in word}
    new = {word for word in set(text.split()) - before if "{" in word and "bucket" not in word}
    assert new <= {
        f'chatroom_commands_total{{result="{result}",type="{kind}"}}'
        for result, kind in (("BAD_REQUEST", "invalid"), ("TOPIC_NOT_FOUND", "publish"))
    }


def test_the_event_loop_is_measured(start_server: StartServer) -> None:
    """The lag of the event loop is sampled from the first client on."""
    server = start_server()
    client = server.connect()
    while not totals(server)["chatroom_event_loop_lag_seconds_count"]:
        client.ask(type="ping")
    assert server.stop() == 0
