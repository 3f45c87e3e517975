"""Who a client is, and which topics it may use."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache


class Patterns:
    """A compiled set of topic names, in which ``*`` stands for any run of characters.

    Names without a ``*`` are looked up in a set, and beginnings are compared. All other patterns
    are one regular expression, whose groups are atomic: matching takes time linear in the length of
    the topic name for each pattern, whatever the pattern is.
    """

    __slots__ = ("_beginnings", "_match", "_names", "patterns")

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        self.patterns = tuple(patterns)
        self._names = frozenset(pattern for pattern in self.patterns if "*" not in pattern)
        wild = [pattern for pattern in self.patterns if "*" in pattern]
        self._beginnings = tuple(each[:-1] for each in wild if not is_complex(each))
        complex_ones = [_regex(pattern) for pattern in wild if is_complex(pattern)]
        self._match = (
            re.compile("|".join(complex_ones), re.DOTALL).fullmatch if complex_ones else None
        )

    def cover(self, topic: str) -> bool:
        """Return whether one of the patterns matches the name of a topic."""
        return (
            topic in self._names
            or topic.startswith(self._beginnings)
            or (self._match is not None and self._match(topic) is not None)
        )

    def __bool__(self) -> bool:
        return bool(self.patterns)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Patterns) and other.patterns == self.patterns

    def __hash__(self) -> int:
        return hash(self.patterns)

    def __repr__(self) -> str:
        return f"<Patterns {', '.join(self.patterns) or 'none'}>"


def is_complex(pattern: str) -> bool:
    """Return whether a pattern is more than a name or the beginning of one."""
    return "*" in pattern[:-1]


def _regex(pattern: str) -> str:
    first, *middle, last = [re.escape(part) for part in pattern.split("*")]
    # Once a part is found at its first possible place, no other place can do better.
    return first + "".join(f"(?>.*?{part})" for part in middle if part) + ".*" + last


@lru_cache(maxsize=256)
def compile_patterns(patterns: tuple[str, ...]) -> Patterns:
    """Return the patterns compiled; clients with the same rights share one object."""
    return Patterns(patterns)


NOTHING = Patterns()
"""Covers no topic."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A client as its token describes it. It never changes; a new token makes a new identity."""

    user: str | None
    """The token's ``sub``; ``None`` for an anonymous client."""

    subscribe: Patterns = NOTHING
    """Topics that the client may subscribe to and read."""

    publish: Patterns = NOTHING
    """Topics that the client may publish to."""

    manage: Patterns = NOTHING
    """Topics that the client may create and delete."""

    info: bytes | None = field(default=None, repr=False)
    """What presence says about the user to others: a compact JSON object, or ``None``."""

    expires_at: float | None = None
    """When the token expires, in seconds since the Unix epoch; ``None`` for never."""
