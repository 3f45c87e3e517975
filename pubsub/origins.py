"""Origins (RFC 6454) of the pages that may use the chat room.

Any page can make a browser connect to any server, and only browsers send an ``Origin``. So a
request without one is no danger to anybody, and one with an origin has to come from a page of the
same host and port, or of a site that the settings list.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

ANY = "*"
"""In the settings: pages of every origin, including those whose origin is ``null``."""

_PATTERN = re.compile(
    r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[^\s/?#@:,\\\[\]]+)(?::([0-9]{1,5}))?",
    re.IGNORECASE | re.ASCII,
)
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\s/?#@:,\\\[\]]+)(?::([0-9]{1,5}))?", re.IGNORECASE)

_DEFAULT_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """The three parts of an origin, in lower case; ``port`` is ``None`` where none is known."""

    scheme: str
    host: str
    port: int | None


def parse(text: str) -> Origin | None:
    """Return the parts of an origin such as ``https://example.org:8443``; ``None`` if it is none.

    Case and the dot at the end of a name make no difference. A name is not converted to or from
    Punycode, because browsers send Punycode. There is no origin with a user, a path or a query, and
    ``null`` is none either.
    """
    found = _PATTERN.fullmatch(text)
    if found is None:
        return None
    scheme = found[1].lower()
    port = int(found[3]) if found[3] else _DEFAULT_PORTS.get(scheme)
    return Origin(scheme, _normalized(found[2]), port)


def parse_pattern(text: str) -> Origin | None:
    """Return the parts of an origin whose host may begin with ``*.``; ``None`` if it is none."""
    origin = parse(text)
    if origin is None or "*" in origin.host.removeprefix("*.") or origin.host == "*.":
        return None
    return origin


def _normalized(host: str) -> str:
    return host.lower().removesuffix(".")


class Origins:
    """The origins that the settings list.

    Args:
        patterns: Origins. A host that begins with ``*.`` stands for all subdomains of the rest, but
            not for the rest itself, and `ANY` stands for all origins.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self.patterns = tuple(patterns)
        self.lists_any = ANY in self.patterns
        parsed = [origin for origin in map(parse_pattern, self.patterns) if origin]
        self._exact = frozenset(origin for origin in parsed if not origin.host.startswith("*."))
        self._wild = [
            origin._replace(host=origin.host[1:])
            for origin in parsed
            if origin.host.startswith("*.")
        ]

    def __bool__(self) -> bool:
        return bool(self.patterns)

    def list(self, text: str) -> bool:
        """Return whether the settings list an origin, by name or because they list all."""
        return self.lists_any or self.name(text)

    def name(self, text: str) -> bool:
        """Return whether the settings list an origin other than by `ANY`."""
        origin = parse(text)
        return origin is not None and (
            origin in self._exact
            or any(
                origin.scheme == wild.scheme
                and origin.port == wild.port
                and origin.host.endswith(wild.host)
                and len(origin.host) > len(wild.host)
                for wild in self._wild
            )
        )

    def cors_headers(self, text: str) -> dict[str, str]:
        """Return the headers with which a page of an origin may read a response, if it may.

        See the Fetch standard, section 3.2. Without listed origins there are none. The origin
        itself is repeated, so a cache has to keep a response for each of them (``Vary``).
        """
        headers = {} if self.lists_any or not self else {"Vary": "Origin"}
        if text and self.list(text):
            headers["Access-Control-Allow-Origin"] = ANY if self.lists_any else text
            headers["Access-Control-Expose-Headers"] = "Retry-After, WWW-Authenticate"
        return headers


def is_own(text: str, host: str, *, secure: bool) -> bool:
    """Return whether an origin has the host and the port of the request.

    Args:
        text: The header ``Origin``.
        host: The header ``Host``. Without a port it means the default port of the scheme.
        secure: Whether the request is known to have come over TLS. If it is not, a proxy may have
            removed TLS without saying so, so ``Host`` has the scheme of the origin.
    """
    origin = parse(text)
    requested = _HOST.fullmatch(host)
    if origin is None or requested is None or origin.scheme not in _DEFAULT_PORTS:
        return False
    scheme = "https" if secure else origin.scheme
    port = int(requested[2]) if requested[2] else _DEFAULT_PORTS[scheme]
    return origin.host == _normalized(requested[1]) and origin.port == port
