"""A task whose Job has ended, or is gone: what came of it."""

import signal
from dataclasses import replace
from datetime import datetime, timedelta

from longtask_api.conditions import find, is_true
from longtask_api.longtask import ConditionType, Failure, JobRef, LongTaskStatus, Phase, TemplateSnapshot
from longtask_api.reports import Result
from longtask_operator.planning import activity, attempts, diagnosis, stall, statuses
from longtask_operator.planning.done import COMPLETED, decisive_pod, done_pod, is_done
from longtask_operator.planning.lookups import may_have_been_told_to_leave
from longtask_operator.planning.observed import JobView, PodView, newest, working_pod
from longtask_operator.planning.results import final_result, was_handed_in
from longtask_operator.planning.running import goes_on, settled
from longtask_operator.planning.stopping import delete_pods, silent_node, stop_pods
from longtask_operator.planning.world import LOOK_AGAIN, NEXT_STEP, QUIET, Action, Plan, World

EVENTS_ARE_LATE = timedelta(seconds=10)
"""How long the Events that tell of a probe may come after the end of the Job: kubelet tells them one after another."""


def job_gone(world: World, job: JobRef) -> Plan:
    held = world.task.spec.suspend
    status = statuses.recorded(world, statuses.observed(world, world.task.status), suspended=held)
    status = activity.opened(status, world.now)
    live = [pod for pod in world.pods if pod.job_uid == job.uid and not pod.ended]
    if live:
        return _without_its_job(world, status, live)
    done = done_pod(None, world.pods, status)
    ended = _seen_to_end(world, job, status)
    if done is not None and ended is not None and _may_hear_more(world, done, ended):
        return Plan(status, look_again=ended + QUIET, defer_status=True)
    snapshot = status.template_snapshot
    out_of_time = snapshot is not None and _was_out_of_time(world, job, status, snapshot)
    status = activity.paused(status, ended or world.now)
    if status.attempts and status.attempts[-1].reason == COMPLETED:
        return _done(world, world.now, status, done)
    if world.task.spec.cancel_requested:
        failure = _as_it_ended(world, job, statuses.cancelled("and its Job was removed"))
        return statuses.ended(world, status, Phase.CANCELLED, failure=failure, at=world.now)
    stalled = find(status.conditions, ConditionType.STALLED)
    if stalled is not None and status.attempts and status.attempts[-1].reason == diagnosis.STALLED:
        failure = _as_it_ended(world, job, diagnosis.for_silence(stall.afterwards(stalled), world.log))
        return statuses.ended(world, status, Phase.FAILED, failure=failure, at=world.now)
    if snapshot is not None and out_of_time:
        failure = _as_it_ended(world, job, statuses.out_of_time(world, snapshot))
        return statuses.ended(world, status, Phase.FAILED, failure=failure, at=world.now)
    return statuses.ended(world, status, Phase.FAILED, failure=_lost(world, job), at=world.now)


def _was_out_of_time(world: World, job: JobRef, status: LongTaskStatus, snapshot: TemplateSnapshot) -> bool:
    """Whether the work was stopped for its total deadline, or still to be done then. What nobody saw end was, if its
    Job was watched until then."""
    end = activity.deadline(status, activity.limit(world.task, snapshot))
    if end is None or world.now < end:
        return False
    pod, ended = _last_pod(world, job), _seen_to_end(world, job, status)
    if ended is None:
        return world.attended is None or world.attended <= end
    return ended >= end or (pod is not None and pod.deadline == 1)


def _seen_to_end(world: World, job: JobRef, status: LongTaskStatus) -> datetime | None:
    """When the last attempt ended, as its container told; None where nobody saw that, or another pod was to follow."""
    pod, last = _last_pod(world, job), status.attempts[-1] if status.attempts else None
    if last is None or last.exit_code is None or (pod is not None and pod.uid != last.pod_uid):
        return None
    return last.end_time


def _last_pod(world: World, job: JobRef) -> PodView | None:
    return newest(pod for pod in world.pods if pod.job_uid == job.uid)


_NOTHING: tuple[Action, ...] = ()


