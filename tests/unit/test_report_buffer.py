"""What a replica does with reports that it cannot store."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from longtask_api.longtask import LongTask, Phase, StallPolicy
from longtask_operator.cache import Cache
from longtask_operator.planning.progress import Report
from longtask_operator.task_api import report_buffer as module
from longtask_operator.task_api.auth import ReportingPod
from longtask_operator.task_api.errors import Refusal
from longtask_operator.task_api.limits import Room, Share
from longtask_operator.task_api.report_buffer import ReportBuffer
from longtask_runtime import clock
from longtask_runtime.kube import KubeError
from tests.unit.given import SNAPSHOT, at_work, running_pod, task


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
    writes = ReportBuffer(line, Cache(), interval=0.01, per_second=1000)  # type: ignore[arg-type]
    attempt = ReportingPod(given, 1, running_pod(), Share(Room(10, 10), "a"))
    running = asyncio.create_task(writes.run())
    await _until(lambda: writes._queue._runs and writes._urgent._runs)

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


class Statuses:
    """Which tasks were written."""

    def __init__(self) -> None:
        self.written: list[str] = []

    async def report(self, task: LongTask, job_uid: str, operations: Any) -> LongTask:
        self.written.append(task.metadata.uid)
        return task


def _attempt(uid: str, told_before: float, stall_timeout: int | None) -> ReportingPod:
    """That of a task which last told something so many seconds ago, as far as it is in status."""
    stall = StallPolicy(timeout_seconds=stall_timeout) if stall_timeout is not None else None
    status = at_work(
        last_report_time=clock.now() - timedelta(seconds=told_before),
        template_snapshot=SNAPSHOT.model_copy(update={"stall": stall}),
    )
    known = task(status)
    known = known.model_copy(update={"metadata": known.metadata.model_copy(update={"uid": uid})})
    return ReportingPod(known, 1, running_pod(), Share(Room(10, 10), uid))


async def test_what_work_has_told_waits_for_no_turn_once_its_silence_would_soon_count() -> None:
    line = Statuses()
    writes = ReportBuffer(line, Cache(), interval=0.01, per_second=0.001)  # type: ignore[arg-type]
    writes._stores_since -= timedelta(hours=1)
    running = asyncio.create_task(writes.run())
    await _until(lambda: writes._queue._runs and writes._urgent._runs)
    for number in range(40):
        assert writes.hold(_attempt(f"crowd-{number}", 0, None), Report(sequence=1, fraction=0.5))
    await _until(lambda: bool(line.written))
    assert writes.hold(_attempt("told-lately", 1, 600), Report(sequence=1, fraction=0.5))
    assert writes.hold(_attempt("told-long-ago-unwatched", 400, None), Report(sequence=1, fraction=0.5))
    assert writes.hold(_attempt("told-long-ago", 400, 600), None)
    await _until(lambda: "told-long-ago" in line.written)
    assert len(line.written) == 2
    running.cancel()


async def test_after_a_time_in_which_nothing_could_be_stored_silence_counts_anew() -> None:
    line = Line()
    writes = ReportBuffer(line, Cache(), interval=0.01, per_second=0.001)  # type: ignore[arg-type]
    writes._stores_since -= timedelta(hours=1)
    running = asyncio.create_task(writes.run())
    await _until(lambda: writes._queue._runs and writes._urgent._runs)
    attempt = _attempt("told-long-ago", 400, 600)
    assert (writes._urgent_in(attempt) or 0) < 0
    assert writes.hold(attempt, None)
    await _until(lambda: writes._failing_since is not None)
    line.cut = False
    await _until(lambda: writes._failing_since is None)
    assert (writes._urgent_in(attempt) or 0) > 200
    running.cancel()


class Refusing:
    """Holds a task whose status takes no report: a newer one is in it, or it has ended."""

    def __init__(self, phase: Phase) -> None:
        self.task = task(at_work().model_copy(update={"phase": phase}))

    async def report(self, task: LongTask, job_uid: str, operations: Any) -> LongTask:
        raise KubeError(422, "Invalid", "the rule of progress")

    async def get_task(self, name: str, uid: str) -> LongTask:
        return self.task


async def test_a_final_report_that_status_refuses_is_outdated_only_while_the_task_takes_reports() -> None:
    for phase, told in ((Phase.RUNNING, "outdated"), (Phase.SUCCEEDED, "TaskEnded")):
        writes = ReportBuffer(Refusing(phase), Cache(), interval=1, per_second=1)  # type: ignore[arg-type]
        attempt = ReportingPod(task(at_work()), 1, running_pod(), Share(Room(10, 10), "a"))
        try:
            found = "stored" if await writes.write(attempt, Report(sequence=1)) else "outdated"
        except Refusal as refusal:
            found = refusal.reason
        assert found == told


async def test_the_highest_sequence_stays_whether_it_is_held_or_final() -> None:
    line = Statuses()
    writes = ReportBuffer(line, Cache(), interval=1, per_second=1)  # type: ignore[arg-type]
    attempt = ReportingPod(task(at_work()), 1, running_pod(), Share(Room(10, 10), "a"))
    assert writes.hold(attempt, Report(sequence=5))
    assert not await writes.write(attempt, Report(sequence=4))
    assert not writes.hold(attempt, Report(sequence=3))
    assert line.written == []
    await writes.flush()
    assert len(line.written) == 1
    assert await writes.write(attempt, Report(sequence=6))
