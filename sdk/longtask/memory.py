"""Memory usage of the container."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

CGROUP_FILES = (
    "/sys/fs/cgroup/memory.current",  # version 2
    "/sys/fs/cgroup/memory/memory.usage_in_bytes",  # version 1
)


def memory_bytes(files: Iterable[str] = CGROUP_FILES) -> int | None:
    """Bytes in use as counted by the cgroup of this process, page cache included; None where no file can be read."""
    for file in files:
        with suppress(OSError, ValueError):
            return int(Path(file).read_text(encoding="ascii"))
    return None