def _without_its_job(world: World, status: LongTaskStatus, live: list[PodView]) -> Plan:
    """Pods that somebody has left behind, or whose deletion is under way: what is to stop is stopped at the pods."""
    snapshot = status.template_snapshot
    end = activity.deadline(status, activity.limit(world.task, snapshot)) if snapshot is not None else None
    given_up = None
    if snapshot is not None and not any(pod.under_way for pod in live):
        given_up = max(pod.waits_since for pod in live) + timedelta(seconds=snapshot.start_timeout_seconds)
    why, actions = "", _NOTHING
    if world.task.spec.cancel_requested:
        why, actions = "cancelling: ", stop_pods(live)
    elif end is not None and world.now >= end:
        why, actions = "stopping, as activeDeadlineSeconds is over: ", stop_pods(live)
    elif given_up is not None and world.now >= given_up:
        why, actions = "stopping, as no pod has started to work: ", stop_pods(live)
    elif world.task.spec.suspend:
        why, actions = "suspending, which ends the task: ", delete_pods(live)
    silent = silent_node(world.now, live)
    message = f"{why}{silent.in_words if silent else 'the Job is gone; waiting for its pods to end'}"
    working = working_pod(live)
    until = settled(world, status.attempts[-1]) if status.attempts and working is None else None
    if until is not None and not why:
        return Plan(status, look_again=until, defer_status=True)
    if why or silent is not None or working is None:
        planned = Plan(statuses.unfinished(world, status, Phase.RUNNING, message, silent), actions)
    else:
        policy = snapshot.stall if snapshot is not None else None
        planned = goes_on(world, status, policy, message, working, stop_pods(live))
    due = [moment for moment in (end, given_up, planned.look_again) if moment is not None and moment > world.now]
    return replace(planned, look_again=min([*due, world.now + LOOK_AGAIN]))


def _lost(world: World, job: JobRef) -> Failure:
    pod = _last_pod(world, job)
    hint = "Start it again. To end work, cancel the task instead of deleting its Job."
    if pod is not None:
        ended = diagnosis.how_it_ended(pod, world.log)
        message = f"somebody deleted Job {job.name} before it ended{f'; its last attempt: {ended}' if ended else ''}"
        if world.task.spec.suspend and pod.deleted is not None:
            message = f"somebody deleted Job {job.name}, without which work that was suspended cannot go on"
    elif is_true(world.task.status.conditions, ConditionType.SUSPENDED):
        message = f"somebody deleted Job {job.name} while the task was suspended"
    else:
        message = f"somebody other than LongTask deleted Job {job.name}, and nobody saw how its work ended"
        hint = "See whether the work was done before you start it again: it may have been."
    return _as_it_ended(world, job, Failure(reason="JobLost", message=diagnosis.fitted(message), hint=hint))


def _as_it_ended(world: World, job: JobRef, failure: Failure) -> Failure:
    """The failure with what the last pod of a Job that is gone tells."""
    pod = _last_pod(world, job)
    ended = pod.decisive_termination if pod is not None else None
    return failure.model_copy(
        update={
            "log_tail": diagnosis.log_tail(world.log),
            "exit_code": ended.exit_code if ended else None,
            "signal": ended.signal if ended else None,
        }
    )


def completed(world: World, job: JobView, status: LongTaskStatus) -> Plan:
    """The Job controller has seen a pod succeed."""
    at = job.finished_at or world.now
    pod = decisive_pod(job, world.pods, status)
    if pod is not None and _may_hear_more(world, pod, at):
        return Plan(status, look_again=at + QUIET, defer_status=True)
    if pod is None or is_done(status, pod, complete=True):
        return _done(world, at, status, pod)
    ended_by = diagnosis.ended_by_kubelet(pod, world.events or ())
    failure = diagnosis.failure(job, pod, world.log, ended_by=ended_by)
    if world.task.spec.cancel_requested:
        return _cancelled(world, at, status, failure)
    return statuses.ended(world, status, Phase.FAILED, failure=failure, at=at)


def _may_hear_more(world: World, pod: PodView, at: datetime) -> bool:
    """Whether kubelet may still tell that it has ended the work, which left with 0 at that time."""
    return may_have_been_told_to_leave(world.task.status, pod) and world.is_near(at, QUIET)


def _done(world: World, at: datetime, status: LongTaskStatus, pod: PodView | None) -> Plan:
    result = final_result(status, pod)
    if isinstance(result, Failure):
        return statuses.ended(world, status, Phase.FAILED, failure=result, at=at)
    mismatch = result.mismatch if was_handed_in(result) else world.mismatch
    if mismatch is not None:
        return _invalid_result(world, at, status, result.model_copy(update={"mismatch": mismatch}))
    message = result.summary or "completed"
    if pod is None and not result.has_content:
        message = "completed, but its pod was gone before the result could be read"
    elif world.task.spec.cancel_requested:
        message = f"{message} (it had completed before the cancel reached it)"
    beside = diagnosis.failed_beside(pod) if pod is not None else None
    if beside is not None:
        message = f"{message} ({beside})"
    status = status.model_copy(update={"log_tail": diagnosis.log_tail(world.log, diagnosis.SHORT_LOG_TAIL_LIMIT)})
    return statuses.ended(world, status, Phase.SUCCEEDED, result=result, at=at, message=message)


