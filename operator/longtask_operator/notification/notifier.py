"""Sends the events of tasks to their sinks, and records in the task what became of each. Only the leader runs it.

What is to be sent follows from the object, so nothing is recorded before the first attempt. The process may be killed
at any step: an event whose sending is not recorded is sent again, with the same id.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from longtask_api.conditions import find, merged
from longtask_api.longtask import ConditionType, LongTask, Notification
from longtask_operator.cache import Cache
from longtask_operator.leader_election import Term
from longtask_operator.metrics import METRICS
from longtask_operator.notification import cloud_event
from longtask_operator.notification.outcome import LONGEST_RETRY_AFTER, Outcome, Verdict, backoff
from longtask_operator.notification.sender import Sender
from longtask_operator.planning import notifications
from longtask_operator.planning.notifications import Due, Event, Sinks
from longtask_operator.task_namespace import TaskNamespace
from longtask_operator.workqueue import WorkQueue
from longtask_runtime import clock
from longtask_runtime.kube import KubeError

logger = logging.getLogger(__name__)

CONCURRENCY = 4
"""Attempts of one sink at the same time: of a sink that does not answer, nothing else waits."""
INTERVAL = 0.05
"""Seconds between the beginnings of two attempts of a sink."""
LEAST_WAIT = 0.001
"""Seconds; a shorter timer may fire before the time that it waits for."""
OTHER = "other"
"""Label of metrics for all sinks that are not configured: templates can name any."""

NO_SINK = Outcome(
    Verdict.RETRY,
    notifications.NOT_CONFIGURED,
    "it is not in notifications.sinks of the chart's values",
    retry_after=LONGEST_RETRY_AFTER,
)

Key = tuple[str, str]
"""The name of a sink and the uid of a task."""


class Notifier:
    """Has a lane of its own for each sink, so that none waits for another."""

    def __init__(
        self,
        cluster: TaskNamespace,
        cache: Cache,
        senders: Mapping[str, Sender],
        sinks: Sinks,
        term: Callable[[], Term],
    ) -> None:
        """`senders` and `sinks` have the same keys; `term` raises NotLeading when this replica must not send."""
        self._cache = cache

        def lane(name: str, sender: Sender | None) -> _Lane:
            return _Lane(name, sender, cluster, cache, sinks, term)

        self._lanes = {name: lane(name, sender) for name, sender in senders.items()}
        self._rest = lane(OTHER, None)

    async def run(self) -> None:
        """Send until cancelled."""
        async with asyncio.TaskGroup() as group:
            for lane in (*self._lanes.values(), self._rest):
                group.create_task(lane.run())

    def consider(self, uid: str) -> None:
        """Enqueue the sinks of a task that has changed, if they miss an event."""
        task = self._cache.tasks.get(uid)
        if task is not None:
            for sink in notifications.sinks_of(task):
                self._lanes.get(sink, self._rest).consider((sink, uid), task)


class _Lane:
    """The notifications of one sink; without a sender, of all sinks that are not configured."""

    def __init__(
        self,
        name: str,
        sender: Sender | None,
        cluster: TaskNamespace,
        cache: Cache,
        sinks: Sinks,
        term: Callable[[], Term],
    ) -> None:
        self._name = name
        self._sender = sender
        self._cluster = cluster
        self._cache = cache
        self._sinks = sinks
        self._term = term
        self._queue: WorkQueue[Key] = WorkQueue(self._work, self._failed, CONCURRENCY)
        self._begin()
        METRICS.notifications_pending.labels(name).set_function(lambda: len(self._pending))

    def _begin(self) -> None:
        self._pending: set[Key] = set()
        self._unrecorded: dict[Key, tuple[str, Outcome]] = {}
        """Outcomes whose status write has failed, with the event's name: sending again would help nobody."""
        self._next_attempt = 0.0
        """When the sink may be called again, by the event loop's clock."""
        self._failures = 0
        self._trouble: Outcome | None = None
        """How the last attempt failed; None if it succeeded, or failed for its event only."""

    async def run(self) -> None:
        """Work until cancelled. Afterwards nothing is pending here: another replica leads."""
        self._begin()
        try:
            await self._queue.run()
        finally:
            self._begin()

    def consider(self, key: Key, task: LongTask) -> None:
        """Enqueue the task if the sink misses one of its events."""
        if notifications.due(task, key[0], self._sinks, clock.now()) is not None:
            self._pending.add(key)
            self._queue.add(key)

    async def _work(self, key: Key) -> None:
        sink, uid = key
        known = self._cache.tasks.get(uid)
        if known is None or (missing := self._due(known, sink)) is None:
            self._forget(key)
            return
        if self._outcome_of(key, missing.event) is None:
            if (wait := (missing.at - clock.now()).total_seconds()) > 0 and missing.failures:
                self._queue.add_later(key, wait)
                return
            await self._turn(missing.event)
        task = await self._cluster.get_task(known.metadata.name, uid)
        if task is None:
            self._cache.drop_task(uid)
            self._forget(key)
            return
        self._cache.put_task(task)
        if (missing := self._due(task, sink)) is None:
            self._forget(key)
            return
        result = self._outcome_of(key, missing.event) or await self._attempt(task, missing.event)
        self._unrecorded[key] = missing.event.name, result
        try:
            await self._record(task, sink, missing, result)
        except KubeError as error:
            if error.status not in (404, 409):
                raise
            METRICS.conflicts.inc()
        else:
            del self._unrecorded[key]
        self._queue.add(key)

    def _due(self, task: LongTask, sink: str) -> Due | None:
        return notifications.due(task, sink, self._sinks, clock.now())

    def _outcome_of(self, key: Key, event: Event) -> Outcome | None:
        """How the event's last attempt ended, if that is not recorded yet."""
        name, result = self._unrecorded.get(key, ("", None))
        return result if name == event.name else None

    async def _turn(self, event: Event) -> None:
        """Wait until the sink may be called. An event that is too old does not wait for a sink that is failing."""
        loop = asyncio.get_running_loop()
        while True:
            wait = self._next_attempt - loop.time()
            if wait <= 0 or self._is_given_up(event):
                break
            await asyncio.sleep(max(wait, LEAST_WAIT))
        self._next_attempt = max(self._next_attempt, loop.time() + INTERVAL)

    def _is_given_up(self, event: Event) -> bool:
        return self._trouble is not None and event.is_too_old(clock.now())

    async def _attempt(self, task: LongTask, event: Event) -> Outcome:
        if self._sender is None:
            return NO_SINK
        if self._trouble is not None and self._is_given_up(event):
            return self._trouble
        term = self._term()
        result = await self._sender.send(cloud_event.event_id(task, event), cloud_event.body(task, event), term.seconds)
        self._heed(result)
        return result

    def _heed(self, result: Outcome) -> None:
        """Leave a sink alone for a while that fails whatever is sent."""
        if result.verdict is not Verdict.RETRY or not result.of_sink:
            self._failures, self._trouble = 0, None
            return
        self._failures, self._trouble = self._failures + 1, result
        wait = backoff(self._failures, random.random(), result.retry_after)  # noqa: S311 - jitter
        self._next_attempt = max(self._next_attempt, asyncio.get_running_loop().time() + wait)

    async def _record(self, task: LongTask, sink: str, missing: Due, result: Outcome) -> None:
        now = clock.now()
        made = _state(sink, missing, result, now)
        states = notifications.with_state(task, made, now)
        status, reason, message = notifications.condition(task, states, self._sinks, now)
        generation = task.metadata.generation
        condition = merged(
            task.status.conditions, ConditionType.NOTIFIED, status, reason, message[:4096], generation, now
        )
        old = find(task.status.conditions, ConditionType.NOTIFIED)
        self._cache.put_task(await self._cluster.write_notifications(task, states, condition))
        METRICS.status_writes.inc()
        self._tell(task, missing.event, made, now)
        if status == "False" and (old is None or (old.status, old.reason) != (status, reason)):
            await self._cluster.post_event(task, "Warning", "NotNotified", f"{reason}: {message}")

    def _tell(self, task: LongTask, event: Event, made: Notification, now: datetime) -> None:
        about = {"task": task.metadata.name, "task_uid": task.metadata.uid, "sink": made.sink, "event": made.event}
        if made.sent_time is not None:
            METRICS.notified(self._name, event.kind, now - event.time)
            logger.info("sink notified", extra=about)
            return
        reason = made.reason or ""
        METRICS.notification_failures.labels(self._name, reason).inc()
        if made.next_retry_time is None:
            METRICS.notifications_given_up.labels(self._name, reason).inc()
        logger.warning("sink not notified: %s", made.message, extra={**about, "reason": reason})

    def _forget(self, key: Key) -> None:
        self._pending.discard(key)
        self._unrecorded.pop(key, None)
        self._queue.forget(key)

    def _failed(self, key: Key, error: Exception) -> None:
        METRICS.errors.inc()
        extra = {**self._cache.about(key[1]), "sink": key[0]}
        logger.warning("notification failed; requeued", extra=extra, exc_info=error)


def _state(sink: str, missing: Due, result: Outcome, now: datetime) -> Notification:
    """What is recorded of an attempt."""
    name = missing.event.name
    if result.verdict is Verdict.SENT:
        return Notification(sink=sink, event=name, sent_time=now)
    failures = missing.failures + 1
    final = result.verdict is Verdict.GIVE_UP or missing.event.is_too_old(now)
    wait = timedelta(seconds=backoff(failures, random.random(), result.retry_after))  # noqa: S311 - jitter
    return Notification(
        sink=sink,
        event=name,
        failures=failures,
        next_retry_time=None if final else now + wait,
        reason=result.reason,
        message=result.message[:512],
    )
