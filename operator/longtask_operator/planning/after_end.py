"""A task that has ended: its Job goes after a while, its record later. Both wait for delivery and archive."""

from datetime import datetime, timedelta

from longtask_api.longtask import ConditionType
from longtask_operator.planning.stopping import delete_pods
from longtask_operator.planning.world import LOOK_AGAIN, Action, DeleteJob, DeleteTask, Plan, World


def after_end(world: World) -> Plan:
    task, job = world.task, world.job
    ended = task.status.completion_time or world.now
    held_until = ended if _is_told_and_kept(world) else ended + world.policy.delivery_patience
    actions: list[Action] = []
    waiting: list[datetime] = []
    at_work = [pod for pod in world.pods if not pod.ended]
    if job is None and world.pods:
        keep_until = max(held_until, ended + world.policy.job_retention)
        actions += delete_pods(world.pods if world.now >= keep_until else at_work)
        waiting.append(keep_until if world.now < keep_until else world.now + LOOK_AGAIN)
    if job is not None and not job.deleting:
        keep_until = max(held_until, ended + world.policy.job_retention) if job.finished else world.now
        if world.now >= keep_until:
            actions.append(DeleteJob(job))
        else:
            waiting.append(keep_until)
    expires = max(held_until, ended + timedelta(seconds=_time_to_live(world)))
    if world.now < expires:
        waiting.append(expires)
    elif at_work:
        waiting.append(world.now + LOOK_AGAIN)
    else:
        actions.append(DeleteTask())
    return Plan(task.status, tuple(actions), min(waiting, default=None))


def _is_told_and_kept(world: World) -> bool:
    """Whether nothing outside of the object waits for it any more: neither the session of an agent nor the archive."""
    task = world.task
    if task.is_record or task.is_taken_back:
        return True
    told = task.spec.memory is None or task.is_settled(ConditionType.DELIVERED)
    archives = task.spec.requester is not None and (world.policy.archives_all or task.spec.memory is not None)
    return told and (not archives or task.is_settled(ConditionType.ARCHIVED))


def _time_to_live(world: World) -> int:
    if world.task.spec.ttl_seconds_after_finished is not None:
        return world.task.spec.ttl_seconds_after_finished
    snapshot = world.task.status.template_snapshot
    return snapshot.ttl_seconds_after_finished if snapshot else 2592000
