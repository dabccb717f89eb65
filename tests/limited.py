"""Real memory limits of the chart for servers that tests start, and how much memory these take."""

import os
from collections.abc import Iterator
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
