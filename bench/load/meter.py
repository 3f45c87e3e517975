"""What all measurements share: the clock, the generator's own load, and percentiles."""

import gc
import time
from collections.abc import Sequence

from bench.load.processes import cpu_seconds


class Meter:
    """Measures elapsed time, and how much of a processor core this process uses meanwhile.

    Garbage collection is off from here on, because a pause of the generator would count as one of
    the server.

    Args:
        pid: The server's process, to read its processor time.
    """

    def __init__(self, pid: int | None = None) -> None:
        self._pid = pid
        gc.collect()
        gc.disable()
        self._cpu = time.process_time()
        self._server_cpu = cpu_seconds(pid) if pid else 0.0
        self.begin = time.perf_counter()
        self.idle = 0.0
        """Seconds of busy waiting, which do not count as load."""

    def read(self) -> tuple[float, float]:
        """Return the seconds since the start, and the share of them that the generator worked."""
        elapsed = time.perf_counter() - self.begin
        return elapsed, (time.process_time() - self._cpu - self.idle) / elapsed

    def server_cost(self, operations: float) -> dict[str, float]:
        """Return the server's processor time for each operation, in microseconds.

        It changes far less than the elapsed time when other programs run on the same machine.
        Nothing is returned when the server's process is not known.
        """
        if not self._pid:
            return {}
        return {"server_us": (cpu_seconds(self._pid) - self._server_cpu) / operations * 1e6}


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the value that ``percent`` of the values do not exceed (nearest rank)."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def latencies(seconds: list[float], what: str, *percents: float) -> dict[str, float]:
    """Return percentiles in microseconds, named like ``event_p99_us``."""
    seconds.sort()
    return {f"{what}_p{p:g}_us": percentile(seconds, p) * 1e6 for p in percents}
