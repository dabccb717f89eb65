"""Limits of each task: the rate and concurrency of its calls, and the memory for what they send."""

import asyncio
import contextlib
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus

from longtask_operator.task_api.errors import Refusal, later

REMEMBERED = 20_000
MIB = 1024 * 1024
CALLS_AT_ONCE = 48
"""Of one task: a long poll for each question that it may have, and some more."""
ROOM, ROOM_OF_A_TASK = 96 * MIB, 24 * MIB
"""For bytes in transit, of all tasks and of one. One task has room for a result that is checked, or for three uploads
at full speed."""


class Rate:
    """A token bucket for each task."""

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`per_second` calls on average; a burst of four seconds' worth."""
        self._per_second = per_second
        self._burst = 4 * per_second
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> None:
        """Count a call. Raises Refusal (429) if there were too many."""
        now = self._clock()
        left, at = self._buckets.get(key, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._per_second)
        self._buckets[key] = (max(left - 1, 0.0) if left >= 1 else left, now)
        self._buckets.move_to_end(key)
        if len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
        if left < 1:
            detail = f"a task may report {self._per_second:g} times a second; the newest report is what counts"
            raise Refusal(HTTPStatus.TOO_MANY_REQUESTS, "TooManyReports", detail, {"Retry-After": "1"})


class Calls:
    """Limits the concurrent calls of each task: long polls and slow bodies occupy a slot each."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._under_way: Counter[str] = Counter()

    @contextlib.contextmanager
    def one(self, key: str) -> Iterator[None]:
        """Occupy a slot during a call. Raises Refusal (429) if there is none."""
        if self._under_way[key] >= self._at_once:
            detail = f"{self._at_once} calls of the task are under way; wait for the answer of one"
            raise Refusal(HTTPStatus.TOO_MANY_REQUESTS, "TooManyCalls", detail, {"Retry-After": "1"})
        self._under_way[key] += 1
        try:
            yield
        finally:
            self._under_way[key] -= 1
            if not self._under_way[key]:
                del self._under_way[key]


class Room:
    """Memory for bytes in transit, limited in total and for each task, so that no task can take it all.

    Bytes are counted when they have arrived, not when they are announced: a slow body occupies little.
    """

    def __init__(self, total: int, each: int, patience: float = 20.0) -> None:
        """`total` and `each` in bytes; `patience` is how long a body waits for free memory, in seconds."""
        self._total = total
        self._each = each
        self._patience = patience
        self._taken: Counter[str] = Counter()
        self._given_back = asyncio.Event()

    @contextlib.contextmanager
    def share(self, key: str) -> Iterator["Share"]:
        """The memory of one call, freed at the end of the call."""
        share = Share(self, key)
        try:
            yield share
        finally:
            share.give_back(share.taken)

    async def take(self, key: str, size: int) -> None:
        """Count bytes as soon as there is room; reading pauses meanwhile. Raises Refusal (503) after `patience`."""
        try:
            async with asyncio.timeout(self._patience):
                while self._taken[key] + size > self._each or self._taken.total() + size > self._total:
                    await self._given_back.wait()
        except TimeoutError:
            whose = "the task's own calls hold" if self._taken[key] + size > self._each else "other calls hold"
            raise later("NoRoom", f"{whose} too much memory; send it again when some have ended", 5) from None
        self._taken[key] += size

    def give_back(self, key: str, size: int) -> None:
        """Free bytes."""
        self._taken[key] -= size
        if not self._taken[key]:
            del self._taken[key]
        self._given_back.set()
        self._given_back = asyncio.Event()


class Share:
    """The memory of one call."""

    def __init__(self, room: Room, key: str) -> None:
        self._room = room
        self._key = key
        self.taken = 0

    async def take(self, size: int) -> None:
        """Occupy this many more bytes. Raises Refusal (503) if there is no room for too long."""
        await self._room.take(self._key, size)
        self.taken += size

    def give_back(self, size: int) -> None:
        """Free this many bytes."""
        self.taken -= size
        self._room.give_back(self._key, size)


@dataclass(frozen=True)
class Limits:
    """The limits of each task."""

    rate: Rate
    calls: Calls = field(default_factory=lambda: Calls(CALLS_AT_ONCE))
    room: Room = field(default_factory=lambda: Room(ROOM, ROOM_OF_A_TASK))
