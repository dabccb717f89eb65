"""How often and how many calls a task may make, and how much memory what callers send may take."""

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
"""Of one task: as many as it may have questions, each of which may be waited for, and some more."""
ROOM, ROOM_OF_A_TASK = 96 * MIB, 24 * MIB
"""For bytes on their way. One task has room for a result that is checked, or for three uploads at full pace."""


class Rate:
    """A token bucket for each task."""

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`per_second` calls in the long run; four seconds' worth at once."""
        self._per_second = per_second
        self._burst = 4 * per_second
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> None:
        """Count a call. Raises Refusal (429) where there were too many."""
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
    """Counts the calls of each task that are under way: waits for answers and slow bodies hold a place each."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._under_way: Counter[str] = Counter()

    @contextlib.contextmanager
    def one(self, key: str) -> Iterator[None]:
        """While a call is under way. Raises Refusal (429) where there are too many."""
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
    """Memory for bytes that are on their way: so much in all, and so much for each task, so that no task takes it all.

    Bytes are counted when they have come, not when they are announced: a body that comes slowly holds little.
    """

    def __init__(self, total: int, each: int, patience: float = 20.0) -> None:
        """`total` and `each` in bytes; `patience` in seconds: how long a body waits for others to give room back."""
        self._total = total
        self._each = each
        self._patience = patience
        self._taken: Counter[str] = Counter()
        self._given_back = asyncio.Event()

    @contextlib.contextmanager
    def share(self, key: str) -> Iterator["Share"]:
        """What one call takes; it is given back at the end of the call."""
        share = Share(self, key)
        try:
            yield share
        finally:
            share.give_back(share.taken)

    async def take(self, key: str, size: int) -> None:
        """Count bytes as soon as there is room for them; nobody reads on meanwhile. Raises Refusal (503)."""
        try:
            async with asyncio.timeout(self._patience):
                while self._taken[key] + size > self._each or self._taken.total() + size > self._total:
                    await self._given_back.wait()
        except TimeoutError:
            whose = "the task's own calls hold" if self._taken[key] + size > self._each else "other calls hold"
            raise later("NoRoom", f"{whose} too much memory; send it again when some have ended", 5) from None
        self._taken[key] += size

    def give_back(self, key: str, size: int) -> None:
        """The bytes are gone."""
        self._taken[key] -= size
        if not self._taken[key]:
            del self._taken[key]
        self._given_back.set()
        self._given_back = asyncio.Event()


class Share:
    """The bytes of one call."""

    def __init__(self, room: Room, key: str) -> None:
        self._room = room
        self._key = key
        self.taken = 0

    async def take(self, size: int) -> None:
        """Hold that many bytes more. Raises Refusal (503) where there is no room for them for long."""
        await self._room.take(self._key, size)
        self.taken += size

    def give_back(self, size: int) -> None:
        """Hold that many bytes less."""
        self.taken -= size
        self._room.give_back(self._key, size)


@dataclass(frozen=True)
class Limits:
    """What each task may have of the task API."""

    rate: Rate
    calls: Calls = field(default_factory=lambda: Calls(CALLS_AT_ONCE))
    room: Room = field(default_factory=lambda: Room(ROOM, ROOM_OF_A_TASK))
