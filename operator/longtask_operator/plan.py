"""Decides what to do for a task. Pure: everything it knows is in World, everything it wants is in Plan."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from longtask_api.conditions import Condition, ConditionStatus, merged
from longtask_api.longtask import (
    ConditionType,
    Failure,
    JobRef,
    LongTask,
    LongTaskStatus,
    Phase,
    Result,
    TemplateSnapshot,
)
from longtask_api.template import LongTaskTemplate
from longtask_operator import activity, attempts, diagnosis
from longtask_operator.build_job import build_job, take_snapshot
from longtask_operator.diagnosis import Trouble
from longtask_operator.observed import JobView, PodView
from longtask_operator.results import read_result

TEMPLATE_WAIT = timedelta(seconds=60)
"""How long a task waits for a template that is not there or not Ready: both may be on their way in one apply."""
QUIET = timedelta(seconds=2)
"""For so long after it created a Job, or saw a pod end, the operator waits for what surely follows (the pod starts,
the Job ends) before it writes: that saves two status writes of five."""
NODE_SILENCE = timedelta(seconds=30)
"""How long a pod may be overdue after its grace period before its node counts as lost."""
LOOK_AGAIN = timedelta(seconds=10)
"""How often to look for what no watch tells: why the Job controller creates no pod."""


@dataclass(frozen=True, slots=True)
class CreateJob:
    """Start the work."""

    manifest: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SetSuspend:
    """Hold the Job, or let it go on."""

    job: JobView
    suspend: bool


@dataclass(frozen=True, slots=True)
class StopRetries:
    """The attempt that runs is the last one."""

    job: JobView


@dataclass(frozen=True, slots=True)
class StopPod:
    """End the pod so that kubelet keeps its log and message."""

    pod: PodView


@dataclass(frozen=True, slots=True)
class DeleteJob:
    """Remove the Job, its pods first."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class DeleteTask:
    """Remove the record: its time to live is over."""


Action = CreateJob | SetSuspend | StopRetries | StopPod | DeleteJob | DeleteTask


@dataclass(frozen=True, slots=True)
class Policy:
    """Settings of the operator that decisions depend on."""

    job_retention: timedelta


@dataclass(frozen=True, slots=True)
class World:
    """All that is known about one task at one moment."""

    task: LongTask
    now: datetime
    policy: Policy
    template: LongTaskTemplate | None = None
    parameters: Mapping[str, Any] | Failure | None = None
    """Complete, or why they are refused; None where the template is not there to say."""
    job: JobView | None = None
    """None with status.jobRef set: a live read said that the Job is gone."""
    job_refused: Trouble | None = None
    """Why the API server would not create the Job."""
    job_refused_for_good: bool = False
    pods: tuple[PodView, ...] = ()
    warnings: tuple[str, ...] = ()
    """Messages of the Job's Warning events, oldest first; looked up only where no pod exists."""
    log: str | None = None
    """Log of the newest pod; looked up only when the Job has failed."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: the actions, then the status if it differs from what is stored, then look again."""

    status: LongTaskStatus
    actions: tuple[Action, ...] = ()
    look_again: datetime | None = None
    defer_status: bool = False
    """The status may wait until `look_again`: more is about to happen."""


def plan(world: World) -> Plan:
    """The next step for the task. Running it again, or after a crash at any point, is right."""
    status = world.task.status
    if world.task.metadata.deletion_timestamp is not None:
        return Plan(status)
    if world.task.is_terminal:
        return _after_the_end(world)
    if world.job is not None:
        return _with_job(world, world.job)
    if status.job_ref is not None:
        return _job_gone(world, status.job_ref)
    return _before_the_start(world)


def _after_the_end(world: World) -> Plan:
    task, job = world.task, world.job
    ended = task.status.completion_time or world.now
    actions: list[Action] = []
    waiting: list[datetime] = []
    if job is not None and not job.deleting:
        keep_until = ended + world.policy.job_retention if job.finished else world.now
        if world.now >= keep_until:
            actions.append(DeleteJob(job.name, job.uid))
        else:
            waiting.append(keep_until)
    expires = ended + timedelta(seconds=_time_to_live(world))
    if world.now >= expires:
        actions.append(DeleteTask())
    else:
        waiting.append(expires)
    return Plan(task.status, tuple(actions), min(waiting, default=None))


