"""Writes what the work reports into the status of its task."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

from longtask_api.base import rfc3339
from longtask_api.longtask import LongTask
from longtask_operator.cache import Cache
from longtask_operator.metrics import METRICS
from longtask_operator.planning.progress import Report, progress
from longtask_operator.task_api.auth import ReportingPod
from longtask_operator.task_api.errors import Refusal, later
from longtask_operator.task_namespace import TaskNamespace
from longtask_operator.workqueue import WorkQueue
from longtask_runtime import clock
from longtask_runtime.kube import KubeError

logger = logging.getLogger(__name__)

Operation = Mapping[str, Any]

TRIES: Final = 6
"""How often a change is attempted when others write to the task in between."""
WRITERS: Final = 16
"""Concurrent writes of buffered reports: on a busy machine each is slow. The rate is limited separately."""
REMEMBERED: Final = 20_000
HEARTBEAT_SECONDS: Final = 30.0
STALL_SHARE: Final = 0.25
"""Fraction of the stall timeout: the longest interval between two writes of a task's reports."""
URGENT_SHARE: Final = 0.5
"""Fraction of the stall timeout after which a buffered report no longer waits for its turn."""
FLUSH_SECONDS: Final = 5.0
UNSTORED_SECONDS: Final = 10.0
"""How long writes may fail before reports are refused instead of buffered."""


@dataclass(frozen=True)
class _Held:
    attempt: ReportingPod
    report: Report | None
    """None for a heartbeat."""
    at: datetime


