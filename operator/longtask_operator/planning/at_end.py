"""A task whose Job has ended, or is gone: what came of it."""

from datetime import datetime

from longtask_api.longtask import Failure, JobRef, LongTaskStatus, Phase, Result, TemplateSnapshot
from longtask_operator.planning import activity, diagnosis, statuses
from longtask_operator.planning.observed import JobView
from longtask_operator.planning.results import read_result
from longtask_operator.planning.world import LOOK_AGAIN, Plan, World


def job_gone(world: World, job: JobRef) -> Plan:
    status = statuses.recorded(world, statuses.observed(world, world.task.status), suspended=False)
    status = activity.opened(status, world.now)
    if any(pod.job_uid == job.uid and not pod.ended for pod in world.pods):
        message = "the Job is gone; waiting for its pods to end"
        return Plan(statuses.unfinished(world, status, Phase.RUNNING, message), look_again=world.now + LOOK_AGAIN)
    if any(pod.job_uid == job.uid and pod.phase == "Succeeded" for pod in world.pods):
        return completed(world, world.now, status)
    if world.task.spec.cancel_requested:
        failure = statuses.cancelled("and its Job was removed")
        return statuses.ended(world, status, Phase.CANCELLED, failure=failure, at=world.now)
    snapshot = status.template_snapshot
    seconds = activity.limit(world.task, snapshot) if snapshot else 0
    end = activity.deadline(status, seconds)
    if snapshot is not None and end is not None and world.now >= end:
        failure = diagnosis.over_total_deadline(seconds)
        return statuses.ended(world, status, Phase.FAILED, failure=failure, at=world.now)
    failure = Failure(
        reason="JobLost",
        message=f"Job {job.name} was deleted before it ended, by somebody other than LongTask",
        hint="Start it again. To end work, cancel the task instead of deleting its Job.",
    )
    return statuses.ended(world, status, Phase.FAILED, failure=failure, at=world.now)


def completed(world: World, at: datetime, status: LongTaskStatus) -> Plan:
    pod = next((pod for pod in statuses.newest_first(world.pods) if pod.phase == "Succeeded"), None)
    if pod is None:
        note = "completed, but its pod was gone before the result could be read"
        return statuses.ended(world, status, Phase.SUCCEEDED, result=Result(), at=at, message=note)
    outcome = read_result(pod.termination.message if pod.termination else "")
    if isinstance(outcome, Failure):
        return statuses.ended(world, status, Phase.FAILED, failure=outcome, at=at)
    message = outcome.summary or "completed"
    if world.task.spec.cancel_requested:
        message = f"{message} (it had completed before the cancel reached it)"
    return statuses.ended(world, status, Phase.SUCCEEDED, result=outcome, at=at, message=message)


def failed(world: World, job: JobView, status: LongTaskStatus, snapshot: TemplateSnapshot) -> Plan:
    at = job.finished_at or world.now
    pod = next(iter(statuses.newest_first(world.pods)), None)
    seconds = activity.limit(world.task, snapshot)
    end = activity.deadline(status, seconds)
    stopped = pod is not None and pod.deadline == 1
    over = end is not None and at >= end
    failure = diagnosis.failure(job, pod, world.log, total_deadline=seconds if over and stopped else None)
    if over and not stopped and failure.reason != "DeadlineExceeded":
        message = f"{failure.message}; there was no further attempt, as activeDeadlineSeconds ({seconds} s) was over"
        failure = failure.model_copy(update={"message": diagnosis.fitted(message)})
    if world.task.spec.cancel_requested:
        cancelled = statuses.cancelled("while it ran").model_copy(
            update={"log_tail": failure.log_tail, "exit_code": failure.exit_code, "signal": failure.signal}
        )
        return statuses.ended(world, status, Phase.CANCELLED, failure=cancelled, at=at)
    return statuses.ended(world, status, Phase.FAILED, failure=failure, at=at)
