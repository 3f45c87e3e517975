"""What a process counts about its exchange with the others."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClusterStatistics:
    """The state and the counters of one process at one moment; no counter ever decreases.

    Publications are counted once for each process that sends or receives them, not once for each
    subscriber.
    """

    connected: bool
    """Whether the network between the processes can be reached."""
    processes: int
    """Other processes that are alive and serve clients, and this one."""
    reconnections: int
    """How often the connection has been restored after a loss."""
    sent: int
    """Publications that were handed to the network."""
    received: int
    """Publications of other processes that have arrived."""
    unsent: int
    """Publications that were accepted while the other processes were out of reach."""
    gaps: int
    """How often publications of another process were found missing."""
    lost: int
    """Publications of others that did not arrive; an upper bound where the number is unknown."""
    buffered_bytes: int
    """Bytes that wait to be sent."""
