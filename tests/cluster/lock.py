"""One command at a time changes the cluster of this machine."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cluster.paths import LOCK
from tests.cluster.steps import say


@contextmanager
def exclusively() -> Iterator[None]:
    """Wait until no other command holds the lock; the kernel frees a killed command's."""
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with LOCK.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another command is at work on the cluster: waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
