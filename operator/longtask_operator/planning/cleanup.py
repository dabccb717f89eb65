"""Cleanup of a terminal task: deletes its Job, and later the task itself. Both wait for delivery, archiving and
notifications.
"""

from datetime import datetime, timedelta

from longtask_api.longtask import ConditionType
from longtask_operator.planning import notifications
from longtask_operator.planning.actions import Action, DeleteJob, DeleteTask, Plan
from longtask_operator.planning.policy import LOOK_AGAIN
from longtask_operator.planning.state import TaskState
from longtask_operator.planning.stopping import delete_pods


def cleanup_plan(state: TaskState) -> Plan:
    """Plan the deletion of a terminal task's Job, orphaned pods and record, each once its retention time is over.

    Running pods and unfinished Jobs are deleted at once.
    """
    task, job = state.task, state.job
    ended = task.status.completion_time or state.now
    held_until = ended if _is_settled(state) else ended + state.policy.delivery_timeout
    actions: list[Action] = []
    waiting: list[datetime] = []
    at_work = [pod for pod in state.pods if not pod.ended]
    if job is None and state.pods:
        keep_until = max(held_until, ended + state.policy.job_retention)
        actions += delete_pods(state.pods if state.now >= keep_until else at_work)
        waiting.append(keep_until if state.now < keep_until else state.now + LOOK_AGAIN)
    if job is not None and not job.deleting:
        keep_until = max(held_until, ended + state.policy.job_retention) if job.finished else state.now
        if state.now >= keep_until:
            actions.append(DeleteJob(job))
        else:
            waiting.append(keep_until)
    expires = max(held_until, ended + timedelta(seconds=_time_to_live(state)))
    if state.now < expires:
        waiting.append(expires)
    elif at_work:
        waiting.append(state.now + LOOK_AGAIN)
    else:
        actions.append(DeleteTask())
    return Plan(task.status, tuple(actions), min(waiting, default=None))


def _is_settled(state: TaskState) -> bool:
    """Whether delivery to the session, archiving and notifications are settled, or not required."""
    task = state.task
    if task.is_record or task.is_taken_back:
        return True
    delivered = task.spec.memory is None or task.is_settled(ConditionType.DELIVERED)
    archives = task.spec.requester is not None and (state.policy.archives_all or task.spec.memory is not None)
    archived = not archives or task.is_settled(ConditionType.ARCHIVED)
    return delivered and archived and notifications.is_settled(task, state.policy.sinks, state.now)


def _time_to_live(state: TaskState) -> int:
    if state.task.spec.ttl_seconds_after_finished is not None:
        return state.task.spec.ttl_seconds_after_finished
    snapshot = state.task.status.template_snapshot
    return snapshot.ttl_seconds_after_finished if snapshot else 2592000
