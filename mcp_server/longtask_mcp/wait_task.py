"""Waiting for the end of a task, or for a question of it, with progress notifications."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from longtask_api.longtask import LongTask
from longtask_mcp.cache import Cache, version
from longtask_mcp.contract.answers import going
from longtask_mcp.contract.questions import open_questions
from longtask_runtime import clock

HEARTBEAT_SECONDS = 5.0
STEP = 0.001

Report = Callable[[float, float | None, str], Awaitable[None]]
"""Sends a progress notification: value, total, message."""


@dataclass(frozen=True)
class Waited:
    """How the wait ended: the task as it is then, None when it was deleted; `interrupted` when this server stops."""

    task: LongTask | None
    interrupted: bool = False


class TaskWaiter:
    """Waits over one cache until the task ends or asks something, the time is up, or `stopping` is set (and the cache
    woken).
    """

    def __init__(self, cache: Cache[LongTask], stopping: asyncio.Event) -> None:
        self._cache = cache
        self._stopping = stopping
        self._open: dict[Hashable, list[_Open]] = {}

    def give_up(self, call: Hashable) -> None:
        """End the waits of calls that are known by this: their answers are not read any more. It may be that of
        another conversation too, which is told how its task is and waits on.
        """
        for each in self._open.get(call, []):
            each.given_up = True
            self._cache.touch(each.uid)

    async def until_news(self, call: Hashable, task: LongTask, seconds: float, report: Report) -> Waited:
        """Wait at most `seconds`; tells of every change, and every 5 seconds that it still waits.

        A question that is open already does not end the wait: whoever waits on has left it to somebody else.
        """
        with self._opened(call, task.metadata.uid) as this:
            return await self._until_news(this, task, seconds, report)

    @contextmanager
    def _opened(self, call: Hashable, uid: str) -> Iterator["_Open"]:
        this = _Open(uid)
        known = self._open.setdefault(call, [])
        known.append(this)
        try:
            yield this
        finally:
            known.remove(this)
            if not known:
                del self._open[call]

    async def _until_news(self, this: "_Open", task: LongTask, seconds: float, report: Report) -> Waited:
        loop_time = asyncio.get_running_loop().time
        deadline = loop_time() + seconds
        uid, series, known = task.metadata.uid, Series(), _questions(task)
        current: LongTask | None = task
        prefix = f"task ID {uid}: "
        while current is not None and not current.is_terminal and _questions(current) <= known:
            left = deadline - loop_time()
            if self._stopping.is_set():
                return Waited(current, interrupted=True)
            if left <= 0 or this.given_up:
                break
            value, total = series.following(current)
            await report(value, total, f"{prefix}{going(current, clock.now())}")
            prefix = ""
            await self._cache.changed(uid, version(current), min(left, HEARTBEAT_SECONDS))
            current = self._cache.get(uid)
        return Waited(current)


@dataclass(eq=False)
class _Open:
    uid: str
    given_up: bool = False


def _questions(task: LongTask) -> set[str]:
    return {question.id for question in open_questions(task)}


class Series:
    """Progress values of one call, which must rise with each notification (MCP, "Progress Flow")."""

    def __init__(self) -> None:
        self._last = 0.0

    def following(self, task: LongTask) -> tuple[float, float | None]:
        """Percent of 100 for a task that tells its share, and never all of it, as it has not ended; else a count
        without a total.
        """
        progress = task.status.progress
        if progress is None or progress.fraction is None:
            self._last += STEP
            return self._last, None
        self._last = max(self._last + STEP * (100 - self._last), min(progress.fraction, 0.99) * 100)
        return self._last, 100.0
