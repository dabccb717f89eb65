"""The flag that says that the work must stop."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from longtask.forks import now_and_in_forks


class Stop:
    """Set once, also from a signal handler: the lock is reentrant, so a handler does not wait for its own thread."""

    def __init__(self) -> None:
        now_and_in_forks(self, Stop._make_locks)
        self._interrupts: list[Callable[[], object]] = []
        self.is_set = False
        self.seen = False
        """Whether the work knows: it has read `ctx.cancelled`, or its async task was cancelled."""

    def _make_locks(self) -> None:
        self._changed = threading.Condition()

    def set(self) -> None:
        """Set the flag, wake all waiting threads, and call the registered interrupts."""
        with self._changed:
            self.is_set = True
            self._changed.notify_all()
            for interrupt in tuple(self._interrupts):
                interrupt()

    def wait(self, seconds: float) -> None:
        """Wait for `seconds`, or until the flag is set."""
        until = time.monotonic() + seconds
        with self._changed:
            while not self.is_set and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)

    @contextmanager
    def interrupting(self, interrupt: Callable[[], object]) -> Iterator[None]:
        """Within the block, `interrupt` is called when the flag is set; at once if it is already. It must not block."""
        with self._changed:
            self._interrupts.append(interrupt)
            if self.is_set:
                interrupt()
        try:
            yield
        finally:
            with self._changed:
                self._interrupts.remove(interrupt)
