"""Keeps forks out of what takes locks of the whole process in a thread of the SDK, and renews the locks of the SDK.

A forked process has the locks of its parent as they were, and no thread that would release them
(https://docs.python.org/3/library/os.html#os.fork): it would wait for them for ever.
"""

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

PATIENCE = 1.0
"""Seconds for which a fork waits for a block of `no_fork`, and such a block for a fork or another block. Never longer:
a block may run code of the work, or write to a full pipe, and hooks of the work run while a fork waits."""

_lock = threading.RLock()
_taken = threading.local()
_renewals: "weakref.WeakKeyDictionary[Any, Callable[[Any], object]]" = weakref.WeakKeyDictionary()


@contextmanager
def no_fork() -> Iterator[None]:
    """Within the block forks in other threads wait. For what takes milliseconds."""
    lock = _lock
    taken = lock.acquire(timeout=PATIENCE)
    try:
        yield
    finally:
        if taken:
            lock.release()


def now_and_in_forks(owner: Any, make_locks: Callable[[Any], object]) -> None:
    """Call `make_locks(owner)`, and again in each forked process."""
    make_locks(owner)
    _renewals[owner] = make_locks


def _before() -> None:
    _taken.lock = None
    if _lock.acquire(timeout=PATIENCE):
        _taken.lock = _lock


def _in_parent() -> None:
    if _taken.lock is not None:
        _taken.lock.release()


def _in_child() -> None:
    global _lock  # noqa: PLW0603 - the lock of this process
    _lock = threading.RLock()
    for owner, make_locks in list(_renewals.items()):
        make_locks(owner)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