def _time_to_live(world: World) -> int:
    if world.task.spec.ttl_seconds_after_finished is not None:
        return world.task.spec.ttl_seconds_after_finished
    snapshot = world.task.status.template_snapshot
    return snapshot.ttl_seconds_after_finished if snapshot else 2592000


def _before_the_start(world: World) -> Plan:
    task, template = world.task, world.template
    status = _observed(world, task.status)
    if task.spec.cancel_requested:
        return _ended(world, status, Phase.CANCELLED, failure=_cancelled("before it started"), at=world.now)
    if template is None or not template.is_ready:
        return _wait_for_template(world, status)
    maximum = template.spec.max_active_deadline_seconds
    wanted = task.spec.active_deadline_seconds
    if maximum is not None and wanted is not None and wanted > maximum:
        return _refused(
            world,
            status,
            Failure(
                reason="InvalidDeadline",
                message=f"spec.activeDeadlineSeconds is {wanted}; the template allows {maximum} at most",
                hint="Create the task again with less.",
            ),
        )
    if isinstance(world.parameters, Failure):
        return _refused(world, status, world.parameters)
    if world.parameters is None:
        return Plan(task.status, look_again=world.now + LOOK_AGAIN)
    if world.job_refused is not None:
        return _job_refused(world, status, template, world.job_refused)
    snapshot = take_snapshot(template)
    return Plan(task.status, (CreateJob(build_job(task, template, snapshot, world.parameters)),))


def _wait_for_template(world: World, status: LongTaskStatus) -> Plan:
    name = world.task.spec.template_ref.name
    if world.template is None:
        reason, message = "TemplateNotFound", f"LongTaskTemplate {name} does not exist"
        hint = "Apply the LongTaskTemplate, or choose one from `kubectl get longtasktemplates`."
    else:
        why = next((c.message for c in world.template.status.conditions if c.type == "Ready"), "not checked yet")
        reason, message = "TemplateNotReady", f"LongTaskTemplate {name} is not Ready: {why}"
        hint = f"Correct it: kubectl describe longtasktemplate {name}."
    give_up = _created(world) + TEMPLATE_WAIT
    if world.now >= give_up:
        return _refused(world, status, Failure(reason=reason, message=message, hint=hint))
    waiting = _with_condition(world, status, ConditionType.ACCEPTED, "Unknown", reason, message)
    return Plan(
        _unfinished(world, waiting, Phase.PENDING, f"waiting: {message}"),
        look_again=give_up,
        defer_status=world.now < _created(world) + QUIET,
    )


def _job_refused(world: World, status: LongTaskStatus, template: LongTaskTemplate, trouble: Trouble) -> Plan:
    give_up = _created(world) + timedelta(seconds=template.spec.start_timeout_seconds)
    if world.job_refused_for_good or world.now >= give_up:
        failure = Failure(reason=trouble.reason, message=trouble.message[:4096], hint=trouble.hint)
        return _refused(world, status, failure)
    return Plan(
        _unfinished(world, status, Phase.PENDING, f"{trouble.reason}: {trouble.message}"[:4096]),
        look_again=min(give_up, world.now + LOOK_AGAIN),
    )


def _refused(world: World, status: LongTaskStatus, failure: Failure) -> Plan:
    status = _with_condition(world, status, ConditionType.ACCEPTED, "False", failure.reason, failure.message)
    return _ended(world, status, Phase.FAILED, failure=failure, at=world.now)


