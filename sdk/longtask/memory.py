"""How much memory the container uses."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

CGROUP_FILES = (
    "/sys/fs/cgroup/memory.current",  # version 2
    "/sys/fs/cgroup/memory/memory.usage_in_bytes",  # version 1
)


def memory_bytes(files: Iterable[str] = CGROUP_FILES) -> int | None:
    """Bytes, as the cgroup of this process counts them, page cache included; None where there is none."""
    for file in files:
        with suppress(OSError, ValueError):
            return int(Path(file).read_text(encoding="ascii"))
    return None
