"""Delivers milestones and outcomes of tasks to their sessions, in order of their time within each session.

The process may be killed at any step. So the payload and its time are recorded in the task before the first call, and
a process that finds a record it did not just make first looks for the event in the service.
"""

import asyncio
import json
import logging
from collections import defaultdict
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from longtask_api.base import rfc3339
from longtask_api.conditions import ConditionStatus, find, merged
from longtask_api.longtask import ConditionType, Delivery, LongTask, SessionEvent
from longtask_operator.agentcore.client import AgentCore
from longtask_operator.agentcore.error_classification import Classification, Retryability, backoff, classify
from longtask_operator.agentcore.models import Event, ServiceError, Session
from longtask_operator.cache import Cache
from longtask_operator.delivery import messages, payload
from longtask_operator.delivery.due import due, event_time, percent_of, recorded, session_of
from longtask_operator.delivery.timeline import Placement, place, place_in_newest
from longtask_operator.metrics import METRICS
from longtask_operator.task_namespace import TaskNamespace
from longtask_operator.workqueue import WorkQueue
from longtask_runtime import clock
from longtask_runtime.kube import KubeError

logger = logging.getLogger(__name__)

WORKERS = 16
"""Sessions served concurrently."""
CALL_INTERVAL = 0.5
"""Seconds between two events of a session. The service accepts 5 per second for an actor and session; most are left to
the agent: its session manager aborts the turn if an event is refused three times."""
LOOK_AGAIN = 2.0
"""Seconds until an open turn is checked again."""
EARLIER_PATIENCE = timedelta(seconds=30)
"""How long a task waits for another that ended before it, but has no terminal status yet."""
EARLIER_AGAIN = 0.5
"""Seconds until such a task is checked again."""
CONFLICT_AGAIN = 0.1
"""Seconds until the retry after a conflicting write."""
NAMESPACE = "/longtasks/{actor_id}/"
"""Namespace of long-term records; an agent reads them with a retrieval_config for it."""


