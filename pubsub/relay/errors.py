"""The exceptions of a relay."""


class RelayError(Exception):
    """Base class of the exceptions of a relay."""


class Unavailable(RelayError):
    """The network did not answer.

    ``unknown_fate`` says that the change may have been carried out nevertheless.
    """

    def __init__(self, message: str, *, unknown_fate: bool = False) -> None:
        super().__init__(message)
        self.unknown_fate = unknown_fate


class Conflict(RelayError):
    """Another process has changed the key of the registry first."""
