"""Which origins are those of the request itself, and which of them the settings list."""

import pytest

from pubsub.origins import Origins, is_own, parse_pattern


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost:9090", "localhost:9090"),
        ("http://LOCALHOST:9090", "localhost:9090"),
        ("http://chat.example", "chat.example"),
        ("http://chat.example", "chat.example:80"),
        ("https://chat.example", "chat.example:443"),
        ("https://chat.example", "chat.example"),
        ("https://chat.example.", "chat.example"),
        ("https://chat.example", "Chat.Example."),
        ("http://[::1]:9090", "[::1]:9090"),
        ("http://xn--bcher-kva.example", "xn--bcher-kva.example"),
    ],
)
def test_own_origin(origin: str, host: str) -> None:
    """An origin is the request's own if host and port are the same."""
    assert is_own(origin, host, secure=False)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost:9091", "localhost:9090"),
        ("http://localhost", "localhost:9090"),
        ("http://localhost:9090", "localhost"),
        ("https://chat.example", "chat.example:80"),
        ("http://evil.example", "chat.example"),
        ("http://chat.example.evil", "chat.example"),
        ("http://sub.chat.example", "chat.example"),
        ("http://chat.example@evil.example", "chat.example"),
        ("http://user@chat.example", "chat.example"),
        ("http://user:secret@chat.example", "chat.example"),
        ("http://chat.example/", "chat.example"),
        ("http://chat.example?", "chat.example"),
        ("http://chat.example#", "chat.example"),
        ("http://chat.example\\@evil.example", "chat.example"),
        ("http://chat.example ", "chat.example"),
        ("http://chat.example,http://evil.example", "chat.example"),
        ("http://chat.example\n", "chat.example"),
        ("http://chat.example:", "chat.example"),
        ("http://chat.example:8o", "chat.example"),
        ("http://[::1", "[::1]"),
        ("http://::1", "[::1]"),
        ("http://[::2]", "[::1]"),
        ("ftp://chat.example", "chat.example"),
        ("capacitor://localhost", "localhost"),
        ("//chat.example", "chat.example"),
        ("chat.example", "chat.example"),
        ("null", "null"),
        ("", ""),
        ("http://", ""),
        ("http://chat.example", "chat.example,chat.example"),
        ("http://chat.example", "user@chat.example"),
    ],
)
def test_foreign_origin(origin: str, host: str) -> None:
    """Another host or port, and everything that is not exactly an origin, is foreign."""
    assert not is_own(origin, host, secure=False)


def test_tls_decides_the_default_port() -> None:
    """If the request is known to have come over TLS, a page without TLS is foreign."""
    assert is_own("https://chat.example", "chat.example", secure=True)
    assert not is_own("http://chat.example", "chat.example", secure=True)
    assert is_own("http://chat.example:8080", "chat.example:8080", secure=True)


LISTED = Origins(["https://app.example", "https://*.example.org", "http://localhost:3000"])


@pytest.mark.parametrize(
    ("origin", "listed"),
    [
        ("https://app.example", True),
        ("https://APP.example:443", True),
        ("http://app.example", False),
        ("https://app.example:8443", False),
        ("https://www.app.example", False),
        ("https://a.example.org", True),
        ("https://a.b.example.org", True),
        ("https://example.org", False),
        ("https://.example.org", False),
        ("https://evilexample.org", False),
        ("https://a.example.org.evil", False),
        ("http://a.example.org", False),
        ("https://a.example.org:8443", False),
        ("http://localhost:3000", True),
        ("http://localhost", False),
        ("null", False),
        ("*", False),
        ("", False),
    ],
)
def test_listed_origin(origin: str, listed: bool) -> None:
    """Scheme, host and port must agree; a wildcard stands for at least one label."""
    assert LISTED.list(origin) is LISTED.name(origin) is listed


def test_every_origin() -> None:
    """The wildcard alone lists everything, also opaque origins, but names nothing."""
    origins = Origins(["*", "https://app.example"])
    assert origins.lists_any
    for origin in ("null", "https://evil.example", "nonsense"):
        assert origins.list(origin)
        assert not origins.name(origin)
    assert origins.name("https://app.example")


def test_nothing_listed() -> None:
    """Without origins in the settings, none is listed."""
    assert not Origins([])
    assert not Origins([]).list("https://app.example")


@pytest.mark.parametrize(
    "pattern",
    [
        *("https://*", "https://*.", "https://a.*.example", "https://*example.org", "*.example"),
        *("https://example.org/", "https://user@example.org", "https://example.org:port", "null"),
        *("https://exa mple.org", "example.org", "https://"),
    ],
)
def test_invalid_patterns(pattern: str) -> None:
    """A setting that could never match, or would match too much, is invalid."""
    assert parse_pattern(pattern) is None
