"""Many clients that are read together, so that each of them answers the server's pings in time."""

import json
import select
import time
from collections.abc import Callable, Iterable
from typing import Any

from websockets.frames import Frame, Opcode

from tests.live.client import Client
from tests.live.waiting import PATIENCE

POLL_MILLISECONDS = 50
"""For which `read_until` waits at most, since a client may hold frames that it has already read."""


class Crowd:
    """Clients, with what each of them has received."""

    def __init__(self, clients: Iterable[Client]) -> None:
        self.frames: dict[Client, list[Frame]] = {client: [] for client in clients}

    def read_until(self, condition: Callable[[], object]) -> None:
        """Read whatever arrives at any client until the condition holds."""
        deadline = time.monotonic() + PATIENCE
        poll = select.poll()
        for client in self.frames:
            poll.register(client, select.POLLIN)
        while not condition():
            assert time.monotonic() < deadline, "the expected frames never came"
            poll.poll(POLL_MILLISECONDS)
            for client, frames in self.frames.items():
                while client.has_input():
                    frame = client.receive_frame()
                    assert frame.opcode is not Opcode.CLOSE, bytes(frame.data)
                    frames.append(frame)

    def everyone_has(self, number: int, opcode: Opcode) -> bool:
        """Return whether each client has received this many frames of this kind."""
        return all(
            sum(frame.opcode is opcode for frame in frames) >= number
            for frames in self.frames.values()
        )

    def wait_for_pings(self, number: int) -> None:
        """Read until the server has pinged each client again, this many times."""
        self.clear(Opcode.PING)
        self.read_until(lambda: self.everyone_has(number, Opcode.PING))

    def answer_pings(self) -> None:
        """Answer the last ping of each client, which does not do it by itself."""
        for client, frames in self.frames.items():
            ping = [frame for frame in frames if frame.opcode is Opcode.PING][-1]
            client.send_frame(Opcode.PONG, bytes(ping.data))

    def take_messages(self, number: int) -> list[list[dict[str, Any]]]:
        """Read until each client has this many messages; return the messages of each."""
        self.read_until(lambda: self.everyone_has(number, Opcode.TEXT))
        messages = [
            [json.loads(frame.data) for frame in frames if frame.opcode is Opcode.TEXT]
            for frames in self.frames.values()
        ]
        self.clear(Opcode.TEXT)
        return messages

    def clear(self, opcode: Opcode) -> None:
        """Forget the frames of this kind."""
        for frames in self.frames.values():
            frames[:] = [frame for frame in frames if frame.opcode is not opcode]
