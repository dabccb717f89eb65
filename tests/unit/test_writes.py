"""What a replica does with reports that it cannot store."""

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from longtask_api.longtask import LongTask
from longtask_operator.cache import Cache
from longtask_operator.planning.progress import Report
from longtask_operator.task_api import writes as module
from longtask_operator.task_api.callers import Attempt
from longtask_operator.task_api.errors import Refusal
from longtask_operator.task_api.limits import Room, Share
from longtask_operator.task_api.writes import Writes
from tests.unit.given import at_work, running_pod, task


class Line:
    """To the API server; it may be cut."""

    def __init__(self) -> None:
        self.cut = True
        self.asked = 0

    async def report(self, task: LongTask, job_uid: str, operations: Any) -> LongTask:
        self.asked += 1
        if self.cut:
            raise aiohttp.ClientConnectionError("no route")
        return task


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what it waits for has no event
            await asyncio.sleep(0.01)


async def test_reports_that_could_not_be_stored_for_a_while_are_refused_until_one_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "UNSTORED_SECONDS", 0.0)
    line, given = Line(), task(at_work())
    writes = Writes(line, Cache(), interval=0.01, per_second=1000)  # type: ignore[arg-type]
    attempt = Attempt(given, 1, running_pod(), Share(Room(10, 10), "a"))
    running = asyncio.create_task(writes.run())
    await asyncio.sleep(0)

    def told(sequence: int) -> bool:
        return writes.hold(attempt, Report(sequence=sequence, fraction=0.5))

    assert told(1)
    await _until(lambda: writes._failing_since is not None)
    with pytest.raises(Refusal) as refused:
        told(2)
    assert (refused.value.status, refused.value.headers["Connection"]) == (503, "close")
    line.cut, asked = False, line.asked
    await _until(lambda: line.asked > asked and writes._failing_since is None)
    assert told(3)
    running.cancel()
