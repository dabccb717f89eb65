"""Reconciles tasks: gathers their state, calls `plan`, executes its actions and writes the status at most once."""

import contextlib
import json
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import aiohttp

from longtask_api import constants
from longtask_api.checking import unusable
from longtask_api.longtask import TERMINAL_PHASES, Failure, LongTask, LongTaskStatus, Phase
from longtask_api.parameters import InvalidParameters
from longtask_api.template import LongTaskTemplate
from longtask_operator.cache import Cache
from longtask_operator.handover import CheckpointHandover, NotHandedOver
from longtask_operator.metrics import METRICS
from longtask_operator.planning import failure_reasons, stall, task_events
from longtask_operator.planning.actions import CreateJob, Plan, TakeCheckpoint
from longtask_operator.planning.attempts import unrecorded
from longtask_operator.planning.build_job import result_schema
from longtask_operator.planning.done import decisive_pod, done_pod, is_done
from longtask_operator.planning.failure_reasons import StartProblem
from longtask_operator.planning.lookups import may_be_ended_early, pod_to_ask_about, wants_refusals
from longtask_operator.planning.pending import bound
from longtask_operator.planning.plan import plan
from longtask_operator.planning.pod_selection import end_is_seen, newest, working_pod
from longtask_operator.planning.policy import BUSY_QUIET, LOOK_AGAIN, Policy
from longtask_operator.planning.rerun import wants_checkpoint
from longtask_operator.planning.results import checkable, final_result, was_handed_in
from longtask_operator.planning.snapshots import JobSnapshot, PodEvent, PodSnapshot
from longtask_operator.planning.state import TaskState
from longtask_operator.shares import Shares
from longtask_operator.task_namespace import TaskNamespace, owned
from longtask_runtime import clock
from longtask_runtime.kube import KubeError, is_unanswered
from longtask_runtime.logs import in_words
from longtask_runtime.validation import Validator

logger = logging.getLogger(__name__)

LOG_LINES = 250
SHORT_LOG_LINES = 100
"""Lines read of the log of a failure and of a success. They mostly fill the field that keeps them; where they do not,
more are read."""
LOG_BYTES = 32 * 1024
UNANSWERED = 10
"""How many unanswered attempts at one status write are remembered."""
CLOCKS = timedelta(seconds=5)
"""By how much the clocks of several API servers may differ."""
MANY_STARTS = 100
"""If so many Jobs were created within BUSY_QUIET, their controller and the scheduler may need longer than usual."""
LOG_PATIENCE = timedelta(seconds=60)
"""How long the end of a failed task waits for a log that cannot be read: the node may be lost."""


