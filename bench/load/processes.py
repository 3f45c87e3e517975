"""What the kernel knows about a server's processes, from ``/proc``."""

import os
import re
from collections.abc import Iterator
from pathlib import Path


def family(pid: int) -> Iterator[int]:
    """Give a process and all its descendants."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from family(int(child))


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process and its descendants."""
    found = (re.search(r"VmRSS:\s+(\d+) kB", _read(member, "status")) for member in family(pid))
    return sum(int(match[1]) * 1024 for match in found if match)


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process and its descendants, in steps of 10 ms."""
    ticks = 0
    for member in family(pid):
        fields = _read(member, "stat").rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def exact_cpu_seconds(pid: int) -> float:
    """Return the same to the nanosecond, without the threads that have ended."""
    return sum(
        int(fields[0]) / 1e9
        for member in family(pid)
        for task in Path(f"/proc/{member}/task").glob("*")
        if (fields := _read(member, f"task/{task.name}/schedstat").split())
    )


def seconds_without_processor(pid: int | None) -> float:
    """Return for how long a process had work but no processor; 0 if it is not known.

    See ``/proc/PID/schedstat`` in the kernel's documentation of scheduler statistics.
    """
    fields = _read(pid, "schedstat").split() if pid else []
    return int(fields[1]) / 1e9 if fields else 0.0


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
