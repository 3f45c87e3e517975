"""Text from clients: it cannot forge a line, and secrets are removed."""

import pytest

from pubsub.logs.text import MAX_FIELD, clean, clean_lines, field, pair, redact

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("café 🎉", "café 🎉"),
        ("a\r\nb", r"a\r\nb"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\x9b31m", r"\x9b31m"),
        ("a\u2028b\u202eb", r"a\u2028b\u202eb"),
        ("\ud800", r"\ud800"),
        ("\x00\x7f", r"\x00\x7f"),
    ],
)
def test_clean(text: str, escaped: str) -> None:
    """Everything that has an effect on a terminal or a parser of lines is escaped."""
    assert clean(text) == escaped


def test_clean_lines() -> None:
    """Line feeds stay, tabs become spaces, and all else is escaped."""
    assert clean_lines("a\n\tb\r\x1b") == "a\n    b\\r\\x1b"
    assert clean_lines("a b") == "a b"


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {JWT}",
        "authorization: bearer opaque-{}-token",
        "{'authorization': 'Basic c2VjcmV0'}",
        "[(b'authorization', b'Bearer opaque')]",
        "Sec-WebSocket-Protocol: chatroom.v1, chatroom.bearer.opaque",
        "[(b'x-api-key', b'opaque')]",
        "X-API-Key: opaque",
        "API_KEY=opaque",
        "/ws?access_token=opaque",
        "/ws?a=1&api-key=opaque",
        f"token {JWT} is bad",
    ],
)
def test_redact(text: str) -> None:
    """Tokens and keys are removed from headers, their representations, queries and prose."""
    redacted = redact(text)
    assert "[redacted]" in redacted
    assert not any(secret in redacted for secret in ("opaque", "c2Vj", "eyJ", "c2lnb"))


def test_redact_leaves_the_rest() -> None:
    """What surrounds a secret stays readable."""
    text = "GET /ws?token=opaque&topic=orders of 10.0.0.1"
    assert redact(text) == "GET /ws?token=[redacted]&topic=orders of 10.0.0.1"


def test_field() -> None:
    """Numbers stay numbers; texts are cut off, redacted and escaped."""
    assert [field(value) for value in (1, 1.5, True, None)] == [1, 1.5, True, None]
    assert field("x" * 1000) == "x" * MAX_FIELD + "…"
    assert field("a\nchatroom.bearer.opaque") == "a\\nchatroom.bearer.[redacted]"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(1, "a=1"), ("x", "a=x"), ("", 'a=""'), ("x b=2", 'a="x b=2"'), ('"', 'a="\\""')],
)
def test_pair(value: object, shown: str) -> None:
    """A value that could be mistaken for further fields is quoted."""
    assert pair("a", value) == shown
