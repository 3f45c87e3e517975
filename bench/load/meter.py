"""What every measurement has in common: the clock, the generator's own share, percentiles."""

import gc
import time
from collections.abc import Sequence

from bench.load.processes import cpu_seconds


class Meter:
    """Measures elapsed time and the share of a processor that this process uses meanwhile.

    Garbage collection is off from here on: a pause of the generator would be taken for one of the
    server.

    Args:
        pid: The server's process, to read how much of a processor it uses.
    """

    def __init__(self, pid: int | None = None) -> None:
        self._pid = pid
        gc.collect()
        gc.disable()
        self._cpu = time.process_time()
        self._server_cpu = cpu_seconds(pid) if pid else 0.0
        self.begin = time.perf_counter()
        self.idle = 0.0
        """Seconds of busy waiting, which count as no use of the processor."""

    def read(self) -> tuple[float, float]:
        """Return the seconds since the begin, and the share of them that the generator worked."""
        elapsed = time.perf_counter() - self.begin
        return elapsed, (time.process_time() - self._cpu - self.idle) / elapsed

    def server_cost(self, operations: float) -> dict[str, float]:
        """Return the server's processor time for each of so many operations, in microseconds.

        It changes far less than the elapsed time when other programs run on the same machine.
        Nothing is returned when the server's process is not known.
        """
        if not self._pid:
            return {}
        return {"server_us": (cpu_seconds(self._pid) - self._server_cpu) / operations * 1e6}


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the value that so many percent of them do not exceed (nearest rank)."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def latencies(seconds: list[float], what: str, *percents: float) -> dict[str, float]:
    """Return percentiles in microseconds, named like ``event_p99_us``."""
    seconds.sort()
    return {f"{what}_p{p:g}_us": percentile(seconds, p) * 1e6 for p in percents}
