"""How many bytes a process exchanges with its clients."""


class Traffic:
    """Bytes to and from all clients of a process, without those of handshakes and HTTP headers.

    All transports of a process count in one object. A number for each connection would be one more
    place in memory to read and write for every delivery, and large fan-outs are limited by that.
    """

    __slots__ = ("received", "sent")

    def __init__(self) -> None:
        self.sent = 0
        self.received = 0