class Reconciler:
    """Moves a task one step towards its spec."""

    def __init__(
        self,
        cluster: TaskNamespace,
        cache: Cache,
        validator: Validator,
        handover: CheckpointHandover,
        policy: Policy,
        attended: Callable[[], datetime],
        leads_since: Callable[[], datetime],
    ) -> None:
        """`attended` returns since when this operator has been able to receive reports without a break; `leads_since`
        since when no other replica has led, by the API server's clock.
        """
        self._cluster = cluster
        self._cache = cache
        self._validator = validator
        self._handover = handover
        self._policy = policy
        self._attended = attended
        self._leads_since = leads_since
        self._shares = Shares(cache, policy.max_active)
        self._starts: deque[float] = deque(maxlen=MANY_STARTS)
        """When the last Jobs were created, in time.monotonic()."""
        self._unanswered: dict[str, tuple[LongTask, deque[LongTaskStatus]]] = {}
        """Status writes that got no answer and may have been stored, by task uid: the task they were planned from, and
        the statuses. Their Events are posted once a write is seen in status, in the same term."""

    @property
    def is_busy(self) -> bool:
        """Whether many Jobs were created just now, so that their controller and the scheduler take longer."""
        return len(self._starts) == MANY_STARTS and time.monotonic() - self._starts[0] < BUSY_QUIET.total_seconds()

    async def reconcile(self, uid: str) -> float | None:
        """Run one step. Returns the seconds until the next one if nothing happens before; None if none is needed.

        Raises KubeError and network errors: then the key is requeued.
        """
        task = self._cache.tasks.get(uid)
        if task is None:
            self._unanswered.pop(uid, None)
            return await self._clear_away(uid)
        await self._tell_what_was_stored(task)
        state = await self._gather(task)
        wanted = plan(state)
        if _ends_unseen(state, wanted):
            await self._look_at_work(task)
            state = await self._gather(task)
            wanted = plan(state)
        pod = working_pod(state.pods)
        if pod is not None and stall.is_news(task.status, wanted.status):
            state = replace(state, usage=await self._cluster.pod_usage(pod))
            wanted = plan(state)
        if wanted.actions and not task.is_terminal and not self._is_first_start(task, wanted):
            # The cached task may be older than its cached Job or pods. A terminal task cannot change any more.
            live = await self._refresh(task)
            if live is None:
                return None
            if live.metadata.resource_version != task.metadata.resource_version:
                return 0.0
        return await self._carry_out(state, wanted)

    async def _carry_out(self, state: TaskState, wanted: Plan) -> float | None:
        for action in wanted.actions:
            if isinstance(action, CreateJob):
                return await self._start(state, action)
            if isinstance(action, TakeCheckpoint):
                return await self._take_checkpoint(state, action)
            if not await self._cluster.act(state.task, action):
                METRICS.conflicts.inc()
                return 0.0 if await self._look_anew(state.task) else None
        return await self._finish(state, wanted)

    def _is_first_start(self, task: LongTask, wanted: Plan) -> bool:
        """Whether the plan is to create the Job of a task that was created in this term, and for which nothing has been
        written yet: no other replica can have created or recorded one, and the cache has each write of this replica
        that was answered. A task that had to wait is read: it may have been cancelled or deleted meanwhile.
        """
        created = task.metadata.creation_timestamp
        return (
            task.status.phase is None
            and all(isinstance(action, CreateJob) for action in wanted.actions)
            and task.metadata.uid not in self._unanswered
            and created is not None
            and created > self._leads_since() + CLOCKS
        )

    def term_is_over(self) -> None:
        """Forget unanswered writes: from now on they cannot be told apart from those of another leader, which posts its
        own Events and may have planned the same.
        """
        self._unanswered.clear()

    async def _clear_away(self, uid: str) -> float | None:
        """Delete the orphaned pods of a task that is gone: no controller would."""
        pods = [pod for pod in self._cache.orphans_of(uid) if pod.deleted is None]
        if pods and await self._cluster.get_task(pods[0].task_name, uid) is not None:
            return LOOK_AGAIN.total_seconds()
        for pod in pods:
            if not await self._cluster.delete_pod(pod):
                METRICS.conflicts.inc()
                for live in await self._cluster.list_pods(uid):
                    self._cache.put_pod(live)
                return 0.0
        return None

    async def _gather(self, task: LongTask) -> TaskState:
        state = TaskState(task=task, now=clock.now(), policy=self._policy, busy=self.is_busy, attended=self._attended())
        job, reference = self._cache.jobs.get(task.metadata.uid), task.status.job_ref
        if task.is_terminal:
            return replace(state, job=job, pods=self._cache.orphans_of(task.metadata.uid) if job is None else ())
        if reference is not None and (job is None or job.uid != reference.uid):
            job = await self._cluster.get_job(reference.name, reference.uid)
            if job is not None:
                self._cache.put_job(job)
        if job is None and reference is None:
            template = self._cache.templates.get(task.spec.template_ref.name)
            known = replace(state, template=template, pods=self._cache.orphans_of(task.metadata.uid))
            begun = bound(known).task
            if begun is not task:
                return await self._without_its_job(known, begun)
            if wants_checkpoint(task):
                return replace(known, earlier=await self._handover.earlier(task))
            if template is not None and template.is_ready and not self._shares.has_room(task):
                return replace(known, crowded=True)
            return replace(known, parameters=await self._parameters(task, template))
        job_uid = job.uid if job is not None else reference.uid if reference is not None else ""
        pods = self._cache.pods_of(job_uid)
        if job is None:
            return await self._without_its_job(replace(state, pods=pods), task)
        if job.finished and not end_is_seen(job, pods):
            live = await self._cluster.list_pods(task.metadata.uid)
            pods = tuple(pod for pod in live if pod.job_uid == job.uid) or pods
        pods = tuple([await self._as_it_ended(task, pod) for pod in pods])
        pod = decisive_pod(job, pods, task.status) if job.finished else None
        log = await self._log(state, job, pod)
        return replace(
            state,
            job=job,
            pods=pods,
            refusals=await self._cluster.refusals(job.uid) if wants_refusals(job, pods, state.now) else (),
            events=await self._events(task, job, pods, state.now),
            log=log,
            logs_of_attempts=await self._logs_of_attempts(state, pods, pod, log),
            mismatch=await self._mismatch(task, job, pod),
        )

    async def _without_its_job(self, state: TaskState, task: LongTask) -> TaskState:
        """The state of a task without its Job, from the pods that the Job left behind."""
        pods = tuple([await self._as_it_ended(task, pod) for pod in state.pods])
        if not all(pod.ended for pod in pods):
            return replace(state, pods=pods)
        last = done_pod(None, pods, task.status) or newest(pods)
        log = await self._log(state, None, last)
        return replace(state, pods=pods, log=log, mismatch=await self._mismatch(task, None, last))

    async def _parameters(
        self, task: LongTask, template: LongTaskTemplate | None
    ) -> Mapping[str, Any] | Failure | None:
        if template is None or not template.is_ready or task.spec.cancel_requested:
            return None
        try:
            return await self._validator.complete(template.spec.parameters_schema, task.spec.parameters)
        except InvalidParameters as refused:
            return Failure(
                reason="InvalidParameters",
                message=failure_reasons.fitted(f"parameters do not fit template {template.metadata.name}: {refused}"),
                hint="Correct them as the template's parametersSchema says, and start again.",
            )

    async def _as_it_ended(self, task: LongTask, pod: PodSnapshot) -> PodSnapshot:
        """The pod, with the reason why kubelet ended work that then exited with code 0."""
        if not may_be_ended_early(task.status, pod):
            return pod
        ended = failure_reasons.ended_by_kubelet(pod, await self._cluster.pod_events(pod))
        return replace(pod, ended_by_kubelet=ended.reason) if ended is not None else pod

    async def _events(
        self, task: LongTask, job: JobSnapshot, pods: tuple[PodSnapshot, ...], now: datetime
    ) -> tuple[PodEvent, ...] | None:
        pod = pod_to_ask_about(job, pods, task.status, now)
        return await self._cluster.pod_events(pod) if pod is not None else None

    async def _log(self, state: TaskState, job: JobSnapshot | None, pod: PodSnapshot | None) -> str | None:
        """The end of the log of the pod that decides how the Job ended. Raises only while the log of a failed Job is
        waited for; otherwise a log that cannot be read is None.
        """
        if pod is None or pod.gone:
            return None
        failed = job is None or job.failed_reason is not None
        waits = job is not None and failed and state.is_near(job.finished_at or state.now, LOG_PATIENCE)
        lines, kept = (
            (LOG_LINES, failure_reasons.LOG_TAIL_LIMIT)
            if failed
            else (SHORT_LOG_LINES, failure_reasons.SHORT_LOG_TAIL_LIMIT)
        )
        try:
            log = await self._cluster.read_log(pod, lines, LOG_BYTES)
            if log is not None and log.truncated and len(log.text) < kept:
                log = await self._cluster.read_log(pod, kept, LOG_BYTES)
        except (KubeError, aiohttp.ClientError, TimeoutError) as error:
            if waits:
                raise
            about = self._cache.about(state.task.metadata.uid)
            logger.warning("no log of pod %s: %s", pod.name, in_words(error), extra=about)
            return None
        return log.text if log is not None else None

    async def _logs_of_attempts(
        self, state: TaskState, pods: tuple[PodSnapshot, ...], decisive: PodSnapshot | None, log: str | None
    ) -> Mapping[str, str]:
        """The end of the log of each failed attempt that is not recorded yet, by pod uid. Logs that cannot be read are
        left out.
        """
        logs = {} if decisive is None or log is None else {decisive.uid: log}
        for pod in unrecorded(state.task.status, pods):
            badly = pod.termination is not None and pod.termination.exit_code != 0
            if not badly or pod.gone or pod == decisive:
                continue
            with contextlib.suppress(KubeError, aiohttp.ClientError, TimeoutError):
                found = await self._cluster.read_log(pod, LOG_LINES, LOG_BYTES)
                if found is not None:
                    logs[pod.uid] = found.text
        return logs

    async def _mismatch(self, task: LongTask, job: JobSnapshot | None, pod: PodSnapshot | None) -> str | None:
        """How the result in the termination message violates the resultSchema. Others were checked when handed in."""
        done = (job is not None and job.complete) or (pod is not None and is_done(task.status, pod))
        text = result_schema(task, job, self._cache.templates.get(task.spec.template_ref.name)) if done else None
        if text is None:
            return None
        result = final_result(task.status, pod)
        if isinstance(result, Failure) or was_handed_in(result):
            return None
        schema = json.loads(text)
        problems = await self._validator.mismatches(schema, checkable(result))
        if problems and (why := await self._validator.run(unusable, schema)) is not None:
            about = self._cache.about(task.metadata.uid)
            logger.warning("the result is not checked: its resultSchema %s", why, extra=about)
            return None
        return failure_reasons.fitted("; ".join(str(problem) for problem in problems)) or None

    async def _take_checkpoint(self, state: TaskState, action: TakeCheckpoint) -> float | None:
        """Copy the checkpoint of an earlier task. To the cache it is news, which enqueues the next step."""
        if not self._handover.has_room_for(action.earlier):
            return LOOK_AGAIN.total_seconds()
        try:
            self._cache.put_task(await self._handover.take(state.task, action.earlier))
        except NotHandedOver as error:
            unable = replace(state, checkpoint_problem=error.problem, checkpoint_lost=error.is_lost)
            return await self._finish(unable, plan(unable))
        except KubeError as error:
            if error.status not in (404, 409):
                raise
            METRICS.conflicts.inc()
            return 0.0 if await self._refresh(state.task) is not None else None
        return None

    async def _start(self, state: TaskState, action: CreateJob) -> float | None:
        """Create the Job. To the cache it is news, which enqueues the next step."""
        try:
            job = await self._cluster.create_job(action)
        except KubeError as error:
            return await self._not_started(state, action, error)
        self._cache.put_job(job)
        self._starts.append(time.monotonic())
        METRICS.jobs_created.inc()
        return None

    async def _not_started(self, state: TaskState, action: CreateJob, error: KubeError) -> float | None:
        task = state.task
        if error.status == 409:
            existing = await self._cluster.get_job(action.manifest["metadata"]["name"])
            if existing is None or existing.owner_uid != task.metadata.uid:
                raise error
            self._cache.put_job(existing)
            return 0.0
        if error.status not in (400, 403, 422):
            raise error
        problem = StartProblem(
            "JobRefused", f"the API server refuses the Job: {error.message}", failure_reasons.TEMPLATE_HINT
        )
        if error.status == 403 and "exceeded quota" in error.message:
            problem = StartProblem("QuotaExceeded", error.message, failure_reasons.QUOTA_HINT)
        refused = replace(state, job_refused=problem, job_refused_for_good=error.status != 403)
        return await self._finish(refused, plan(refused))

    async def _look_anew(self, task: LongTask) -> bool:
        """Read task, Job and pods live after a conflict with the cached version. False when the task is gone."""
        live = await self._refresh(task)
        if live is not None:
            await self._look_at_work(live)
        return live is not None

    async def _look_at_work(self, task: LongTask) -> None:
        """Read the Job and the pods of a task live, also a Job that no watch event has shown yet."""
        uid, reference = task.metadata.uid, task.status.job_ref
        known = self._cache.jobs.get(uid)
        job = await self._cluster.get_job(
            constants.job_name(task.metadata.name, uid), reference.uid if reference else None
        )
        if job is not None and job.owner_uid == uid:
            self._cache.put_job(job)
        elif known is not None:
            self._cache.drop_job(known)
        for pod in await self._cluster.list_pods(uid):
            self._cache.put_pod(pod)

    async def _refresh(self, task: LongTask) -> LongTask | None:
        """The task, read live into the cache; None when it is gone."""
        live = await self._cluster.get_task(task.metadata.name, task.metadata.uid)
        if live is None:
            self._cache.drop_task(task.metadata.uid)
        else:
            self._cache.put_task(live)
        return live

    async def _finish(self, state: TaskState, wanted: Plan) -> float | None:
        """Write the status if it differs; the seconds until the next step."""
        before, after = state.task.status, wanted.status
        if not (wanted.defer_status or state.task.is_terminal or owned(before) == owned(after)):
            try:
                written = await self._cluster.write_task_status(state.task, after)
            except Exception as error:
                if is_unanswered(error):
                    self._note_unanswered(state.task, after)
                if not isinstance(error, KubeError) or error.status not in (404, 409):
                    raise
                METRICS.conflicts.inc()
                return 0.0 if await self._refresh(state.task) is not None else None
            self._unanswered.pop(state.task.metadata.uid, None)
            self._cache.put_task(written)
            await self._tell(state.task, after)
        if wanted.look_again is None:
            return None
        return max(0.0, (wanted.look_again - clock.now()).total_seconds())

    def _note_unanswered(self, task: LongTask, after: LongTaskStatus) -> None:
        _, sent = self._unanswered.setdefault(task.metadata.uid, (task, deque(maxlen=UNANSWERED)))
        sent.append(after)

    async def _tell_what_was_stored(self, task: LongTask) -> None:
        """Post the Events of a write that got no answer, once a newer version of the task shows that it was stored."""
        planned_from, sent = self._unanswered.get(task.metadata.uid, (task, ()))
        if planned_from.metadata.resource_version == task.metadata.resource_version:
            return
        del self._unanswered[task.metadata.uid]
        stored = next((after for after in sent if _is_stored(after, task.status)), None)
        if stored is not None:
            await self._tell(planned_from, stored)

    async def _tell(self, task: LongTask, after: LongTaskStatus) -> None:
        """Count, log and post Events for a change of the task's status."""
        self._log_change(task, task.status, after)
        for kind, reason, message in task_events.for_change(task.status, after):
            await self._cluster.post_event(task, kind, reason, message)

    def _log_change(self, task: LongTask, before: LongTaskStatus, after: LongTaskStatus) -> None:
        METRICS.status_writes.inc()
        if before.phase == after.phase:
            return
        logger.info(
            "phase",
            extra={
                "task": task.metadata.name,
                "task_uid": task.metadata.uid,
                "template": task.spec.template_ref.name,
                "from": before.phase,
                "to": after.phase,
                "detail": after.message,
            },
        )
        if after.phase in (Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED):
            METRICS.ended(task, after)


def _is_stored(written: LongTaskStatus, found: LongTaskStatus) -> bool:
    """Whether the status is the one that was written. The cache drops messages of ended tasks, but their end never
    changes. That end may come from an earlier attempt at the write; a later one is another leader's.
    """
    if written.completion_time is not None and found.completion_time is not None:
        return written.phase == found.phase and found.completion_time <= written.completion_time
    return owned(written) == owned(found)


def _ends_unseen(state: TaskState, wanted: Plan) -> bool:
    """Whether the task would become terminal without a finished Job: a late watch must not decide that."""
    ends = wanted.status.phase in TERMINAL_PHASES and not state.task.is_terminal
    return ends and not (state.job is not None and state.job.finished)
