"""Whether the work shall stop."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stop:
    """Set once, from a signal handler too: the lock is reentrant, so a handler does not wait for its own thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._interrupts: list[Callable[[], object]] = []
        self.is_set = False
        self.seen = False
        """Whether the work has been told."""

    def set(self) -> None:
        """Say that the work shall stop, wake who waits, and interrupt what asked for it."""
        with self._changed:
            self.is_set = True
            self._changed.notify_all()
            for interrupt in tuple(self._interrupts):
                interrupt()

    def wait(self, seconds: float) -> None:
        """Wait so long, or until it is set."""
        until = time.monotonic() + seconds
        with self._changed:
            while not self.is_set and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)

    @contextmanager
    def interrupting(self, interrupt: Callable[[], object]) -> Iterator[None]:
        """Within the block, `interrupt` is called when it is set; at once if it is. It must not block."""
        with self._changed:
            self._interrupts.append(interrupt)
            if self.is_set:
                interrupt()
        try:
            yield
        finally:
            with self._changed:
                self._interrupts.remove(interrupt)
