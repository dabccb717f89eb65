"""Real memory limits of the chart for servers that tests start, and how much memory these take."""

import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

MEBIBYTE = 2**20
VALUES = Path(__file__).resolve().parents[1] / "charts/longtask/values.yaml"
GROUPS = Path("/sys/fs/cgroup/memory")


def chart_limit(component: str) -> int:
    """The chart's memory limit of the component, in bytes."""
    limit = yaml.safe_load(VALUES.read_text())[component]["resources"]["limits"]["memory"]
    assert limit.endswith("Mi")
    return int(limit.removesuffix("Mi")) * MEBIBYTE


@contextmanager
def limited(component: str) -> Iterator[Path | None]:
    """A cgroup with that limit, whose processes the kernel kills above it; None where we may not make one."""
    group = GROUPS / f"longtask-tests-{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(chart_limit(component)))
    except OSError:
        yield None
        return
    yield group
    group.rmdir()


def command_within(group: Path, command: list[str]) -> list[str]:
    """The command as a process of the cgroup from its first instruction on."""
    return ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh", *command]


def memory(pid: int, field: str) -> float:
    """VmRSS or VmHWM (the most so far) of a process, in MiB."""
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(field)]
    return int(line.split()[1]) / 1024


MAY_GROW = 12
"""MiB, over 2,000 tasks."""


async def stops_growing(used: Callable[[], float], come_and_go: Callable[[int, int], Awaitable[None]]) -> None:
    """Assert that a server's memory (`used`, in MiB) stops growing while tasks, from a number on, come and go."""
    await come_and_go(0, 1_000)
    mebibytes = [used()]
    for number in range(3):  # on a busy machine it takes longer until as much waits to be freed as ever will
        await come_and_go(1_000 + number * 2_000, 2_000)
        mebibytes.append(used())
        if mebibytes[-1] - mebibytes[-2] < MAY_GROW:
            break
    print(f"{', '.join(f'{each:.1f}' for each in mebibytes)} MiB, with 2,000 more tasks each")
    assert mebibytes[-1] - mebibytes[-2] < MAY_GROW
