"""What a process counts about topics with history."""

from dataclasses import dataclass


@dataclass(slots=True)
class Counts:
    """What all copies of a process count together."""

    received: int = 0
    healed: int = 0
    lost: int = 0
    unreadable: int = 0


@dataclass(frozen=True, slots=True)
class JournalStatistics:
    """What one process has done for topics with history."""

    appended: int
    """Messages that this process has accepted."""

    repetitions: int
    """Messages that repeated an earlier one, in whatever process."""

    received: int
    """Entries that were copied."""

    healed: int
    """Times that entries were read which a copy had missed, or could not hold."""

    lost: int
    """Messages that were no longer in the log, at most: offsets have holes."""

    unreadable: int
    """Entries that another version of this program wrote; they count as lost too."""

    open: int
    """Copies that are complete, or that heal."""

    filling: int
    """Copies that are being loaded or healed."""