class ReportBuffer:
    """Writes final reports at once. Progress is buffered: the newest report wins, and each task is written once an
    interval.

    Buffered progress is lost with the process: that costs freshness, and the next report restores it. Methods that
    write raise KubeError and network errors too; then the write may have been applied.
    """

    def __init__(self, cluster: TaskNamespace, cache: Cache, interval: float, per_second: float) -> None:
        """`interval` in seconds; `per_second` limits the buffered writes of all tasks. With more tasks than that
        allows, each waits its turn, so the interval grows.
        """
        self._cluster = cluster
        self._cache = cache
        self._interval = interval
        self._gap = 1 / per_second
        self._next_write = 0.0
        self._failing_since: float | None = None
        self._held: dict[str, _Held] = {}
        self._written: OrderedDict[str, float] = OrderedDict()
        self._queue: WorkQueue[str] = WorkQueue(self._write_in_turn, self._failed, WRITERS)
        self._urgent: WorkQueue[str] = WorkQueue(self._write_if_urgent, self._failed, WRITERS)
        self._stores_since = clock.now()

    async def run(self) -> None:
        """Write buffered reports when they are due, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._queue.run())
            group.create_task(self._urgent.run())

    async def flush(self) -> None:
        """Write all buffered reports now, for at most FLUSH_SECONDS. The rest is lost."""
        held, self._held = list(self._held.values()), {}
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                for result in await asyncio.gather(*(self._store(each) for each in held), return_exceptions=True):
                    if isinstance(result, Exception):
                        logger.warning("a buffered report is lost", exc_info=result)
        except TimeoutError:
            logger.warning("buffered reports are lost: the API server was too slow", extra={"at_most": len(held)})

    def hold(self, attempt: ReportingPod, report: Report | None) -> bool:
        """Buffer a report, or a heartbeat (None), until its write. False when a newer one is known already.

        Raises Refusal, and closes the connection, when writes have failed for UNSTORED_SECONDS: another replica may
        reach the API server, and work whose reports are accepted but never stored would count as stalled.
        """
        uid, now = attempt.task.metadata.uid, clock.now()
        before = self._held.get(uid)
        if report is None and before is not None and before.report is not None:
            report, attempt = before.report, before.attempt
        elif report is not None and not self._is_newer(attempt, report, before):
            return False
        self._held[uid] = _Held(attempt, report, now)
        since = time.monotonic() - self._written.get(uid, float("-inf"))
        self._queue.add_later(uid, self._pause(attempt, report) - since)
        if (urgent := self._urgent_in(attempt)) is not None:
            self._urgent.add_later(uid, urgent)
        if self._failing_since is not None and time.monotonic() - self._failing_since > UNSTORED_SECONDS:
            text = "what is told here cannot be stored: the API server cannot be reached; try again in a second"
            raise later("Unavailable", text, headers={"Connection": "close"})
        return True

    async def write(self, attempt: ReportingPod, report: Report) -> bool:
        """Store a report now. False when a newer one is known. Raises Refusal."""
        uid = attempt.task.metadata.uid
        held = self._held.get(uid)
        if not self._is_newer(attempt, report, held):
            return False
        self._held.pop(uid, None)
        if await self._store(_Held(attempt, report, clock.now())) is None:
            await self.live(attempt)  # raises if the task has ended; otherwise something newer is stored
            return False
        return True

    async def change(self, attempt: ReportingPod, make: Callable[[LongTask], Iterable[Operation]]) -> LongTask:
        """Store the operations that `make` returns for the current task, with an optimistic lock (resourceVersion); a
        conflict is retried. Without operations nothing is written. Raises Refusal, also from `make`.
        """
        task = self._current(attempt)
        for _ in range(TRIES):
            operations = list(make(task))
            if not operations:
                return task
            unchanged = {"op": "test", "path": "/metadata/resourceVersion", "value": task.metadata.resource_version}
            written = await self._send(attempt, [unchanged, *operations, _report_time(clock.now())])
            if written is not None:
                return written
            task = await self.live(attempt)
        raise later("Busy", "the task is being written by many at once; try again in a second")

    async def live(self, attempt: ReportingPod) -> LongTask:
        """The task, read live. Raises Refusal if it accepts nothing from the attempt any more."""
        task = await self._cluster.get_task(attempt.task.metadata.name, attempt.task.metadata.uid)
        if task is None or task.is_terminal:
            raise Refusal(HTTPStatus.CONFLICT, "TaskEnded", "the task has ended; nothing is taken for it any more")
        if task.status.job_ref is None or task.status.job_ref.uid != attempt.pod.job_uid:
            raise Refusal(HTTPStatus.FORBIDDEN, "NotItsJob", "the pod does not belong to the task's Job")
        self._cache.put_task(task)
        return task

    def _is_newer(self, attempt: ReportingPod, report: Report, held: _Held | None) -> bool:
        stored = self._current(attempt).status.progress
        if stored is not None and (stored.attempt, stored.sequence) >= (attempt.number, report.sequence):
            return False
        if held is None or held.report is None:
            return True
        return (held.attempt.number, held.report.sequence) <= (attempt.number, report.sequence)

    def _pause(self, attempt: ReportingPod, report: Report | None) -> float:
        """Seconds between two writes for the task: short enough that live work never looks stalled."""
        pause = HEARTBEAT_SECONDS if report is None else self._interval
        snapshot = attempt.task.status.template_snapshot
        stall = snapshot.stall if snapshot is not None else None
        return pause if stall is None else min(pause, stall.timeout_seconds * STALL_SHARE)

    def _urgent_in(self, attempt: ReportingPod) -> float | None:
        """Seconds until a buffered report must no longer wait for its turn, because stalls are detected from status.
        None without a stall timeout.
        """
        status = self._current(attempt).status
        stall = status.template_snapshot.stall if status.template_snapshot is not None else None
        if stall is None:
            return None
        heard = max(status.last_report_time or self._stores_since, self._stores_since)
        return (heard + timedelta(seconds=stall.timeout_seconds * URGENT_SHARE) - clock.now()).total_seconds()

    async def _write_in_turn(self, uid: str) -> None:
        if uid in self._held:
            await self._turn()
            await self._write_held(uid)

    async def _write_if_urgent(self, uid: str) -> None:
        left = self._urgent_in(self._held[uid].attempt) if uid in self._held else None
        if left is not None and left > 0:
            self._urgent.add_later(uid, left)
        elif left is not None:
            await self._write_held(uid)

    async def _write_held(self, uid: str) -> None:
        held = self._held.pop(uid, None)
        if held is None:
            return
        try:
            await self._store(held)
        except Refusal:
            return
        except BaseException:
            self._held.setdefault(uid, held)
            raise

    async def _turn(self) -> None:
        """Wait until another write fits into the rate."""
        now = time.monotonic()
        self._next_write = max(self._next_write, now) + self._gap
        await asyncio.sleep(self._next_write - self._gap - now)

    async def _store(self, held: _Held) -> LongTask | None:
        attempt, status = held.attempt, self._current(held.attempt).status
        operations = [_report_time(held.at)]
        if held.report is not None:
            started = next((each.start_time for each in status.attempts if each.number == attempt.number), None)
            resumed = status.checkpoint is not None and status.checkpoint.attempt < attempt.number
            made = progress(held.report, attempt.number, held.at, status.progress, started, resumed=resumed)
            operations.append(_add("progress", made.to_api()))
        return await self._send(attempt, operations)

    async def _send(self, attempt: ReportingPod, operations: list[Operation]) -> LongTask | None:
        """The task as written; None when a test failed or something newer is stored. Raises Refusal."""
        uid = attempt.task.metadata.uid
        self._remember(uid)
        try:
            written = await self._cluster.report(attempt.task, attempt.pod.job_uid, operations)
        except KubeError as error:
            if error.status in (404, 422):
                self._stored()
            if error.status == 404:
                raise Refusal(HTTPStatus.CONFLICT, "TaskEnded", "the task is gone; nothing is taken for it") from None
            if error.status == 422:
                METRICS.reports_dropped.inc()
                return None
            raise
        self._stored()
        METRICS.report_writes.inc()
        self._cache.put_task(written)
        return written

    def _stored(self) -> None:
        """Note that the API server accepts writes, perhaps again."""
        if self._failing_since is not None:
            self._failing_since, self._stores_since = None, clock.now()

    def _current(self, attempt: ReportingPod) -> LongTask:
        return self._cache.tasks.get(attempt.task.metadata.uid, attempt.task)

    def _remember(self, uid: str) -> None:
        self._written[uid] = time.monotonic()
        self._written.move_to_end(uid)
        if len(self._written) > REMEMBERED:
            self._written.popitem(last=False)

    def _failed(self, uid: str, error: Exception) -> None:
        self._failing_since = self._failing_since or time.monotonic()
        METRICS.errors.inc()
        about = self._cache.about(uid)
        logger.warning("a report could not be written; it is tried again", extra=about, exc_info=error)


def _add(field: str, value: Any) -> Operation:
    return {"op": "add", "path": f"/status/{field}", "value": value}


def _report_time(at: datetime) -> Operation:
    return _add("lastReportTime", rfc3339(at))