def _invalid_result(world: World, at: datetime, status: LongTaskStatus, result: Result) -> Plan:
    what = "result does not fit" if result.has_content else "termination message is empty, which does not fit"
    if not was_handed_in(result) or (world.job is not None and world.job.result_schema is not None):
        what = f"{what} the template's resultSchema"
    kept = "It is kept in status.result. " if result.has_content else ""
    failure = Failure(
        reason="InvalidResult",
        message=diagnosis.fitted(f"the work succeeded but its {what}: {result.mismatch}"),
        log_tail=diagnosis.log_tail(world.log),
        hint=f"{kept}Correct what the work gives, or resultSchema in the LongTaskTemplate.",
    )
    return statuses.ended(world, status, Phase.FAILED, result=result, failure=failure, at=at)


def failed(world: World, job: JobView, status: LongTaskStatus, snapshot: TemplateSnapshot) -> Plan:
    at = job.finished_at or world.now
    pod = decisive_pod(job, world.pods, status)
    if pod is not None and is_done(status, pod):
        return _done(world, at, status, pod)
    seconds = activity.limit(world.task, snapshot)
    end = activity.deadline(status, seconds)
    last = attempts.failed_with(job, status) if pod is None else None
    if last is not None and last.reason == COMPLETED:
        return _done(world, at, status, None)
    stopped = pod.deadline == 1 if pod is not None else last is not None and last.reason == "DeadlineExceeded"
    over = end is not None and at >= end
    cancelled = world.task.spec.cancel_requested
    stalled = stall.ended_by(status, pod, cancelled=cancelled, deadline=end) if pod is not None else None
    ended_by = diagnosis.ended_by_kubelet(pod, world.events or ()) if pod is not None else None
    if ended_by is None and world.events is not None and world.is_near(at, EVENTS_ARE_LATE):
        return Plan(status, look_again=world.now + NEXT_STEP, defer_status=True)
    failure = diagnosis.failure(
        job,
        pod,
        world.log,
        last=last,
        ended_by=ended_by,
        total_deadline=statuses.out_of_time(world, snapshot) if over and stopped else None,
        stalled=stall.afterwards(stalled) if stalled is not None else None,
        memory=_last_memory(status, pod),
    )
    if pod is not None and ended_by is not None:
        status = _as_kubelet_says(status, pod, ended_by)
    if over and not stopped and failure.reason != "DeadlineExceeded":
        message = f"{failure.message}; there was no further attempt, as activeDeadlineSeconds ({seconds} s) was over"
        failure = failure.model_copy(update={"message": diagnosis.fitted(message)})
    if cancelled:
        return _cancelled(world, at, status, failure)
    return statuses.ended(world, status, Phase.FAILED, failure=failure, at=at)


def _as_kubelet_says(status: LongTaskStatus, pod: PodView, ended_by: diagnosis.Trouble) -> LongTaskStatus:
    """Only Events tell for what kubelet ended the attempt in the pod."""
    said = {"reason": ended_by.reason, "message": diagnosis.fitted(ended_by.message, diagnosis.ATTEMPT_TEXT_LIMIT)}
    attempts = [each.model_copy(update=said) if each.pod_uid == pod.uid else each for each in status.attempts]
    return status.model_copy(update={"attempts": attempts})


def _cancelled(world: World, at: datetime, status: LongTaskStatus, failure: Failure) -> Plan:
    killed = failure.signal == signal.SIGKILL and failure.reason == "DeadlineExceeded"
    how = "; it did not leave when it was asked to (SIGTERM), and was killed when its grace period was over"
    cancelled = statuses.cancelled(f"while it ran{how if killed else ''}").model_copy(
        update={"log_tail": failure.log_tail, "exit_code": failure.exit_code, "signal": failure.signal}
    )
    return statuses.ended(world, status, Phase.CANCELLED, failure=cancelled, at=at)


def _last_memory(status: LongTaskStatus, pod: PodView | None) -> int | None:
    """What the attempt in the pod last told to use, in bytes."""
    if pod is None or status.progress is None:
        return None
    told = next((each for each in status.attempts if each.number == status.progress.attempt), None)
    return status.progress.memory_bytes if told is not None and told.pod_uid == pod.uid else None
