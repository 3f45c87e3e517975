"""What a topic can be told about itself when it is created, and the rules for names."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum

from pubsub.core.errors import InvalidTopicName
from pubsub.core.names import validate_name

MAX_HISTORY = 1000
"""Messages that a topic may keep if a client creates it."""

MAX_CONFIGURED_HISTORY = 1_000_000
"""Messages that a topic may keep by a setting."""


class Overflow(StrEnum):
    """What a full outbox does with the next event."""

    DROP_NEWEST = "drop_newest"
    DROP_OLDEST = "drop_oldest"
    DISCONNECT = "disconnect"
    CATCH_UP = "catch_up"
    """Leave it in the history of its topic and fetch it when there is room; for topics that keep
    no history, the same as ``drop_newest``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicOptions:
    """The options of one topic, all of them decided."""

    history: int = 0
    """Messages kept; 0 for none. A topic with history has positions (an epoch and offsets)."""

    history_seconds: float = 0.0
    """Seconds that a message is kept; 0 for no limit."""

    presence: bool = False
    """Whether subscribers may ask who is there."""

    overflow: Overflow = Overflow.DROP_NEWEST
    """What a subscriber's full outbox does with an event of this topic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenOptions:
    """Options as a client or a setting gives them; ``None`` is one that was not given.

    Raises:
        ValueError: A value is invalid; the message starts with the name of the option.
    """

    history: int | None = None
    history_seconds: float | None = None
    presence: bool | None = None
    overflow: Overflow | None = None
    auto_create: bool | None = None
    """Whether subscribe and publish create the topic. Only settings give this one."""

    def __post_init__(self) -> None:
        history, seconds = self.history, self.history_seconds
        if history is not None and not 0 <= history <= MAX_CONFIGURED_HISTORY:
            raise ValueError(f"history must be an integer from 0 to {MAX_CONFIGURED_HISTORY}")
        if seconds is not None and not 0 < seconds < math.inf:
            raise ValueError("history_seconds must be a number of seconds above 0")

    def over(self, base: TopicOptions) -> TopicOptions:
        """Return ``base`` with the options that were given."""
        given = {
            field.name: value
            for field in fields(base)
            if (value := getattr(self, field.name)) is not None
        }
        return TopicOptions(**{name: getattr(base, name) for name in base.__slots__} | given)

    def else_of(self, others: "GivenOptions") -> "GivenOptions":
        """Return these options, and ``others`` where these are not given."""
        return GivenOptions(
            **{
                name: getattr(others, name) if (value := getattr(self, name)) is None else value
                for name in self.__slots__
            }
        )


NOT_GIVEN = GivenOptions()


class TopicRules:
    """Which topics exist from the start, and with which options topics are created.

    Args:
        rules: The options of each name or pattern. In a pattern ``*`` stands for any run of
            characters. For a topic that several match, its own name counts before any pattern, and
            patterns count in their order.

    Raises:
        ValueError: A name breaks the rule for topic names, or an option is invalid.
    """

    __slots__ = ("_patterns", "_rules")

    def __init__(self, rules: Mapping[str, GivenOptions] | None = None) -> None:
        self._rules = dict(rules or {})
        self._patterns: list[tuple[re.Pattern[str], GivenOptions]] = []
        for name, options in self._rules.items():
            if "*" in name:
                pattern = ".*".join(re.escape(part) for part in name.split("*"))
                self._patterns.append((re.compile(pattern, re.DOTALL), options))
            else:
                try:
                    validate_name(name)
                except InvalidTopicName as error:
                    raise ValueError(f"name {name!r}: {error}") from None

    @property
    def names(self) -> Iterator[str]:
        """The topics that exist from the start."""
        return (name for name in self._rules if "*" not in name)

    @property
    def max_history(self) -> int:
        """The largest number of messages that a rule has a topic keep."""
        return max((options.history or 0 for options in self._rules.values()), default=0)

    def options_for(self, name: str) -> GivenOptions:
        """Return the options that the first matching rule gives."""
        if name in self._rules and "*" not in name:
            return self._rules[name]
        for pattern, options in self._patterns:
            if pattern.fullmatch(name):
                return options
        return NOT_GIVEN

    def __len__(self) -> int:
        return len(self._rules)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TopicRules) and self._rules == other._rules

    def __hash__(self) -> int:
        return hash(tuple(self._rules.items()))

    def __repr__(self) -> str:
        return f"TopicRules({self._rules!r})"
