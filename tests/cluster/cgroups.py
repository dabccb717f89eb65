"""The cgroup under which the kubelet puts pods, for both versions of cgroups."""

import os
import time
from contextlib import suppress
from pathlib import Path

from tests.cluster.addresses import CGROUP
from tests.cluster.errors import ClusterError

_ROOT = Path("/sys/fs/cgroup")
_CONTROLLERS = ("cpu", "cpuset", "memory", "pids")


def create() -> None:
    """Make the cgroup in every hierarchy, ready for processes."""
    try:
        if (_ROOT / "cgroup.controllers").exists():
            _create_unified()
        else:
            _create_by_controller()
    except OSError as error:
        raise ClusterError(
            f"cannot make the cgroup {CGROUP} under {_ROOT} ({error}): "
            "the kubelet needs to write there, so a container must be privileged"
        ) from error


def remove(timeout: float = 10.0) -> None:
    """Remove the cgroup with all below it; its processes must have been killed before."""
    deadline = time.monotonic() + timeout
    while found():
        for top in found():
            for folder, _, _ in os.walk(top, topdown=False):
                with suppress(OSError):  # the kernel is still ending a process in it
                    Path(folder).rmdir()
        if time.monotonic() > deadline:
            return
        time.sleep(0.05)


def found() -> list[Path]:
    """The cluster's top cgroups that exist, one a hierarchy."""
    return [path for path in (_ROOT / CGROUP, *_ROOT.glob(f"*/{CGROUP}")) if path.is_dir()]


def _create_unified() -> None:
    """Version 2: one hierarchy, a controller works where the parent enables it."""
    available = (_ROOT / "cgroup.controllers").read_text().split()
    lacking = [name for name in _CONTROLLERS if name not in available]
    if lacking:
        raise ClusterError(f"the cgroup controllers {', '.join(lacking)} are not available")
    enable = " ".join(f"+{name}" for name in _CONTROLLERS)
    (_ROOT / "cgroup.subtree_control").write_text(enable)
    (_ROOT / CGROUP).mkdir(exist_ok=True)
    (_ROOT / CGROUP / "cgroup.subtree_control").write_text(enable)


def _create_by_controller() -> None:
    """Version 1: one hierarchy a controller, and new cpusets are empty."""
    hierarchies = [
        path for path in _ROOT.iterdir() if path.is_dir() and not path.is_symlink() and path.name != "unified"
    ]
    if not hierarchies:
        raise ClusterError(f"no cgroups are mounted at {_ROOT}")
    for hierarchy in hierarchies:
        (hierarchy / CGROUP).mkdir(exist_ok=True)
    for setting in ("cpuset.cpus", "cpuset.mems"):
        value = (_ROOT / "cpuset" / setting).read_text()
        (_ROOT / "cpuset" / CGROUP / setting).write_text(value)
