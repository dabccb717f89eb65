"""Test data: a task, its template, its Job and its pods, on a clock of seconds that starts at ten o'clock."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from longtask_api.conditions import Condition, ConditionStatus
from longtask_api.longtask import (
    TERMINAL_PHASES,
    Attempt,
    ConditionType,
    Failure,
    JobRef,
    LongTask,
    LongTaskSpec,
    LongTaskStatus,
    Phase,
    TemplateRef,
    TemplateSnapshot,
)
from longtask_api.template import LongTaskTemplate
from longtask_operator.planning.actions import (
    Action,
    CreateJob,
    DeleteJob,
    DeletePod,
    DeleteTask,
    Plan,
    SetSuspend,
    StopPod,
    StopRetries,
    TakeCheckpoint,
)
from longtask_operator.planning.policy import Policy
from longtask_operator.planning.snapshots import ContainerKind, ContainerSnapshot, JobSnapshot, PodSnapshot, Termination
from longtask_operator.planning.state import TaskState
from longtask_operator.task_namespace import owned

TASK_UID: Final = "8f3c2a1b-1111-4222-8333-444444444444"
JOB_UID: Final = "11111111-2222-4333-8444-555555555555"
JOB_REF: Final = JobRef(name="training-1-8f3c2a1b", uid=JOB_UID)
RETENTION: Final = timedelta(hours=1)
SNAPSHOT: Final = TemplateSnapshot(
    generation=3,
    hash="9f86d081884c7d65",
    start_timeout_seconds=600,
    active_deadline_seconds=3600,
    max_active_deadline_seconds=7200,
    max_disruptions=2,
    ttl_seconds_after_finished=86400,
)


WORKS_OWN: Final = ("progress", "lastReportTime", "checkpoint", "inputRequests", "result")
"""What the task API writes: an apply that does not name it leaves it as it is."""


def at(seconds: float) -> datetime:
    """So many seconds after ten."""
    return datetime(2026, 3, 1, 10, tzinfo=UTC) + timedelta(seconds=seconds)


def task(status: LongTaskStatus | None = None, *, deleted: float | None = None, **spec: Any) -> LongTask:
    """A task of the template `training`, created at 0."""
    document = {
        "metadata": {
            "name": "training-1",
            "namespace": "tasks",
            "uid": TASK_UID,
            "resourceVersion": "100",
            "generation": 1,
            "creationTimestamp": at(0),
            "deletionTimestamp": None if deleted is None else at(deleted),
        },
        "spec": LongTaskSpec(template_ref=TemplateRef(name="training"), **spec),
    }
    read = LongTask.from_api(document)
    return read if status is None else read.model_copy(update={"status": status})


def template(
    spec: dict[str, Any] | None = None,
    *,
    name: str = "training",
    ready: bool | None = True,
    why: str = "",
    since: float = 0,
    observed: int = 3,
    version: int = 1,
) -> LongTaskTemplate:
    """A template in its third generation, found so at `since`. `ready` None: not checked yet."""
    least = {
        "description": "Trains a model.",
        "podTemplate": {"spec": {"containers": [{"name": "main", "image": "training:1"}]}},
    }
    conditions = [] if ready is None else [condition("Ready", "True" if ready else "False", message=why, since=since)]
    return LongTaskTemplate.from_api(
        {
            "metadata": {"name": name, "generation": 3, "resourceVersion": str(version)},
            "spec": least | (spec or {}),
            "status": {"observedGeneration": observed, "conditions": conditions},
        }
    )


def condition(
    type_: str, status: ConditionStatus = "True", reason: str = "BecauseSo", message: str = "", since: float = 0
) -> Condition:
    """A condition of the first generation."""
    return Condition(
        type=type_,
        status=status,
        reason=reason,
        message=message,
        observed_generation=1,
        last_transition_time=at(since),
    )


def status(phase: Phase, *others: Condition, **fields: Any) -> LongTaskStatus:
    """The status of a task that has its Job, with the conditions that belong to the phase and `others`."""
    values: dict[Phase, ConditionStatus] = {Phase.SUCCEEDED: "True", Phase.FAILED: "False", Phase.CANCELLED: "False"}
    own = [
        condition(ConditionType.ACCEPTED, reason="Accepted"),
        condition(ConditionType.SUCCEEDED, values.get(phase, "Unknown"), reason=phase.value),
    ]
    started: dict[str, Any] = {
        "observed_generation": 1,
        "message": "",
        "job_ref": JOB_REF,
        "template_snapshot": SNAPSHOT,
        "attempt_count": 0,
        "disruption_count": 0,
    }
    if phase in TERMINAL_PHASES:
        started["completion_time"] = at(100)
    if phase in (Phase.FAILED, Phase.CANCELLED):
        started["failure"] = Failure(reason=phase.value, message="it went badly")
    conditions = sorted([*own, *others], key=lambda c: c.type)
    return LongTaskStatus(phase=phase, conditions=conditions, **started | fields)


def at_work(**fields: Any) -> LongTaskStatus:
    """The status of a task whose first attempt, in pod a, works since 2."""
    return status(
        Phase.RUNNING,
        **{"active_since": at(2), "start_time": at(2), "attempt_count": 1, "attempts": [attempt()]} | fields,
    )


def held(since: float, **fields: Any) -> LongTaskStatus:
    """The status of a task that is suspended."""
    return status(Phase.SUSPENDED, condition(ConditionType.SUSPENDED, reason="Suspended", since=since), **fields)


def attempt(number: int = 1, letter: str = "a", start: float | None = 2, **fields: Any) -> Attempt:
    """An attempt in the pod of that letter; it goes on unless `fields` say more."""
    return Attempt(
        number=number,
        pod_name=f"pod-{letter}",
        pod_uid=f"uid-{letter}",
        node_name="node-1",
        start_time=None if start is None else at(start),
        **fields,
    )


def job(**fields: Any) -> JobSnapshot:
    """The task's Job, created at 0; at work unless `fields` say more."""
    active = JobSnapshot(
        name=JOB_REF.name,
        uid=JOB_UID,
        owner_uid=TASK_UID,
        resource_version=1,
        created=at(0),
        deleting=False,
        suspend=False,
        backoff_limit=3,
        suspended_since=None,
        terminating=0,
        complete=False,
        failed_reason=None,
        failed_message="",
        finished_at=None,
        failures=0,
        is_seen=True,
        held=False,
        snapshot=SNAPSHOT,
        result_schema=None,
    )
    return replace(active, **fields)


