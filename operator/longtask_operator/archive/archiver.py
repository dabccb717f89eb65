"""Archives the records of ended tasks. Only the leader runs it."""

import logging
from datetime import datetime, timedelta

from longtask_api import longtask
from longtask_api.base import rfc3339
from longtask_api.conditions import ConditionStatus, find, merged
from longtask_api.longtask import ConditionType, LongTask
from longtask_operator.agentcore.error_classification import Classification, Retryability, backoff, classify
from longtask_operator.agentcore.models import ServiceError
from longtask_operator.archive.archive import Archive
from longtask_operator.cache import Cache
from longtask_operator.metrics import METRICS
from longtask_operator.store.errors import StoreUnavailable
from longtask_operator.task_namespace import TaskNamespace
from longtask_operator.workqueue import WorkQueue
from longtask_runtime import clock
from longtask_runtime.kube import KubeError

logger = logging.getLogger(__name__)

WORKERS = 8
DELIVERY_TIMEOUT = timedelta(minutes=5)
"""How long archiving waits for delivery, so that the record can include its outcome."""
LOOK_AGAIN = 5.0
"""Seconds between checks whether delivery has settled."""


class Archiver:
    """Archives each ended task once, and writes the location into its status."""

    def __init__(self, cluster: TaskNamespace, cache: Cache, archive: Archive) -> None:
        self._cluster = cluster
        self._cache = cache
        self._archive = archive
        self._queue: WorkQueue[str] = WorkQueue(self._work, self._failed, WORKERS)
        self._failures: dict[str, int] = {}

    async def run(self) -> None:
        """Process the queue until cancelled."""
        await self._queue.run()

    def consider(self, uid: str) -> None:
        """Queue a task that has changed, if it has to be archived."""
        task = self._cache.tasks.get(uid)
        if task is not None and self._archive.takes(task) and not task.is_settled(ConditionType.ARCHIVED):
            self._queue.add(uid)

    async def _work(self, uid: str) -> None:
        known = self._cache.tasks.get(uid)
        if known is not None and _may_be_delivered(known, clock.now()):
            self._queue.add_later(uid, LOOK_AGAIN)
            return
        task = await self._cluster.get_task(known.metadata.name, uid) if known is not None else None
        if task is None or task.is_settled(ConditionType.ARCHIVED):
            self._forget(uid)
            return
        try:
            kept = await self._archive.put(task)
        except (ServiceError, StoreUnavailable) as error:
            await self._not_archived(task, _classify(error))
            return
        if kept is not None:
            await self._write(task, kept, "True", "Archived", kept.uri)
            METRICS.archived.inc()
        self._forget(uid)

    def _forget(self, uid: str) -> None:
        self._failures.pop(uid, None)
        self._queue.forget(uid)

    async def _not_archived(self, task: LongTask, wrong: Classification) -> None:
        uid = task.metadata.uid
        METRICS.archive_failures.labels(wrong.reason).inc()
        logger.warning("not archived: %s", wrong.message, extra={"task": task.metadata.name, "task_uid": uid})
        if wrong.kind is Retryability.FINAL:
            await self._write(task, None, "False", wrong.reason, f"{wrong.message}; it is not tried again")
            return
        failures = self._failures[uid] = self._failures.get(uid, 0) + 1
        wait = backoff(wrong.kind, failures)
        self._queue.add_later(uid, wait.total_seconds())
        then = f"{wrong.message}; next call at {rfc3339(clock.now() + wait)}"
        status: ConditionStatus = "Unknown" if wrong.kind is Retryability.TRANSIENT else "False"
        old = find(task.status.conditions, ConditionType.ARCHIVED)
        await self._write(task, None, status, wrong.reason, then)
        if status == "False" and (old is None or old.reason != wrong.reason):
            await self._cluster.post_event(task, "Warning", "NotArchived", f"{wrong.reason}: {wrong.message}")

    async def _write(
        self, task: LongTask, kept: longtask.Archive | None, status: ConditionStatus, reason: str, message: str
    ) -> None:
        condition = merged(
            task.status.conditions,
            ConditionType.ARCHIVED,
            status,
            reason,
            message[:4096],
            task.metadata.generation,
            clock.now(),
        )
        try:
            self._cache.put_task(await self._cluster.write_archive(task, kept, condition))
        except KubeError as error:
            if error.status not in (404, 409):
                raise
            METRICS.conflicts.inc()
            self._queue.add(task.metadata.uid)
        else:
            METRICS.status_writes.inc()

    def _failed(self, uid: str, error: Exception) -> None:
        METRICS.errors.inc()
        logger.warning("archiving failed; requeued", extra=self._cache.about(uid), exc_info=error)


def _may_be_delivered(task: LongTask, now: datetime) -> bool:
    ended = task.status.completion_time
    waits = task.spec.memory is not None and not task.is_settled(ConditionType.DELIVERED)
    return waits and ended is not None and now < ended + DELIVERY_TIMEOUT


def _classify(error: ServiceError | StoreUnavailable) -> Classification:
    if isinstance(error, ServiceError):
        return classify(error)
    return Classification(Retryability.TRANSIENT, "StoreUnavailable", str(error))
