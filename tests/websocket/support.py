"""What the tests of `pubsub.websocket` share: frames that `websockets` makes, and events."""

from websockets.frames import Frame, Opcode

from pubsub.websocket.engine import PARTIAL, Engine, Event


def masked(payload: str | bytes, opcode: Opcode = Opcode.TEXT, *, fin: bool = True) -> bytes:
    """Return a client's frame."""
    data = payload.encode() if isinstance(payload, str) else payload
    return Frame(opcode, data, fin).serialize(mask=True)


def events_of(engine: Engine, *chunks: bytes) -> list[Event]:
    """Feed the chunks and return all events but the partial ones."""
    events: list[Event] = []
    for chunk in chunks:
        engine.feed(chunk)
        while (event := engine.next_event()) is not None:
            if event is not PARTIAL:
                events.append(event)
    return events
