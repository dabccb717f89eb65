"""A work queue of keys: deduplicated, never processing a key twice at a time, with delays and exponential backoff."""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, TypeVar

Key = TypeVar("Key")

FIRST_RETRY = 0.2
LAST_RETRY = 60.0
"""Seconds: the backoff of a failing key doubles between these bounds, with jitter."""
TURN = 4
"""While keys wait that are not urgent, one of so many keys in a row is not, nor what one of so many workers does."""


class WorkQueue(Generic[Key]):
    """Calls `work(key)` for every key added while it runs; exceptions are passed to `failed` and the key is requeued
    with exponential backoff. Urgent keys overtake the others, which never wait for them alone (see TURN). While it does
    not run it ignores keys: a standby would collect every task that ever existed.
    """

    def __init__(
        self,
        work: Callable[[Key], Awaitable[None]],
        failed: Callable[[Key, Exception], None],
        workers: int,
        is_urgent: Callable[[Key], bool] = lambda key: False,
    ) -> None:
        """`is_urgent` is asked when a key is added: urgent keys overtake the others."""
        self._work = work
        self._failed = failed
        self._workers = workers
        self._is_urgent = is_urgent
        self._urgent: deque[Key] = deque()
        self._ordinary: deque[Key] = deque()
        self._ready = asyncio.Semaphore(0)
        self._taken = self._urgent_busy = 0
        self._waiting: set[Key] = set()
        self._busy: set[Key] = set()
        self._again: set[Key] = set()
        self._timers: dict[Key, tuple[float, asyncio.Handle]] = {}
        """Due time and timer of each key; some of uvloop's handles cannot report their time."""
        self._failures: dict[Key, int] = {}
        self._runs = False

    def __len__(self) -> int:
        return len(self._waiting) + len(self._again)

    def add(self, key: Key) -> None:
        """Queue the key for the next free worker. It is queued once, however often it is added until then."""
        if not self._runs:
            return
        if key in self._busy:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            (self._urgent if self._is_urgent(key) else self._ordinary).append(key)
            self._ready.release()

    def add_later(self, key: Key, seconds: float) -> None:
        """Add the key after this many seconds; the earliest of several such calls counts."""
        if not self._runs:
            return
        loop = asyncio.get_running_loop()
        when = loop.time() + max(0.0, seconds)
        known, timer = self._timers.get(key, (when, None))
        if timer is not None:
            if known <= when:
                return
            timer.cancel()
        self._timers[key] = when, loop.call_at(when, self._due, key)

    def forget(self, key: Key) -> None:
        """Drop the timer and failure count of a key, because its object is gone."""
        _, timer = self._timers.pop(key, (0.0, None))
        if timer is not None:
            timer.cancel()
        self._failures.pop(key, None)

    async def run(self, first: Iterable[Key] = ()) -> None:
        """Work until cancelled, starting with the keys in `first`. Cancellation drops everything queued."""
        self._runs = True
        try:
            for key in first:
                self.add(key)
            async with asyncio.TaskGroup() as group:
                for _ in range(self._workers):
                    group.create_task(self._worker())
        finally:
            self._runs = False
            self._drop_all()

    def _drop_all(self) -> None:
        for _, timer in self._timers.values():
            timer.cancel()
        self._ready = asyncio.Semaphore(0)
        for lane in (self._urgent, self._ordinary):
            lane.clear()
        for held in (self._waiting, self._busy, self._again, self._timers, self._failures):
            held.clear()

    def _due(self, key: Key) -> None:
        del self._timers[key]
        self.add(key)

    async def _worker(self) -> None:
        while True:
            await self._ready.acquire()
            key, is_urgent = self._next()
            self._waiting.discard(key)
            self._busy.add(key)
            self._urgent_busy += is_urgent
            try:
                await self._work(key)
                self._failures.pop(key, None)
            except Exception as error:
                self._failed(key, error)
                self.add_later(key, self._backoff(key))
            finally:
                self._urgent_busy -= is_urgent
                self._busy.discard(key)
                if key in self._again:
                    self._again.discard(key)
                    self.add(key)
            # Yield to the event loop: thousands of keys in a row may need no work, and then nothing is awaited.
            await asyncio.sleep(0)

    def _next(self) -> tuple[Key, bool]:
        """The next key, and whether it is urgent."""
        self._taken += 1
        turn = self._taken % TURN == 0 or self._urgent_busy >= self._workers - self._workers // TURN
        if self._ordinary and (turn or not self._urgent):
            return self._ordinary.popleft(), False
        return self._urgent.popleft(), True

    def _backoff(self, key: Key) -> float:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        longest = min(LAST_RETRY, FIRST_RETRY * 2.0 ** min(failures, 12))
        return random.uniform(longest / 2, longest)  # noqa: S311 - jitter
