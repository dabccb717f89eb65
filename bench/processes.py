"""CPU time and memory of a process and its children, from /proc."""

import os
from collections.abc import Iterable
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of the process and of all that it has started and that lives."""
    ticks = 0
    for each in [pid, *_descendants(pid)]:
        fields = Path(f"/proc/{each}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICK


def cpu_by_name(names: Iterable[str]) -> dict[str, float]:
    """User and system time in seconds of all processes of these names, the cluster's among them."""
    seconds = dict.fromkeys(names, 0.0)
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name, _, rest = (folder / "stat").read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue  # it has ended
        fields = rest.split()
        if name in seconds:
            seconds[name] += (int(fields[11]) + int(fields[12])) / TICK
    return seconds


def rss_megabytes(pid: int) -> float:
    """Resident memory of the same."""
    return _memory(pid, "VmRSS")


def rss_peak_megabytes(pid: int) -> float:
    """The most that each of the same has had since its start, added up."""
    return _memory(pid, "VmHWM")


def _memory(pid: int, kind: str) -> float:
    kilobytes = 0
    for each in [pid, *_descendants(pid)]:
        for line in Path(f"/proc/{each}/status").read_text().splitlines():
            if line.startswith(f"{kind}:"):
                kilobytes += int(line.split()[1])
    return kilobytes / 1024


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *_descendants(int(child))]
    return found
