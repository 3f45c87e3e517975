"""What the tests of the protocol share: JSON of every kind, and a short way to decode commands."""

from typing import Any

import pytest
from hypothesis import strategies as st

from pubsub.protocol import commands
from pubsub.protocol.errors import BadRequest

UUID = "550e8400-e29b-41d4-a716-446655440000"
LIMIT = 65_536

# json.dumps writes half a surrogate pair as an escape, which RFC 8259 allows and msgspec refuses.
SURROGATES = st.characters(categories=["Cs"])
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(SURROGATES | st.characters()), inner),
    max_leaves=10,
)
SPACING = st.sampled_from([(",", ":"), (", ", ": "), ("\n,\t", " : ")])


def decode(text: str) -> Any:
    """Decode a command within the default limit."""
    return commands.decode_command(text, max_bytes=LIMIT)


def refusal(text: str) -> BadRequest:
    """Return the error with which a text is refused."""
    with pytest.raises(BadRequest) as refused:
        decode(text)
    return refused.value