def _job_gone(world: World, job: JobRef) -> Plan:
    status = _recorded(world, _observed(world, world.task.status), suspended=False)
    if any(pod.job_uid == job.uid and not pod.ended for pod in world.pods):
        message = "the Job is gone; waiting for its pods to end"
        return Plan(_unfinished(world, status, Phase.RUNNING, message), look_again=world.now + LOOK_AGAIN)
    if world.task.spec.cancel_requested:
        return _ended(world, status, Phase.CANCELLED, failure=_cancelled("and its Job was removed"), at=world.now)
    snapshot = status.template_snapshot
    seconds = activity.limit(world.task, snapshot) if snapshot else 0
    end = activity.deadline(status, seconds)
    if snapshot is not None and end is not None and world.now >= end:
        failure = Failure(
            reason="DeadlineExceeded",
            message=f"the work was active for longer than its activeDeadlineSeconds ({seconds} s)",
            hint="Give it less to do, or more time: activeDeadlineSeconds of the LongTaskTemplate.",
        )
        return _ended(world, status, Phase.FAILED, failure=failure, at=world.now)
    failure = Failure(
        reason="JobLost",
        message=f"Job {job.name} was deleted before it ended, by somebody other than LongTask",
        hint="Start it again. To end work, cancel the task instead of deleting its Job.",
    )
    return _ended(world, status, Phase.FAILED, failure=failure, at=world.now)


def _with_job(world: World, job: JobView) -> Plan:
    snapshot = job.snapshot or world.task.status.template_snapshot
    if snapshot is None:
        return Plan(world.task.status)
    status = _observed(world, world.task.status).model_copy(
        update={"job_ref": JobRef(name=job.name, uid=job.uid), "template_snapshot": snapshot}
    )
    status = _with_condition(world, status, ConditionType.ACCEPTED, "True", "Accepted", "")
    status = _recorded(world, status, suspended=job.suspend)
    if job.complete:
        return _completed(world, job, status)
    if job.failed_reason is not None:
        return _failed(world, job, status, snapshot)
    return _going_on(world, job, status, snapshot)


def _completed(world: World, job: JobView, status: LongTaskStatus) -> Plan:
    at = job.finished_at or world.now
    pod = next((pod for pod in _newest_first(world.pods) if pod.phase == "Succeeded"), None)
    if pod is None:
        note = "completed, but its pod was gone before the result could be read"
        return _ended(world, status, Phase.SUCCEEDED, result=Result(), at=at, message=note)
    outcome = read_result(pod.termination.message if pod.termination else "")
    if isinstance(outcome, Failure):
        return _ended(world, status, Phase.FAILED, failure=outcome, at=at)
    message = outcome.summary or "completed"
    if world.task.spec.cancel_requested:
        message = f"{message} (it had completed before the cancel reached it)"
    return _ended(world, status, Phase.SUCCEEDED, result=outcome, at=at, message=message)


def _failed(world: World, job: JobView, status: LongTaskStatus, snapshot: TemplateSnapshot) -> Plan:
    at = job.finished_at or world.now
    pod = next(iter(_newest_first(world.pods)), None)
    seconds = activity.limit(world.task, snapshot)
    end = activity.deadline(status, seconds)
    stopped = pod is not None and pod.deadline == 1
    total = seconds if stopped and end is not None and at >= end else None
    failure = diagnosis.failure(job, pod, world.log, total_deadline=total)
    if world.task.spec.cancel_requested:
        cancelled = _cancelled("while it ran").model_copy(
            update={"log_tail": failure.log_tail, "exit_code": failure.exit_code, "signal": failure.signal}
        )
        return _ended(world, status, Phase.CANCELLED, failure=cancelled, at=at)
    return _ended(world, status, Phase.FAILED, failure=failure, at=at)


def _going_on(world: World, job: JobView, status: LongTaskStatus, snapshot: TemplateSnapshot) -> Plan:
    task, live = world.task, [pod for pod in world.pods if not pod.ended]
    running = [pod for pod in live if pod.started is not None]
    if task.spec.cancel_requested:
        stopping = _unfinished(world, status, Phase.RUNNING if running else Phase.PENDING, "cancelling")
        return Plan(stopping, _stop(job, live), look_again=world.now + LOOK_AGAIN)
    if task.spec.suspend != job.suspend:
        return replace(_state(world, job, status, snapshot, live), actions=(SetSuspend(job, task.spec.suspend),))
    if job.suspend:
        return _held(world, job, status, live)
    status = _with_condition_if_set(world, status, ConditionType.SUSPENDED, "False", "Resumed")
    if status.active_since is None and running:
        status = status.model_copy(update={"active_since": min(pod.started or world.now for pod in running)})
    end = activity.deadline(status, activity.limit(task, snapshot))
    if end is not None and world.now >= end:
        message = "stopping: activeDeadlineSeconds is over"
        stopping = _unfinished(world, status, Phase.RUNNING, message)
        return Plan(stopping, _stop(job, live), look_again=world.now + LOOK_AGAIN)
    if (status.disruption_count or 0) > snapshot.max_disruptions:
        return _too_many_disruptions(world, status, snapshot)
    after = _state(world, job, status, snapshot, live)
    return replace(after, look_again=min((t for t in (after.look_again, end) if t is not None), default=None))