def pod(letter: str = "a", created: float = 1, **fields: Any) -> PodSnapshot:
    """A pod of the Job: on a node, not started."""
    starting = PodSnapshot(
        name=f"pod-{letter}",
        uid=f"uid-{letter}",
        job_uid=JOB_UID,
        task_uid=TASK_UID,
        task_name="training-1",
        orphaned=False,
        resource_version=1,
        created=at(created),
        deleted=None,
        gone=False,
        phase="Pending",
        reason="",
        message="",
        node="node-1",
        unschedulable=None,
        gates=(),
        disruption=None,
        asked_to_go=None,
        container="main",
        waiting_reason=None,
        waiting_message="",
        running_since=None,
        termination=None,
        others=(),
        deadline=None,
        memory_limit=None,
        probed=False,
        message_limit=4096,
    )
    if fields.get("deleted") is not None:
        fields.setdefault("asked_to_go", fields["deleted"] - GRACE)
    if fields.get("disruption") is not None:
        fields.setdefault("asked_to_go", at(created))
    return replace(starting, **fields)


GRACE = timedelta(seconds=30)


def container(name: str, kind: ContainerKind, *, exit_code: int | None = None, **fields: Any) -> ContainerSnapshot:
    """Another container of a pod; one with an exit code has ended at 50."""
    if exit_code is not None:
        told = {"message": fields.pop("told", ""), "reason": fields.pop("why", "Error" if exit_code else "Completed")}
        signal = exit_code - 128 if exit_code > 128 else None
        fields["termination"] = Termination(exit_code, signal, started=at(2), finished=at(50), **told)
    return ContainerSnapshot(name, kind, **fields)


def failed_init(**fields: Any) -> PodSnapshot:
    """A pod whose init container has failed."""
    return pod(phase="Failed", others=(container("fetch", "init", **{"exit_code": 3} | fields),))


def running_pod(letter: str = "a", created: float = 1, **fields: Any) -> PodSnapshot:
    """A pod that works since one second after it was created."""
    return pod(letter, created, **{"phase": "Running", "running_since": at(created + 1)} | fields)


def ended_pod(
    letter: str = "a", created: float = 1, *, ended: float = 50, exit_code: int = 0, **fields: Any
) -> PodSnapshot:
    """A pod whose container has ended; `fields` may name the message, signal and reason of the container."""
    told = {
        "message": fields.pop("told", ""),
        "signal": fields.pop("signal", None),
        "reason": fields.pop("why", "Error" if exit_code else "Completed"),
    }
    termination = Termination(exit_code=exit_code, started=at(created + 1), finished=at(ended), **told)
    return pod(
        letter, created, **{"phase": "Failed" if exit_code else "Succeeded", "termination": termination} | fields
    )


def state(task: LongTask, now: float, **known: Any) -> TaskState:
    """What is known about the task at `now`."""
    return TaskState(task=task, now=at(now), policy=Policy(job_retention=RETENTION), **known)


def written(task: LongTask, plan: Plan) -> LongTask:
    """The task as the API server has it once the plan was carried out."""
    if plan.defer_status or task.is_terminal:
        return task
    stored = task.status.model_dump(mode="json", exclude_none=True)
    kept = {name: stored[name] for name in WORKS_OWN if name in stored}
    return task.model_copy(update={"status": LongTaskStatus.from_api(kept | owned(plan.status))})


@dataclass(frozen=True)
class Step:
    """A plan in short. `again` is look_again in seconds after ten."""

    phase: str | None
    message: str | None
    actions: tuple[str, ...] = ()
    again: float | None = None
    deferred: bool = False


def step(plan: Plan) -> Step:
    """The plan in short."""
    again = None if plan.look_again is None else (plan.look_again - at(0)).total_seconds()
    actions = tuple(_in_words(action) for action in plan.actions)
    return Step(plan.status.phase, plan.status.message, actions, again, plan.defer_status)


def _in_words(action: Action) -> str:
    match action:
        case CreateJob(manifest):
            return f"create {manifest['metadata']['name']}"
        case TakeCheckpoint(earlier):
            return f"take the checkpoint of {earlier.metadata.name}"
        case SetSuspend(job, suspend):
            return f"{'suspend' if suspend else 'resume'} {job.uid}"
        case StopRetries(job, limit):
            return f"stop retries of {job.uid}" + (f" after {limit}" if limit else "")
        case StopPod(pod):
            return f"stop {pod.name}"
        case DeleteJob(job):
            return f"delete {job.name} {job.uid}"
        case DeletePod(pod):
            return f"delete {pod.name}"
        case DeleteTask():
            return "delete task"
