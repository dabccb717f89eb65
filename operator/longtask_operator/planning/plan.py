"""The next step for a task."""

from longtask_api.longtask import ConditionType, JobRef
from longtask_operator.planning import after_end, at_end, at_work, before_start, statuses
from longtask_operator.planning.observed import JobView
from longtask_operator.planning.world import Plan, World


def plan(world: World) -> Plan:
    """The next step for the task. Running it again, or after a crash at any point, is right."""
    status = world.task.status
    if world.task.metadata.deletion_timestamp is not None:
        return Plan(status)
    if world.task.is_terminal:
        return after_end.after_end(world)
    if world.job is not None:
        return _with_job(world, world.job)
    if status.job_ref is not None:
        return at_end.job_gone(world, status.job_ref)
    return before_start.before_start(world)


def _with_job(world: World, job: JobView) -> Plan:
    snapshot = job.snapshot or world.task.status.template_snapshot
    if snapshot is None:
        return Plan(world.task.status)
    status = statuses.observed(world, world.task.status).model_copy(
        update={"job_ref": JobRef(name=job.name, uid=job.uid), "template_snapshot": snapshot}
    )
    status = statuses.with_condition(world, status, ConditionType.ACCEPTED, "True", "Accepted", "")
    status = statuses.recorded(world, status, suspended=job.suspend)
    if job.complete:
        return at_end.completed(world, job, status)
    if job.failed_reason is not None:
        return at_end.failed(world, job, status, snapshot)
    return at_work.at_work(world, job, status, snapshot)
