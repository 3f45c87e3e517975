"""How much all clients of a process have on its way to logs."""


class Load:
    """Counts publications from the moment in which they begin, so that clients share a bound."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0
        """Publications that were begun and have not ended."""

    def __repr__(self) -> str:
        return f"<Load, {self.count} publications>"
