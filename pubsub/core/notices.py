"""What clients learn about the members of a topic."""

from dataclasses import dataclass
from typing import NamedTuple


class Who(NamedTuple):
    """Identifies a member; exactly one of the two is not ``None``."""

    user: str | None
    client_id: str | None


class Member(NamedTuple):
    """A member, as it is shown."""

    who: Who

    info: bytes
    """What is known about the user, as a JSON object; empty if the member is no user."""

    clients: int
    """The number of its connections; 0 for a user who lingers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Who is subscribed to a topic (``members``), or what has changed (``joined`` and ``left``).

    If there are too many members, it has neither.
    """

    topic: str

    clients: int
    """The number of subscribers."""

    users: int
    """The number of different users, including those who linger."""

    members: list[Member] | None = None

    joined: list[Member] | None = None
    """New members, and members with a new ``info``."""

    left: list[Who] | None = None
