"""Makes text safe for a log: no control characters, no secrets."""

import re

MAX_FIELD = 256
"""Characters of a field; a client chooses some of them."""

_REDACTED = "[redacted]"

_SECRET = re.compile(
    r"""
    (?P<label>
        chatroom\.bearer\.                                     # the subprotocol
      | authorization ['"]? \s* [:=,] \s* b?['"]? (?:[\w-]+\s+)?   # a header, or its repr
      | \bbearer\s+
      | api[-_]?key ['"]? \s* [:=,] \s* b?['"]?
      | [?&;][\w-]*(?:token|key|secret|password|signature)=      # a query
    )
    [^\s'",;&)\]}]+
  | \beyJ[\w-]+\.[\w-]+\.[\w-]*                                 # a JWT, anywhere
    """,
    re.IGNORECASE | re.VERBOSE,
)


_AMBIGUOUS = re.compile(r"""[\s"'=\\]""")


def redact(text: str) -> str:
    """Replace everything that looks like a token or a key."""
    return _SECRET.sub(lambda found: (found["label"] or "") + _REDACTED, text)


def clean(text: str) -> str:
    """Escape control characters, line breaks, invisible characters and lone surrogates."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def clean_lines(text: str) -> str:
    """Escape all of these except line feeds, whose effect is up to the caller."""
    if text.isprintable():
        return text
    return "\n".join(map(clean, text.expandtabs(4).split("\n")))


def field(value: object) -> object:
    """Return the value of a field as it may be logged: a number, a boolean or a short text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    text = str(value)
    if len(text) > MAX_FIELD:
        text = f"{text[:MAX_FIELD]}…"
    return clean(redact(text))


def pair(name: str, value: object) -> str:
    """Return ``name=value``, with quotation marks where the value could be mistaken."""
    text = str(value)
    if not text or _AMBIGUOUS.search(text):
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        text = f'"{escaped}"'
    return f"{name}={text}"


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
