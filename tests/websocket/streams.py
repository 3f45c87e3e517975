"""What a peer may send, made by Hypothesis: frames of all kinds, sound and faulty, cut anywhere."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
FINAL, MASKED = 0x80, 0x80

SIZES = (0, 1, 125, 126, 1000, 1500, 5000, 65_535, 65_536)
"""Payload sizes at which the header changes its form (RFC 6455 §5.2), and some in between."""

LONG = 2000
"""Bytes of a stream above which it is not sent byte by byte, which would take too long."""


@dataclass(frozen=True)
class WireFrame:
    """A frame as it is written, right or wrong; Python's repr of it shows what was sent."""

    first_byte: int
    """FIN, the reserved bits and the opcode."""

    payload: bytes
    key: bytes = b"\x01\x02\x03\x04"
    masked: bool = True
    length_bytes: int | None = None
    """How many bytes the length takes after the second byte; ``None`` for the right number."""

    def __bytes__(self) -> bytes:
        length = len(self.payload)
        more = self.length_bytes
        if more is None:
            more = 0 if length < 126 else 2 if length < 1 << 16 else 8
        second = {0: length, 2: 126, 8: 127}[more]
        header = bytes((self.first_byte, second | (MASKED if self.masked else 0)))
        header += length.to_bytes(more, "big") if more else b""
        return header + (self.key + self._masked_payload() if self.masked else self.payload)

    def _masked_payload(self) -> bytes:
        size = len(self.payload)
        key = (self.key * (size // 4 + 1))[:size]
        number = int.from_bytes(self.payload, "big") ^ int.from_bytes(key, "big")
        return number.to_bytes(size, "big")


keys = st.binary(min_size=4, max_size=4)


def frames(first_byte: int, payloads: st.SearchStrategy[bytes]) -> st.SearchStrategy[WireFrame]:
    """Return frames of one kind."""
    return st.builds(WireFrame, st.just(first_byte), payloads, keys)


def sized(contents: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Return contents that are short, or repeated to about one of `SIZES`."""
    repeated = st.builds(
        lambda content, size: content * (size // len(content)) if content else b"",
        contents,
        st.sampled_from(SIZES),
    )
    exact = st.builds(
        lambda size, byte: byte * size, st.sampled_from(SIZES), st.sampled_from([b"a", b"\n"])
    )
    return st.one_of(contents, contents, contents, repeated, exact)


texts = sized(st.text(max_size=20).map(str.encode))
binaries = sized(st.binary(max_size=20))
controls = st.one_of(
    st.binary(max_size=20), st.binary(max_size=125), st.binary(min_size=125, max_size=125)
)

pings_and_pongs = frames(FINAL | PING, controls) | frames(FINAL | PONG, controls)


@st.composite
def messages(draw: st.DrawFn) -> list[WireFrame]:
    """Draw a text or binary message in one or more fragments, with control frames between them.

    The payload is cut at any byte, so also within a character.
    """
    opcode = draw(st.sampled_from([TEXT, BINARY]))
    payload = draw(texts if opcode == TEXT else binaries)
    cuts = draw(st.lists(st.integers(0, len(payload)), max_size=4).map(sorted))
    result = []
    for number, piece in enumerate(pieces(payload, cuts)):
        final = FINAL if number == len(cuts) else 0
        first_byte = final | (opcode if number == 0 else CONTINUATION)
        result.append(WireFrame(first_byte, piece, draw(keys)))
        if not final:
            result += draw(st.lists(pings_and_pongs, max_size=2))
    return result


plain_messages = frames(FINAL | TEXT, texts).map(lambda frame: [frame])
"""Text messages in one frame, which is what the fast path is for."""

exchanges = st.lists(
    plain_messages | messages() | pings_and_pongs.map(lambda frame: [frame]), max_size=8
).map(lambda parts: [frame for part in parts for frame in part])
"""What a well-behaved peer sends before it closes."""

CLOSE_CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 3999, 4999)
"""Close codes that a peer may send (RFC 6455 §7.4 and IANA's registry)."""

NO_CLOSE_CODES = (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535)
"""Close codes that it must not send."""


def close_payload(code: int, reason: bytes = b"") -> bytes:
    """Return the payload of a close frame."""
    return code.to_bytes(2, "big") + reason


reasons = st.text(max_size=30).map(str.encode).filter(lambda reason: len(reason) <= 123)
closes = frames(
    FINAL | CLOSE,
    st.just(b"") | st.builds(close_payload, st.sampled_from(CLOSE_CODES), reasons),
)

NOT_UTF8 = (
    b"\xff",
    b"\x80",
    b"\xc0\xaf",
    b"\xc3",
    b"\xed\xa0\x80",  # a surrogate
    b"\xf4\x90\x80\x80",  # above U+10FFFF
    b"\xf8\x88\x80\x80\x80",
    b"caf\xe9",
)

short = st.binary(max_size=20)
"""A payload of a faulty frame. If it were over a limit as well, that would be the fault."""

faults = st.one_of(
    # A reserved bit is set (§5.2).
    st.builds(
        lambda bits, opcode, payload, key: WireFrame(FINAL | bits | opcode, payload, key),
        st.sampled_from([0x10, 0x20, 0x40, 0x70]),
        st.sampled_from([TEXT, BINARY, CONTINUATION, PING, PONG, CLOSE]),
        short,
        keys,
    ),
    # An opcode is reserved (§5.2).
    st.builds(
        lambda opcode, payload, key: WireFrame(FINAL | opcode, payload, key),
        st.sampled_from([0x3, 0x4, 0x5, 0x6, 0x7, 0xB, 0xC, 0xD, 0xE, 0xF]),
        short,
        keys,
    ),
    # A client's frame is not masked (§5.1).
    st.builds(
        lambda opcode, payload: WireFrame(FINAL | opcode, payload, masked=False),
        st.sampled_from([TEXT, BINARY, PING, PONG, CLOSE]),
        short,
    ),
    # A control frame is fragmented, or longer than 125 bytes (§5.5).
    st.sampled_from([PING, PONG, CLOSE]).flatmap(lambda opcode: frames(opcode, controls)),
    st.sampled_from([PING, PONG, CLOSE]).flatmap(
        lambda opcode: frames(FINAL | opcode, st.just(b"\x03\xe8" + b"x" * 124))
    ),
    # A close frame has one byte, or a code that must not be sent, or a reason that is no text.
    frames(FINAL | CLOSE, st.binary(min_size=1, max_size=1)),
    frames(FINAL | CLOSE, st.sampled_from(NO_CLOSE_CODES).map(close_payload)),
    frames(FINAL | CLOSE, st.sampled_from(NOT_UTF8).map(lambda bad: close_payload(1000, bad))),
    # A text is not UTF-8 (§8.1).
    st.builds(
        lambda before, bad, key: WireFrame(FINAL | TEXT, before + bad, key),
        texts,
        st.sampled_from(NOT_UTF8),
        keys,
    ),
).map(lambda frame: [frame]) | st.one_of(
    # A message begins within another, or is continued before it has begun (§5.4).
    st.builds(
        lambda first, second: [first, second],
        frames(TEXT, texts) | frames(BINARY, binaries),
        frames(FINAL | TEXT, short) | frames(BINARY, short),
    ),
    frames(CONTINUATION, short).map(lambda frame: [frame]),
    frames(FINAL | CONTINUATION, short).map(lambda frame: [frame]),
    # A text is not UTF-8, which only the fragments together show.
    st.builds(
        lambda first, second: [first, second],
        frames(TEXT, texts.map(lambda text: text + b"\xc3")),
        frames(CONTINUATION, st.just(b"(")) | frames(FINAL | CONTINUATION, st.just(b"")),
    ),
)
"""What breaks a rule of the RFC, as one frame or two."""

nothing: st.SearchStrategy[list[WireFrame]] = st.just([])
streams = st.builds(
    lambda before, end, after: [*before, *end, *after],
    exchanges,
    # `map` keeps the many kinds of faults from outweighing the rest.
    nothing | closes.map(lambda frame: [frame]) | faults.map(list),
    # Nothing that follows a close frame or a fault is looked at.
    nothing | exchanges,
)


def pieces(data: bytes, cuts: Sequence[int]) -> Iterator[bytes]:
    """Cut bytes at these places, which are in ascending order."""
    for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        yield data[begin:end]


@st.composite
def cut(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """Draw a way in which the network may cut a stream: in one piece, at some places, or all."""
    size = draw(st.sampled_from([1, 2, 3, 7, 1000, 16_384]))
    small_enough = size >= 1000 or len(data) <= LONG
    regular = list(range(size, len(data), size)) if small_enough else []
    places = st.lists(st.integers(0, len(data)), max_size=10).map(sorted)
    return list(pieces(data, draw(places | st.just(regular))))
