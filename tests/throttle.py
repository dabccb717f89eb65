"""`python -m tests.throttle COMMAND...`: the command, and all that it starts, with a fifth of this machine's CPU.

The cluster keeps the rest. A test that fails so is timed by luck. It wants root, as the local cluster does.
"""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

SHARE = 0.2
PERIOD = 100_000
"""Microseconds in which the quota is counted."""
PATIENCE = "3600"
"""Seconds until a test counts as stuck."""
ROOT = Path("/sys/fs/cgroup")
NAME = "longtask-throttled"


def main(command: list[str]) -> int:
    """The command's exit code."""
    group = limited_group(int(SHARE * PERIOD * (os.cpu_count() or 1)))
    try:
        (group / "cgroup.procs").write_text(str(os.getpid()))
        return subprocess.run(command, check=False, env=os.environ | {"PYTEST_TIMEOUT": PATIENCE}).returncode
    finally:
        (group.parent / "cgroup.procs").write_text(str(os.getpid()))
        with suppress(OSError):  # something that the command started is still there
            group.rmdir()


def limited_group(quota: int) -> Path:
    """A control group of either version with that quota of CPU, in microseconds a period."""
    if (ROOT / "cgroup.controllers").exists():
        (ROOT / "cgroup.subtree_control").write_text("+cpu")
        group = ROOT / NAME
        group.mkdir(exist_ok=True)
        (group / "cpu.max").write_text(f"{quota} {PERIOD}")
        return group
    group = ROOT / "cpu" / NAME
    group.mkdir(exist_ok=True)
    (group / "cpu.cfs_period_us").write_text(str(PERIOD))
    (group / "cpu.cfs_quota_us").write_text(str(quota))
    return group


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
