"""The controller: a work queue of keys, and what happens to each: reconcile, then deliver, archive and notify."""

import logging
from collections.abc import Iterable

from longtask_operator.archive.archiver import Archiver
from longtask_operator.cache import Cache
from longtask_operator.delivery.dispatcher import DeliveryDispatcher
from longtask_operator.metrics import METRICS
from longtask_operator.notification.notifier import Notifier
from longtask_operator.reconciler import Reconciler
from longtask_operator.template_controller import TemplateController
from longtask_operator.watches import Key
from longtask_operator.workqueue import WorkQueue

GATHERED = 0.5
"""Seconds in which the changes of one task become one step while many tasks start."""

logger = logging.getLogger(__name__)


class Controller:
    """Works while this replica leads; otherwise keys are dropped."""

    def __init__(
        self,
        cache: Cache,
        reconciler: Reconciler,
        templates: TemplateController,
        dispatcher: DeliveryDispatcher,
        archiver: Archiver,
        notifier: Notifier,
        workers: int,
    ) -> None:
        """`workers` keys are processed concurrently."""
        self._cache = cache
        self._reconciler = reconciler
        self._templates = templates
        self._dispatcher = dispatcher
        self._archiver = archiver
        self._notifier = notifier
        self._queue = WorkQueue(self._work, self._failed, workers, self._is_urgent)
        METRICS.queue_length.set_function(lambda: len(self._queue))

    def enqueue(self, key: Key) -> None:
        """Process the key soon; while many tasks start, what is not urgent of an active task after GATHERED."""
        if self._reconciler.is_busy and self._cache.tasks.active(key[1]) is not None and not self._is_urgent(key):
            self._queue.add_later(key, GATHERED)
        else:
            self._queue.add(key)

    async def run(self, first: Iterable[Key]) -> None:
        """One term as leader, until cancelled; starts with the keys in `first`."""
        try:
            await self._queue.run(first)
        finally:
            self._reconciler.term_is_over()

    async def _work(self, key: Key) -> None:
        kind, name = key
        if kind == "template":
            await self._templates.reconcile(name)
            return
        with METRICS.reconcile_seconds.time():
            again = await self._reconciler.reconcile(name)
        if name not in self._cache.tasks:
            self._queue.forget(key)
        if again is not None:
            self._queue.add_later(key, again)
        self._dispatcher.consider(name)
        self._archiver.consider(name)
        self._notifier.consider(name)

    def _is_urgent(self, key: Key) -> bool:
        """Whether somebody waits for this step: tasks for a template, a new task for its Job, the work of a new attempt
        for its record, without which the task API takes nothing from it.
        """
        kind, name = key
        if kind == "template":
            return True
        task, job = self._cache.tasks.active(name), self._cache.jobs.get(name)
        if task is None:
            return False
        if job is None:
            return task.status.phase is None
        recorded = [attempt.pod_uid for attempt in task.status.attempts]
        pods = self._cache.pods.get(job.uid, {}).values()
        return any(pod.running_since is not None and pod.uid not in recorded for pod in pods)

    def _failed(self, key: Key, error: Exception) -> None:
        METRICS.errors.inc()
        kind, name = key
        about = self._cache.about(name) if kind == "task" else {"template": name}
        logger.warning("reconcile failed; requeued", extra=about, exc_info=error)