def _stop(job: JobView, live: list[PodView]) -> tuple[Action, ...]:
    """End the work and keep its log; where nothing has run there is no log, and the Job goes."""
    if job.deleting:
        return ()
    if job.suspend or any(pod.node is None for pod in live) or not (live or job.failures):
        return (DeleteJob(job.name, job.uid),)
    retries: tuple[Action, ...] = () if job.backoff_limit == 0 else (StopRetries(job),)
    return retries + tuple(StopPod(pod) for pod in live if pod.deadline is None or pod.deadline > 1)


def _held(world: World, job: JobView, status: LongTaskStatus, live: list[PodView]) -> Plan:
    if live or job.terminating:
        silent = _silent_node(world, live)
        message = silent.message if silent else "suspending: waiting for the pod to end"
        return Plan(_unfinished(world, status, Phase.RUNNING, message), look_again=world.now + LOOK_AGAIN)
    message = "suspended; set spec.suspend to false to go on"
    status = activity.paused(status, job.suspended_since or world.now)
    status = _with_condition(world, status, ConditionType.SUSPENDED, "True", "Suspended", message)
    return Plan(_unfinished(world, status, Phase.SUSPENDED, message))


def _state(world: World, job: JobView, status: LongTaskStatus, snapshot: TemplateSnapshot, live: list[PodView]) -> Plan:
    """Running, or waiting for a pod to start, with what keeps it from starting."""
    silent = _silent_node(world, live)
    if silent is not None:
        return Plan(_unfinished(world, status, Phase.RUNNING, f"{silent.reason}: {silent.message}. {silent.hint}"))
    if any(pod.started for pod in live):
        number = status.attempt_count or 1
        message = "running" if number == 1 else f"running, attempt {number}"
        overdue = [pod.deleted + NODE_SILENCE for pod in live if pod.deleted is not None]
        return Plan(_unfinished(world, status, Phase.RUNNING, message), look_again=min(overdue, default=None))
    if not live and status.attempt_count:
        return _between_attempts(world, status)
    trouble = diagnosis.not_starting(live[-1]) if live else diagnosis.not_created(world.warnings)
    since = max([pod.created for pod in live], default=_resumed(status) or job.created)
    give_up = since + timedelta(seconds=snapshot.start_timeout_seconds)
    if world.now >= give_up:
        return _never_started(world, status, snapshot, trouble)
    message = f"{trouble.reason}: {trouble.message}" if trouble else "waiting for the pod to start"
    quiet_until = job.created + QUIET
    quiet = trouble is None and world.now < quiet_until and world.task.status.job_ref is None
    again = give_up if live else min(give_up, world.now + LOOK_AGAIN)
    return Plan(
        _unfinished(world, status, Phase.PENDING, message[:4096]),
        look_again=quiet_until if quiet else again,
        defer_status=quiet,
    )


def _between_attempts(world: World, status: LongTaskStatus) -> Plan:
    """The newest pod has ended: the Job is about to end too, or to start the next one."""
    last = status.attempts[-1] if status.attempts else None
    if last is not None and last.end_time is not None and world.now < last.end_time + QUIET:
        return Plan(status, look_again=last.end_time + QUIET, defer_status=True)
    if last is not None and last.reason == "Completed":
        message = "the work is done; waiting for its Job to say so"
        return Plan(_unfinished(world, status, Phase.RUNNING, message))
    reason = last.reason if last else "unknown"
    message = f"attempt {status.attempt_count} ended ({reason}); starting the next one"
    return Plan(_unfinished(world, status, Phase.PENDING, message), look_again=world.now + LOOK_AGAIN)


