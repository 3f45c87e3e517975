"""The ring buffer of a topic's last messages."""

from pubsub.core.history import History
from tests.core.support import event


def test_keeps_the_newest() -> None:
    """The oldest gives way."""
    history = History(3)
    for number in range(5):
        history.append(event(str(number)), None)
    assert (len(history), history.capacity) == (3, 3)
    assert [frame.text for frame in history.last(9, reader_id="r")] == ["2", "3", "4"]
    assert [frame.text for frame in history.last(2, reader_id="r")] == ["3", "4"]
    assert history.last(0, reader_id="r") == []


def test_leaves_out_the_readers_own() -> None:
    """They do not count towards the number asked for either."""
    history = History(9)
    for number in range(6):
        history.append(event(str(number)), "me" if number % 2 else "you")
    assert [frame.text for frame in history.last(2, reader_id="me")] == ["2", "4"]
