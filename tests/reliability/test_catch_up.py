"""A subscriber that reads at half the speed of the publisher, with the policy ``catch_up``."""

from tests.live.conftest import StartServer
from tests.live.test_backpressure import MB, publish_all
from tests.reliability.conftest import Record, scaled

TEXT = "x" * 4096


def test_half_speed(start_server: StartServer, record: Record) -> None:
    """It costs no memory, and gets everything in order or learns exactly what is missing."""
    total, history = scaled(4000, most=100_000), scaled(400, most=10_000)
    server = start_server(CHATROOM_OVERFLOW="catch_up", CHATROOM_HISTORY_SIZE=str(history))
    topic = server.create_topic("t")
    publisher = server.connect()
    publish_all(publisher, None, topic, history + 1000, TEXT)  # the history takes all it will take
    slow = server.connect(receive_buffer=64 * 1024)
    slow.ask(type="subscribe", topic=topic)
    before, expected, lost = server.memory(), history + 1001, 0

    def read_one() -> None:
        nonlocal expected, lost
        message = slow.receive()
        if message["type"] == "error":
            assert (message["error"]["code"], message["first"]) == ("SLOW_CONSUMER", expected)
            assert message["dropped"] == message["last"] - expected + 1
            lost += message["dropped"]
            expected = message["last"] + 1
        else:
            assert message["offset"] == expected
            expected += 1

    for _ in range(total // 100):
        publish_all(publisher, None, topic, 100, TEXT)
        for _ in range(50):
            read_one()
    growth = server.memory() - before
    while expected <= history + 1000 + total:
        read_one()
    slow.assert_nothing_came()
    assert growth < 5 * MB
    assert 0 < lost < total / 2
    record(
        f"{total:,} messages of 4 KiB, history of {history:,}",
        f"{lost:,}, all reported; memory grew by {growth / MB:.1f} MB",
    )
