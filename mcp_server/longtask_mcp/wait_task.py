"""Waits for the end of a task, or for a question of it, with progress notifications."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from longtask_api.longtask import LongTask
from longtask_mcp.cache import version
from longtask_mcp.contract.answers import going
from longtask_mcp.contract.callers import Owner
from longtask_mcp.contract.questions import open_questions
from longtask_mcp.task_client import TaskClient
from longtask_runtime import clock

HEARTBEAT_SECONDS = 5.0
STEP = 0.001
WAITING = "waiting for news of your tasks"

Report = Callable[[float, float | None, str], Awaitable[None]]
"""Sends a progress notification: value, total, message."""


@dataclass(frozen=True)
class Waited:
    """How the wait ended: the current task, None if it was deleted; `interrupted` if this server is stopping."""

    task: LongTask | None
    interrupted: bool = False


class TaskWaiter:
    """Waits until a task ends or asks a question, a timeout passes, or `stopping` is set (and the waits woken)."""

    def __init__(self, tasks: TaskClient, stopping: asyncio.Event) -> None:
        self._tasks = tasks
        self._stopping = stopping
        self._open: dict[Hashable, list[_Open]] = {}

    def give_up(self, call: Hashable) -> None:
        """End the waits of calls with this key: their answers are no longer read. A call of another conversation may
        have the same key; it is answered with the task's status and can wait again.
        """
        for each in self._open.get(call, []):
            each.given_up = True
            each.wake()

    async def until_news(
        self, call: Hashable, task: LongTask, seconds: float, report: Report, resumed: bool = False
    ) -> Waited:
        """Wait at most `seconds`; reports every change, and every 5 seconds that it is still waiting.

        A question that is already open does not end the wait: a caller that waits anyway leaves it to others. It ends a
        wait that is resumed, as it may have been asked in between.
        """
        with self._opened(call, lambda: self._tasks.cache.touch(task.metadata.uid)) as this:
            return await self._until_news(this, task, seconds, report, set() if resumed else _questions(task))

    async def until_any(
        self, call: Hashable, whose: Owner, seconds: float, report: Report, over: Callable[[], bool]
    ) -> bool:
        """Wait at most `seconds` until it is `over`, which is asked whenever the owner's tasks may have news; whether
        this server is stopping instead. Reports every 5 seconds that it is still waiting.
        """
        loop_time = asyncio.get_running_loop().time
        deadline, steps = loop_time() + seconds, 0.0
        with (
            self._tasks.signals(whose) as signal,
            self._opened(call, lambda: self._tasks.touch(whose)) as this,
        ):
            while not over():
                left = deadline - loop_time()
                if self._stopping.is_set():
                    return True
                if left <= 0 or this.given_up:
                    break
                steps += STEP
                await report(steps, None, WAITING)
                with suppress(TimeoutError):
                    await asyncio.wait_for(signal.wait(), min(left, HEARTBEAT_SECONDS))
                signal.clear()
        return False

    @contextmanager
    def _opened(self, call: Hashable, wake: Callable[[], None]) -> Iterator["_Open"]:
        this = _Open(wake)
        known = self._open.setdefault(call, [])
        known.append(this)
        try:
            yield this
        finally:
            known.remove(this)
            if not known:
                del self._open[call]

    async def _until_news(
        self, this: "_Open", task: LongTask, seconds: float, report: Report, known: set[str]
    ) -> Waited:
        loop_time = asyncio.get_running_loop().time
        deadline = loop_time() + seconds
        uid, series = task.metadata.uid, Series()
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
            await self._tasks.cache.changed(uid, version(current), min(left, HEARTBEAT_SECONDS))
            current = self._tasks.cache.get(uid)
        return Waited(current)


@dataclass(eq=False)
class _Open:
    wake: Callable[[], None]
    given_up: bool = False


def _questions(task: LongTask) -> set[str]:
    return {question.id for question in open_questions(task)}


class Series:
    """Progress values of one call, which must increase with each notification (MCP, "Progress Flow")."""

    def __init__(self) -> None:
        self._last = 0.0

    def following(self, task: LongTask) -> tuple[float, float | None]:
        """A percentage for a task that reports a fraction, below 100 until it ends; else a count without a total."""
        progress = task.status.progress
        if progress is None or progress.fraction is None:
            self._last += STEP
            return self._last, None
        self._last = max(self._last + STEP * (100 - self._last), min(progress.fraction, 0.99) * 100)
        return self._last, 100.0
