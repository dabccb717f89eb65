"""A queue of keys: each at most once, never worked on twice at a time, later or again after a failure as asked."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, TypeVar

Key = TypeVar("Key")

FIRST_RETRY = 0.2
LAST_RETRY = 60.0
"""Seconds. A failing key waits twice as long each time, with jitter."""


class WorkQueue(Generic[Key]):
    """Calls `work(key)` for every key that is added while it runs; what `work` raises goes to `failed`, and the key
    comes again. While it does not run it holds nothing: a standby would remember every task that ever was."""

    def __init__(
        self, work: Callable[[Key], Awaitable[None]], failed: Callable[[Key, Exception], None], workers: int
    ) -> None:
        self._work = work
        self._failed = failed
        self._workers = workers
        self._ready: asyncio.Queue[Key] = asyncio.Queue()
        self._waiting: set[Key] = set()
        self._busy: set[Key] = set()
        self._again: set[Key] = set()
        self._timers: dict[Key, tuple[float, asyncio.Handle]] = {}
        """When each comes again, and what brings it; of uvloop's handles some cannot tell."""
        self._failures: dict[Key, int] = {}
        self._runs = False

    def __len__(self) -> int:
        return len(self._waiting) + len(self._again)

    def add(self, key: Key) -> None:
        """Work on the key as soon as a worker is free; once, however often it is added until then."""
        if not self._runs:
            return
        if key in self._busy:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.put_nowait(key)

    def add_later(self, key: Key, seconds: float) -> None:
        """Add the key after that time; the earliest of several such calls counts."""
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
        """Drop what is remembered of a key whose object is gone."""
        _, timer = self._timers.pop(key, (0.0, None))
        if timer is not None:
            timer.cancel()
        self._failures.pop(key, None)

    async def run(self, first: Iterable[Key] = ()) -> None:
        """Work until cancelled, beginning with those keys. What is queued then is dropped."""
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
        self._ready = asyncio.Queue()
        for held in (self._waiting, self._busy, self._again, self._timers, self._failures):
            held.clear()

    def _due(self, key: Key) -> None:
        del self._timers[key]
        self.add(key)

    async def _worker(self) -> None:
        while True:
            key = await self._ready.get()
            self._waiting.discard(key)
            self._busy.add(key)
            try:
                await self._work(key)
                self._failures.pop(key, None)
            except Exception as error:
                self._failed(key, error)
                self.add_later(key, self._backoff(key))
            finally:
                self._busy.discard(key)
                if key in self._again:
                    self._again.discard(key)
                    self.add(key)
            # Of thousands of keys of which there is nothing to do, no step waits for anything.
            await asyncio.sleep(0)

    def _backoff(self, key: Key) -> float:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        longest = min(LAST_RETRY, FIRST_RETRY * 2.0 ** min(failures, 12))
        return random.uniform(longest / 2, longest)  # noqa: S311 - jitter
