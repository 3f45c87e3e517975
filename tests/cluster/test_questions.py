"""The questions that the parts of a cluster ask all other processes."""

import pytest

from pubsub.cluster.messenger.messenger import Messenger
from pubsub.cluster.peers.beats import Peer
from pubsub.cluster.questions import Questions
from pubsub.relay.memory import MemoryNetwork
from tests.cluster.support import connected_relay


async def test_who_was_asked() -> None:
    """Each process that is alive is in the result, also if it has failed to answer."""
    network = MemoryNetwork()
    messengers = {name: Messenger(name, connected_relay(network)) for name in "abc"}
    for messenger in messengers.values():
        await messenger.start()
    questions = Questions(
        messengers["a"],
        alive=lambda: [Peer("b"), Peer("c")],
        count=lambda *lost: pytest.fail("nothing was lost"),
        position=lambda partition: 0,
        recheck=lambda user: None,
    )
    messengers["b"].handle("echo", lambda body: body)
    assert await questions.ask_each("echo", b"x") == {"b": b"x", "c": None}
    assert await questions.ask_all("echo", b"x") == {"b": b"x"}