class DeliveryDispatcher:
    """Delivers events to sessions through a work queue. Only the leader calls `run`."""

    def __init__(
        self,
        cluster: TaskNamespace,
        cache: Cache,
        service: AgentCore | None,
        memory_ids: Collection[str],
        open_turn_timeout: timedelta,
    ) -> None:
        """`service` is None if no region is set; only the memories in `memory_ids` are written to.

        `open_turn_timeout` is how long after an event its delivery waits for the agent's open turn to finish.
        """
        self._cluster = cluster
        self._cache = cache
        self._service = service
        self._memory_ids = frozenset(memory_ids)
        self._open_turn_timeout = open_turn_timeout
        self._queue: WorkQueue[Session] = WorkQueue(self._work, self._failed, WORKERS)
        self._tasks: dict[Session, set[str]] = defaultdict(set)
        self._session_of: dict[str, Session] = {}
        self._newest: dict[Session, datetime] = {}
        self._next_call: dict[Session, float] = {}

    async def run(self) -> None:
        """Deliver until cancelled. All pending tasks are collected first, so that the earliest can be chosen."""
        for number, uid in enumerate(list(self._cache.tasks)):
            self.consider(uid)
            if number % 100 == 99:
                await asyncio.sleep(0)
        await self._queue.run(list(self._tasks))

    def consider(self, uid: str) -> None:
        """Enqueue the session of a task that has changed or no longer exists."""
        task = self._cache.tasks.get(uid)
        session = session_of(task) if task is not None else self._session_of.get(uid)
        if session is None or (task is not None and task.is_terminal and due(task) is None):
            return
        self._tasks[session].add(uid)
        self._session_of[uid] = session
        if task is None or due(task) is not None:
            self._queue.add(session)

    async def _work(self, session: Session) -> None:
        tasks = [task for uid in self._tasks[session] if (task := self._cache.tasks.get(uid)) is not None]
        tasks = [task for task in tasks if not task.is_terminal or due(task) is not None]
        kept = {task.metadata.uid for task in tasks}
        for uid in self._tasks[session] - kept:
            self._session_of.pop(uid, None)
        self._tasks[session] = kept
        now = clock.now()
        waiting = sorted((each for each in tasks if due(each)), key=lambda each: _turn(each, now))
        if waiting:
            again = self._hold(session, waiting[0], tasks, now)
            again = await self._step(session, waiting[0]) if again is None else again
            self._queue.add_later(session, again)
        elif not tasks:
            self._forget(session)

    def _forget(self, session: Session) -> None:
        self._queue.forget(session)
        for known in (self._tasks, self._newest, self._next_call):
            known.pop(session, None)

    def _hold(self, session: Session, task: LongTask, tasks: Collection[LongTask], now: datetime) -> float | None:
        """Seconds that the session's next task must wait: for the session's rate limit, its own retry, or a task that
        ended before it. None if it need not wait.
        """
        pause = self._next_call.get(session, 0.0) - asyncio.get_running_loop().time()
        if pause > 0:
            return pause
        delivery = task.status.delivery
        if delivery is not None and delivery.next_retry_time is not None and delivery.next_retry_time > now:
            return (delivery.next_retry_time - now).total_seconds()
        moment = event_time(task, now)
        patient = task.is_terminal and now < moment + EARLIER_PATIENCE
        if patient and any(self._ended_before(each, moment) for each in tasks):
            return EARLIER_AGAIN
        return None

    def _ended_before(self, task: LongTask, moment: datetime) -> bool:
        """Whether the task's Job finished no later than that moment although its status is not terminal yet."""
        job = self._cache.jobs.get(task.metadata.uid)
        return not task.is_terminal and job is not None and job.finished_at is not None and job.finished_at <= moment

    async def _step(self, session: Session, known: LongTask) -> float:
        """Take one step; return the seconds after which the session is requeued."""
        task = await self._cluster.get_task(known.metadata.name, known.metadata.uid)
        if task is None:
            self._cache.drop_task(known.metadata.uid)
            return 0.0
        self._cache.put_task(task)
        name = due(task)
        if name is None:
            return 0.0
        try:
            return await self._deliver(session, task, name)
        except KubeError as error:
            if error.status not in (404, 409, 422):
                raise
            METRICS.conflicts.inc()
            return CONFLICT_AGAIN

    async def _deliver(self, session: Session, task: LongTask, name: str) -> float:
        if self._service is None:
            text = "memory.region is not set in the chart's values"
            return await self._record_failure(
                task, name, Classification(Retryability.FIXABLE, "MemoryNotConfigured", text)
            )
        if session.memory_id not in self._memory_ids:
            text = f"memory {session.memory_id} is not in memory.memoryIds of the chart's values"
            return await self._record_failure(
                task, name, Classification(Retryability.FIXABLE, "MemoryNotAllowed", text)
            )
        event, written = recorded(task, name), None
        try:
            if event is not None:
                written = await self._find(self._service, session, task, name)
            else:
                placed = await self._place(self._service, session, task)
                if placed is None:
                    return LOOK_AGAIN
                event = _render(task, name, placed)
                task = await self._record(task, event)
            if written is None:
                written = await self._create(self._service, session, task, event)
            event = event.model_copy(update={"payload": None, "event_id": written})
            await self._record_delivery(task, event, *await self._long_term(self._service, session, task))
        except ServiceError as error:
            return await self._record_failure(task, name, classify(error))
        return 0.0

    async def _place(self, service: AgentCore, session: Session, task: LongTask) -> datetime | None:
        """The time to give the event; None while delivery still waits for the agent's open turn."""
        now, taken = clock.now(), self._taken(session)
        newest_first: list[Event] = []
        found: Placement | None = None
        async for page in service.events(session):
            newest_first += page
            found = place_in_newest(newest_first, taken)
            if found is not None:
                break
        found = found or place(newest_first, taken, now)
        if found.turn_open and now < event_time(task, now) + self._open_turn_timeout:
            return None
        self._newest[session] = found.time
        return found.time

    def _taken(self, session: Session) -> set[datetime]:
        """Times of recorded events and of the last placed one, which the service may not list yet."""
        tasks = [task for uid in self._tasks[session] if (task := self._cache.tasks.get(uid)) is not None]
        times = {event.event_time for task in tasks if task.status.delivery for event in task.status.delivery.events}
        return times | ({self._newest[session]} if session in self._newest else set())

    async def _find(self, service: AgentCore, session: Session, task: LongTask, name: str) -> str | None:
        """The id of the event if an earlier call wrote it but its response was lost; else None."""
        async for page in service.events(session, metadata=payload.identity(task, name)):
            if page:
                return page[0].event_id
        return None

    async def _create(self, service: AgentCore, session: Session, task: LongTask, event: SessionEvent) -> str:
        try:
            return await service.create_event(
                session,
                event.event_time,
                json.loads(event.payload or "[]"),
                payload.metadata(task, event.name),
                event.client_token,
            )
        finally:
            self._next_call[session] = asyncio.get_running_loop().time() + CALL_INTERVAL

    async def _long_term(self, service: AgentCore, session: Session, task: LongTask) -> tuple[str | None, str]:
        """The id of the long-term record if the template asks for one, and a note if it was refused permanently."""
        snapshot = task.status.template_snapshot
        policy = snapshot.delivery if snapshot is not None else None
        if not task.is_terminal or policy is None or not policy.long_term_record:
            return None, ""
        text = messages.record(task)
        try:
            made = await service.create_record(
                session.memory_id,
                NAMESPACE.format(actor_id=session.actor_id),
                text,
                event_time(task, clock.now()),
                payload.metadata(task, "record"),
                payload.client_token(task.metadata.uid, "record", text),
                task.metadata.uid,
            )
        except ServiceError as error:
            wrong = classify(error)
            if wrong.kind is not Retryability.FINAL:
                raise
            return None, f"; the long-term record is refused: {wrong.message}"
        return made, ""

    async def _record(self, task: LongTask, event: SessionEvent) -> LongTask:
        """Record the event in status before the first call."""
        delivery = _with_event(task, event)
        return await self._write(task, delivery, "Unknown", "Pending", f"about to be written, as of {_millis(event)}")

    async def _record_delivery(self, task: LongTask, event: SessionEvent, record: str | None, note: str) -> None:
        delivery = _with_event(task, event).model_copy(
            update={"record_id": record, "failures": None, "next_retry_time": None}
        )
        status: ConditionStatus = "True" if percent_of(event.name) is None else "Unknown"
        reason = "Delivered" if status == "True" else "MilestoneDelivered"
        await self._write(task, delivery, status, reason, f"event {event.event_id} of {_millis(event)}{note}")
        METRICS.delivered(task, clock.now())
        logger.info("delivered to the session", extra={**_names(task), "event": event.name, "event_id": event.event_id})

    async def _record_failure(self, task: LongTask, name: str, wrong: Classification) -> float:
        """Record the error and the time of the next call. A milestone never settles the Delivered condition."""
        METRICS.delivery_failures.labels(wrong.reason).inc()
        before = task.status.delivery or Delivery()
        failures = (before.failures or 0) + 1
        milestone = percent_of(name) is not None
        kind = Retryability.FIXABLE if milestone and wrong.kind is Retryability.FINAL else wrong.kind
        seconds = 0.0 if kind is Retryability.FINAL else backoff(kind, failures).total_seconds()
        again = None if kind is Retryability.FINAL else clock.now() + timedelta(seconds=seconds)
        delivery = before.model_copy(update={"failures": failures, "next_retry_time": again})
        status: ConditionStatus = "Unknown" if milestone or wrong.kind is Retryability.TRANSIENT else "False"
        then = f"next call at {rfc3339(again)}" if again is not None else "it is not tried again"
        logger.warning("not delivered: %s", wrong.message, extra={**_names(task), "reason": wrong.reason})
        old = find(task.status.conditions, ConditionType.DELIVERED)
        await self._write(task, delivery, status, wrong.reason, f"{wrong.message}; {then}")
        if status == "False" and (old is None or old.reason != wrong.reason):
            await self._cluster.post_event(task, "Warning", "NotDelivered", f"{wrong.reason}: {wrong.message}")
        return seconds

    async def _write(
        self, task: LongTask, delivery: Delivery, status: ConditionStatus, reason: str, message: str
    ) -> LongTask:
        condition = merged(
            task.status.conditions,
            ConditionType.DELIVERED,
            status,
            reason,
            message[:4096],
            task.metadata.generation,
            clock.now(),
        )
        written = await self._cluster.write_delivery(task, delivery, condition)
        METRICS.status_writes.inc()
        self._cache.put_task(written)
        return written

    def _failed(self, session: Session, error: Exception) -> None:
        METRICS.errors.inc()
        extra = {"session": session.session_id}
        logger.warning("delivery failed; requeued", extra=extra, exc_info=error)


def _turn(task: LongTask, now: datetime) -> tuple[datetime, str]:
    return event_time(task, now), task.metadata.uid


def _render(task: LongTask, name: str, placed: datetime) -> SessionEvent:
    percent = percent_of(name)
    pair = messages.ended(task) if percent is None else messages.milestone(task, percent)
    return payload.event(task, name, pair, placed)


def _with_event(task: LongTask, event: SessionEvent) -> Delivery:
    delivery = task.status.delivery or Delivery()
    others = [each for each in delivery.events if each.name != event.name]
    return delivery.model_copy(update={"events": [*others, event]})


def _millis(event: SessionEvent) -> str:
    return event.event_time.astimezone(UTC).isoformat(timespec="milliseconds")


def _names(task: LongTask) -> dict[str, str]:
    return {"task": task.metadata.name, "task_uid": task.metadata.uid, "template": task.spec.template_ref.name}
