"""The address and the scheme of clients behind trusted proxies."""

from typing import Any

import pytest

from pubsub.proxies import TrustedProxies

PROXIES = TrustedProxies(["10.0.0.0/8", "::1"])


def scope(client: str | None, **headers: str) -> dict[str, Any]:
    """Return an ASGI scope of a request over plain HTTP."""
    return {
        "scheme": "http",
        "client": client and (client, 1234),
        "headers": [
            (f"x-forwarded-{name}".encode(), value.encode("latin-1"))
            for name, value in headers.items()
        ],
    }


@pytest.mark.parametrize(
    ("client", "forwarded", "address"),
    [
        ("192.0.2.1", "203.0.113.9", "192.0.2.1"),
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "1.2.3.4, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "1.2.3.4, 203.0.113.9, 10.9.9.9", "203.0.113.9"),
        ("::1", "2001:db8::7", "2001:db8::7"),
        ("::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9:5123", "203.0.113.9"),
        ("10.0.0.1", "[2001:db8::7]:5123", "2001:db8::7"),
        ("10.0.0.1", "10.0.0.2, 10.0.0.3", "10.0.0.2"),
        ("10.0.0.1", "203.0.113.9, unknown, 10.0.0.3", "10.0.0.3"),
        ("10.0.0.1", "'; DROP TABLE", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", ",,", "10.0.0.1"),
        (None, "203.0.113.9", "203.0.113.9"),
    ],
)
def test_address(client: str | None, forwarded: str, address: str) -> None:
    """The rightmost address that is not trusted itself counts, and only from a trusted peer."""
    assert PROXIES.address_of(scope(client, **{"for": forwarded})) == address


def test_nobody_is_trusted_by_default() -> None:
    """Without trusted proxies the headers mean nothing."""
    headers = {"for": "203.0.113.9", "proto": "https"}
    assert TrustedProxies([]).address_of(scope("127.0.0.1", **headers)) == "127.0.0.1"
    assert TrustedProxies([]).address_of(scope(None, **headers)) == ""
    assert not TrustedProxies([]).is_secure(scope("127.0.0.1", **headers))


def test_several_headers_are_one_list() -> None:
    """A header that is repeated continues the list."""
    both = scope("10.0.0.1", **{"for": "1.2.3.4"})
    both["headers"].append((b"x-forwarded-for", b"203.0.113.9"))
    assert PROXIES.address_of(both) == "203.0.113.9"


def test_scheme() -> None:
    """A trusted proxy says which scheme its client uses."""
    assert PROXIES.is_secure(scope("10.0.0.1", proto="https"))
    assert PROXIES.is_secure(scope("10.0.0.1", proto="http, wss"))
    assert not PROXIES.is_secure(scope("10.0.0.1", proto="http"))
    assert not PROXIES.is_secure(scope("10.0.0.1"))
    assert not PROXIES.is_secure(scope("192.0.2.1", proto="https"))
    assert PROXIES.is_secure({"scheme": "wss", "client": None, "headers": []})
