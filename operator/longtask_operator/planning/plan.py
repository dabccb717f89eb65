"""Decides the next step for a task."""

from longtask_api import constants
from longtask_api.conditions import is_true
from longtask_api.longtask import ConditionType, JobRef, Phase
from longtask_operator.planning import active_time, cleanup, finished, pending, running, task_status
from longtask_operator.planning.actions import Plan
from longtask_operator.planning.snapshots import JobSnapshot
from longtask_operator.planning.state import TaskState
from longtask_operator.planning.stopping import delete_pods


def plan(state: TaskState) -> Plan:
    """Return the next step for the task. It is safe to repeat at any time, also after a crash."""
    task = state.task
    reference = task.status.job_ref
    if task.metadata.deletion_timestamp is not None:
        return Plan(task.status, delete_pods(pod for pod in state.pods if pod.orphaned))
    if task.is_terminal:
        return cleanup.cleanup_plan(state)
    if state.job is not None and (reference is None or state.job.uid == reference.uid):
        return _with_job(state, state.job)
    known = pending.bound(state)
    if known.task.status.job_ref is not None:
        return finished.job_gone(known, known.task.status.job_ref)
    return pending.pending_plan(state)


def _with_job(state: TaskState, job: JobSnapshot) -> Plan:
    snapshot = job.snapshot or state.task.status.template_snapshot
    if snapshot is None:
        status = task_status.with_generation(state, state.task.status)
        return Plan(task_status.in_progress(state, status, Phase.PENDING, _without_terms(job)))
    status = task_status.with_generation(state, state.task.status).model_copy(
        update={"job_ref": JobRef(name=job.name, uid=job.uid), "template_snapshot": snapshot}
    )
    status = task_status.with_condition(state, status, ConditionType.ACCEPTED, "True", "Accepted", "")
    status = task_status.with_attempts(state, status, suspended=job.suspend)
    if not (job.suspend and is_true(status.conditions, ConditionType.SUSPENDED)):
        status = active_time.started(status, state.now)
    if job.complete:
        return finished.completed(state, job, status)
    if job.failed_reason is not None:
        return finished.failed(state, job, status, snapshot)
    return running.running_plan(state, job, status, snapshot)


def _without_terms(job: JobSnapshot) -> str:
    """Message for a Job if its snapshot annotation became unreadable before it was copied to status."""
    return (
        f"the terms of Job {job.name} are not known: its annotation {constants.ANNOTATION_SNAPSHOT} cannot be read. "
        "Put it back as it was, or delete this task and start another one."
    )
