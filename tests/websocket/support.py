"""What the tests of `pubsub.websocket` share: frames as the library `websockets` makes them."""

from websockets.frames import Frame, Opcode


def masked(payload: str | bytes, opcode: Opcode = Opcode.TEXT, *, fin: bool = True) -> bytes:
    """Return a client's frame."""
    data = payload.encode() if isinstance(payload, str) else payload
    return Frame(opcode, data, fin).serialize(mask=True)
