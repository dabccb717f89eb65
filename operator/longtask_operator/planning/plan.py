"""The next step for a task."""

from longtask_api import names
from longtask_api.conditions import is_true
from longtask_api.longtask import ConditionType, JobRef, Phase
from longtask_operator.planning import activity, after_end, at_end, at_work, before_start, statuses
from longtask_operator.planning.observed import JobView
from longtask_operator.planning.stopping import delete_pods
from longtask_operator.planning.world import Plan, World


def plan(world: World) -> Plan:
    """The next step for the task. Running it again, or after a crash at any point, is right."""
    task = world.task
    reference = task.status.job_ref
    if task.metadata.deletion_timestamp is not None:
        return Plan(task.status, delete_pods(pod for pod in world.pods if pod.orphaned))
    if task.is_terminal:
        return after_end.after_end(world)
    if world.job is not None and (reference is None or world.job.uid == reference.uid):
        return _with_job(world, world.job)
    known = before_start.bound(world)
    if known.task.status.job_ref is not None:
        return at_end.job_gone(known, known.task.status.job_ref)
    return before_start.before_start(world)


def _with_job(world: World, job: JobView) -> Plan:
    snapshot = job.snapshot or world.task.status.template_snapshot
    if snapshot is None:
        status = statuses.observed(world, world.task.status)
        return Plan(statuses.unfinished(world, status, Phase.PENDING, _without_terms(job)))
    status = statuses.observed(world, world.task.status).model_copy(
        update={"job_ref": JobRef(name=job.name, uid=job.uid), "template_snapshot": snapshot}
    )
    status = statuses.with_condition(world, status, ConditionType.ACCEPTED, "True", "Accepted", "")
    status = statuses.recorded(world, status, suspended=job.suspend)
    if not (job.suspend and is_true(status.conditions, ConditionType.SUSPENDED)):
        status = activity.opened(status, world.now)
    if job.complete:
        return at_end.completed(world, job, status)
    if job.failed_reason is not None:
        return at_end.failed(world, job, status, snapshot)
    return at_work.at_work(world, job, status, snapshot)


def _without_terms(job: JobView) -> str:
    """Of a Job whose annotation was made unreadable before status had it too."""
    return (
        f"the terms of Job {job.name} are not known: its annotation {names.ANNOTATION_SNAPSHOT} cannot be read. Put it "
        "back as it was, or delete this task and start another one."
    )