def _silent_node(world: World, live: list[PodView]) -> Trouble | None:
    for pod in live:
        if pod.deleted is not None and pod.node is not None and world.now >= pod.deleted + NODE_SILENCE:
            return diagnosis.lost_node(pod)
    return None


def _never_started(world: World, status: LongTaskStatus, snapshot: TemplateSnapshot, trouble: Trouble | None) -> Plan:
    seconds = snapshot.start_timeout_seconds
    if trouble is None:
        failure = Failure(
            reason="StartTimeout",
            message=f"no pod started to work within {seconds} s",
            hint="See `kubectl get events` in the task namespace, or raise startTimeoutSeconds in the template.",
        )
    else:
        message = f"{trouble.message}; gave up after {seconds} s"
        failure = Failure(reason=trouble.reason, message=message[:4096], hint=trouble.hint)
    return _ended(world, status, Phase.FAILED, failure=failure, at=world.now)


def _too_many_disruptions(world: World, status: LongTaskStatus, snapshot: TemplateSnapshot) -> Plan:
    failure = Failure(
        reason="TooManyDisruptions",
        message=f"the cluster took the pod away {status.disruption_count} times; "
        f"the template allows {snapshot.max_disruptions}",
        hint="Start it again when the cluster is calm, or raise retry.maxDisruptions in the LongTaskTemplate.",
    )
    return _ended(world, status, Phase.FAILED, failure=failure, at=world.now)


def _ended(
    world: World,
    status: LongTaskStatus,
    phase: Phase,
    *,
    at: datetime,
    result: Result | None = None,
    failure: Failure | None = None,
    message: str | None = None,
) -> Plan:
    succeeded: ConditionStatus = "True" if phase is Phase.SUCCEEDED else "False"
    reason = failure.reason if failure else "Completed"
    text = message or (f"{failure.reason}: {failure.message}" if failure else "completed")
    status = activity.paused(status, at)
    status = _with_condition(world, status, ConditionType.SUCCEEDED, succeeded, reason, text[:4096])
    return Plan(
        status.model_copy(
            update={
                "phase": phase,
                "message": text[:4096],
                "completion_time": at,
                "result": result,
                "failure": failure,
            }
        )
    )


def _unfinished(world: World, status: LongTaskStatus, phase: Phase, message: str) -> LongTaskStatus:
    status = _with_condition(world, status, ConditionType.SUCCEEDED, "Unknown", phase.value, "")
    return status.model_copy(update={"phase": phase, "message": message})


def _cancelled(when: str) -> Failure:
    return Failure(reason="Cancelled", message=f"cancelled on request {when}")


def _observed(world: World, status: LongTaskStatus) -> LongTaskStatus:
    return status.model_copy(update={"observed_generation": world.task.metadata.generation})


def _recorded(world: World, status: LongTaskStatus, *, suspended: bool) -> LongTaskStatus:
    so_far = attempts.record(status, world.pods, suspended=suspended, now=world.now)
    return status.model_copy(
        update={
            "attempt_count": so_far.count,
            "disruption_count": so_far.disruptions,
            "attempts": so_far.newest,
            "start_time": status.start_time or so_far.first_start,
        }
    )


def _with_condition(
    world: World, status: LongTaskStatus, type_: str, value: ConditionStatus, reason: str, message: str
) -> LongTaskStatus:
    condition = merged(status.conditions, type_, value, reason, message, world.task.metadata.generation, world.now)
    others: list[Condition] = [c for c in status.conditions if c.type != type_]
    return status.model_copy(update={"conditions": sorted([*others, condition], key=lambda c: c.type)})


def _with_condition_if_set(
    world: World, status: LongTaskStatus, type_: str, value: ConditionStatus, reason: str
) -> LongTaskStatus:
    if all(condition.type != type_ for condition in status.conditions):
        return status
    return _with_condition(world, status, type_, value, reason, "")


def _resumed(status: LongTaskStatus) -> datetime | None:
    return next((c.last_transition_time for c in status.conditions if c.type == ConditionType.SUSPENDED), None)


def _created(world: World) -> datetime:
    return world.task.metadata.creation_timestamp or world.now


def _newest_first(pods: tuple[PodView, ...]) -> list[PodView]:
    return sorted(pods, key=lambda pod: (pod.created, pod.name), reverse=True)
