"""Commands that cannot be executed at once."""

from collections.abc import Awaitable, Callable


class Postponed(Exception):
    """A command has to wait for something; meanwhile its client waits, and nobody else.

    Args:
        wait: Waits, and returns the cost of the command if it has carried it out. Otherwise it
            returns ``None``, and the command is executed again. It may raise what a command raises.
    """

    def __init__(self, wait: Callable[[], Awaitable[int | None]]) -> None:
        super().__init__()
        self.wait = wait
