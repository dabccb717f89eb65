"""Plans for a task whose Job has finished or no longer exists: determines how the task ended."""

import signal
from dataclasses import replace
from datetime import datetime, timedelta

from longtask_api.conditions import find, is_true
from longtask_api.longtask import ConditionType, Failure, JobRef, LongTaskStatus, Phase, TemplateSnapshot
from longtask_api.reports import Result
from longtask_operator.planning import active_time, attempts, failure_reasons, stall, task_status
from longtask_operator.planning.actions import Action, Plan
from longtask_operator.planning.done import COMPLETED, decisive_pod, done_pod, is_done
from longtask_operator.planning.live_pod import continue_work, settle_until
from longtask_operator.planning.lookups import may_be_ended_early
from longtask_operator.planning.pod_selection import newest, working_pod
from longtask_operator.planning.policy import LOOK_AGAIN, NEXT_STEP, QUIET
from longtask_operator.planning.results import final_result, was_handed_in
from longtask_operator.planning.snapshots import JobSnapshot, PodSnapshot
from longtask_operator.planning.state import TaskState
from longtask_operator.planning.stopping import delete_pods, silent_node, stop_pods

EVENTS_ARE_LATE = timedelta(seconds=10)
"""How long after the end of the Job to wait for Events about a failed probe: kubelet posts Events one at a time."""


def job_gone(state: TaskState, job: JobRef) -> Plan:
    """Plan for a task whose Job no longer exists: wait for pods that are still live, else end the task."""
    held = state.task.spec.suspend
    status = task_status.with_attempts(state, task_status.with_generation(state, state.task.status), suspended=held)
    status = active_time.started(status, state.now)
    live = [pod for pod in state.pods if pod.job_uid == job.uid and not pod.ended]
    if live:
        return _without_its_job(state, status, live)
    done = done_pod(None, state.pods, status)
    ended = _seen_to_end(state, job, status)
    if done is not None and ended is not None and _may_hear_more(state, done, ended):
        return Plan(status, look_again=ended + QUIET, defer_status=True)
    snapshot = status.template_snapshot
    out_of_time = snapshot is not None and _was_out_of_time(state, job, status, snapshot)
    status = active_time.stopped(status, ended or state.now)
    if status.attempts and status.attempts[-1].reason == COMPLETED:
        return _done(state, state.now, status, done)
    if state.task.spec.cancel_requested:
        failure = _as_it_ended(state, job, task_status.cancelled("and its Job was removed"))
        return task_status.terminal(state, status, Phase.CANCELLED, failure=failure, at=state.now)
    stalled = find(status.conditions, ConditionType.STALLED)
    if stalled is not None and status.attempts and status.attempts[-1].reason == failure_reasons.STALLED:
        failure = _as_it_ended(state, job, failure_reasons.for_silence(stall.afterwards(stalled), state.log))
        return task_status.terminal(state, status, Phase.FAILED, failure=failure, at=state.now)
    if snapshot is not None and out_of_time:
        failure = _as_it_ended(state, job, task_status.out_of_time(state, snapshot))
        return task_status.terminal(state, status, Phase.FAILED, failure=failure, at=state.now)
    return task_status.terminal(state, status, Phase.FAILED, failure=_lost(state, job), at=state.now)


def _was_out_of_time(state: TaskState, job: JobRef, status: LongTaskStatus, snapshot: TemplateSnapshot) -> bool:
    """Whether the work was stopped for its total deadline, or ended no earlier than that.

    If its end was not observed, true if an operator has been running since before the deadline.
    """
    end = active_time.deadline(status, active_time.limit(state.task, snapshot))
    if end is None or state.now < end:
        return False
    pod, ended = _last_pod(state, job), _seen_to_end(state, job, status)
    if ended is None:
        return state.attended is None or state.attended <= end
    return ended >= end or (pod is not None and pod.deadline == 1)


def _seen_to_end(state: TaskState, job: JobRef, status: LongTaskStatus) -> datetime | None:
    """End of the last attempt as its container status says; None if it was not observed, or if a newer pod exists."""
    pod, last = _last_pod(state, job), status.attempts[-1] if status.attempts else None
    if last is None or last.exit_code is None or (pod is not None and pod.uid != last.pod_uid):
        return None
    return last.end_time


def _last_pod(state: TaskState, job: JobRef) -> PodSnapshot | None:
    return newest(pod for pod in state.pods if pod.job_uid == job.uid)


_NOTHING: tuple[Action, ...] = ()


def _without_its_job(state: TaskState, status: LongTaskStatus, live: list[PodSnapshot]) -> Plan:
    """Plan for live pods without their Job, orphaned or being deleted: stopping acts on the pods themselves."""
    snapshot = status.template_snapshot
    end = active_time.deadline(status, active_time.limit(state.task, snapshot)) if snapshot is not None else None
    given_up = None
    if snapshot is not None and not any(pod.under_way for pod in live):
        given_up = max(pod.waits_since for pod in live) + timedelta(seconds=snapshot.start_timeout_seconds)
    why, actions = "", _NOTHING
    if state.task.spec.cancel_requested:
        why, actions = "cancelling: ", stop_pods(live)
    elif end is not None and state.now >= end:
        why, actions = "stopping, as activeDeadlineSeconds is over: ", stop_pods(live)
    elif given_up is not None and state.now >= given_up:
        why, actions = "stopping, as no pod has started to work: ", stop_pods(live)
    elif state.task.spec.suspend:
        why, actions = "suspending, which ends the task: ", delete_pods(live)
    silent = silent_node(state.now, live)
    message = f"{why}{silent.in_words if silent else 'the Job is gone; waiting for its pods to end'}"
    working = working_pod(live)
    until = settle_until(state, status.attempts[-1]) if status.attempts and working is None else None
    if until is not None and not why:
        return Plan(status, look_again=until, defer_status=True)
    if why or silent is not None or working is None:
        planned = Plan(task_status.in_progress(state, status, Phase.RUNNING, message, silent), actions)
    else:
        policy = snapshot.stall if snapshot is not None else None
        planned = continue_work(state, status, policy, message, working, stop_pods(live))
    due = [moment for moment in (end, given_up, planned.look_again) if moment is not None and moment > state.now]
    return replace(planned, look_again=min([*due, state.now + LOOK_AGAIN]))


def _lost(state: TaskState, job: JobRef) -> Failure:
    pod = _last_pod(state, job)
    hint = "Start it again. To end work, cancel the task instead of deleting its Job."
    if pod is not None:
        ended = failure_reasons.how_it_ended(pod, state.log)
        message = f"somebody deleted Job {job.name} before it ended{f'; its last attempt: {ended}' if ended else ''}"
        if state.task.spec.suspend and pod.deleted is not None:
            message = f"somebody deleted Job {job.name}, without which work that was suspended cannot go on"
    elif is_true(state.task.status.conditions, ConditionType.SUSPENDED):
        message = f"somebody deleted Job {job.name} while the task was suspended"
    else:
        message = f"somebody other than LongTask deleted Job {job.name}, and nobody saw how its work ended"
        hint = "See whether the work was done before you start it again: it may have been."
    return _as_it_ended(state, job, Failure(reason="JobLost", message=failure_reasons.fitted(message), hint=hint))


def _as_it_ended(state: TaskState, job: JobRef, failure: Failure) -> Failure:
    """The failure with log tail, exit code and signal of the missing Job's last pod."""
    pod = _last_pod(state, job)
    ended = pod.decisive_termination if pod is not None else None
    return failure.model_copy(
        update={
            "log_tail": failure_reasons.log_tail(state.log),
            "exit_code": ended.exit_code if ended else None,
            "signal": ended.signal if ended else None,
        }
    )


def completed(state: TaskState, job: JobSnapshot, status: LongTaskStatus) -> Plan:
    """Plan for a Job with condition Complete: the Job controller saw a pod succeed."""
    at = job.finished_at or state.now
    pod = decisive_pod(job, state.pods, status)
    if pod is not None and _may_hear_more(state, pod, at):
        return Plan(status, look_again=at + QUIET, defer_status=True)
    if pod is None or is_done(status, pod, complete=True):
        return _done(state, at, status, pod)
    ended_by = failure_reasons.ended_by_kubelet(pod, state.events or ())
    failure = failure_reasons.failure(job, pod, state.log, ended_by=ended_by)
    if state.task.spec.cancel_requested:
        return _cancelled(state, at, status, failure)
    return task_status.terminal(state, status, Phase.FAILED, failure=failure, at=at)


def _may_hear_more(state: TaskState, pod: PodSnapshot, at: datetime) -> bool:
    """Whether an Event may still arrive saying that kubelet ended the work, which exited with code 0 at `at`."""
    return may_be_ended_early(state.task.status, pod) and state.is_near(at, QUIET)


def _done(state: TaskState, at: datetime, status: LongTaskStatus, pod: PodSnapshot | None) -> Plan:
    result = final_result(status, pod)
    if isinstance(result, Failure):
        return task_status.terminal(state, status, Phase.FAILED, failure=result, at=at)
    mismatch = result.mismatch if was_handed_in(result) else state.mismatch
    if mismatch is not None:
        return _invalid_result(state, at, status, result.model_copy(update={"mismatch": mismatch}))
    message = result.summary or "completed"
    if pod is None and not result.has_content:
        message = "completed, but its pod was gone before the result could be read"
    elif state.task.spec.cancel_requested:
        message = f"{message} (it had completed before the cancel reached it)"
    beside = failure_reasons.failed_beside(pod) if pod is not None else None
    if beside is not None:
        message = f"{message} ({beside})"
    status = status.model_copy(
        update={"log_tail": failure_reasons.log_tail(state.log, failure_reasons.SHORT_LOG_TAIL_LIMIT)}
    )
    return task_status.terminal(state, status, Phase.SUCCEEDED, result=result, at=at, message=message)


def _invalid_result(state: TaskState, at: datetime, status: LongTaskStatus, result: Result) -> Plan:
    what = "result does not fit" if result.has_content else "termination message is empty, which does not fit"
    if not was_handed_in(result) or (state.job is not None and state.job.result_schema is not None):
        what = f"{what} the template's resultSchema"
    kept = "It is kept in status.result. " if result.has_content else ""
    failure = Failure(
        reason="InvalidResult",
        message=failure_reasons.fitted(f"the work succeeded but its {what}: {result.mismatch}"),
        log_tail=failure_reasons.log_tail(state.log),
        hint=f"{kept}Correct what the work gives, or resultSchema in the LongTaskTemplate.",
    )
    return task_status.terminal(state, status, Phase.FAILED, result=result, failure=failure, at=at)


def failed(state: TaskState, job: JobSnapshot, status: LongTaskStatus, snapshot: TemplateSnapshot) -> Plan:
    """Plan for a Job with condition Failed: the work failed or was stopped, unless it was done before."""
    at = job.finished_at or state.now
    pod = decisive_pod(job, state.pods, status)
    if pod is not None and is_done(status, pod):
        return _done(state, at, status, pod)
    seconds = active_time.limit(state.task, snapshot)
    end = active_time.deadline(status, seconds)
    last = attempts.failed_with(job, status) if pod is None else None
    if last is not None and last.reason == COMPLETED:
        return _done(state, at, status, None)
    stopped = pod.deadline == 1 if pod is not None else last is not None and last.reason == "DeadlineExceeded"
    over = end is not None and at >= end
    cancelled = state.task.spec.cancel_requested
    stalled = stall.ended_by(status, pod, cancelled=cancelled, deadline=end) if pod is not None else None
    ended_by = failure_reasons.ended_by_kubelet(pod, state.events or ()) if pod is not None else None
    if ended_by is None and state.events is not None and state.is_near(at, EVENTS_ARE_LATE):
        return Plan(status, look_again=state.now + NEXT_STEP, defer_status=True)
    failure = failure_reasons.failure(
        job,
        pod,
        state.log,
        last=last,
        ended_by=ended_by,
        total_deadline=task_status.out_of_time(state, snapshot) if over and stopped else None,
        stalled=stall.afterwards(stalled) if stalled is not None else None,
        memory=_last_memory(status, pod),
    )
    if pod is not None and ended_by is not None:
        status = _as_kubelet_says(status, pod, ended_by)
    if over and not stopped and failure.reason != "DeadlineExceeded":
        message = f"{failure.message}; there was no further attempt, as activeDeadlineSeconds ({seconds} s) was over"
        failure = failure.model_copy(update={"message": failure_reasons.fitted(message)})
    if cancelled:
        return _cancelled(state, at, status, failure)
    return task_status.terminal(state, status, Phase.FAILED, failure=failure, at=at)


def _as_kubelet_says(
    status: LongTaskStatus, pod: PodSnapshot, ended_by: failure_reasons.StartProblem
) -> LongTaskStatus:
    """Record the probe or hook that ended the pod's attempt; only Events contain it."""
    said = {
        "reason": ended_by.reason,
        "message": failure_reasons.fitted(ended_by.message, failure_reasons.ATTEMPT_TEXT_LIMIT),
    }
    attempts = [each.model_copy(update=said) if each.pod_uid == pod.uid else each for each in status.attempts]
    return status.model_copy(update={"attempts": attempts})


def _cancelled(state: TaskState, at: datetime, status: LongTaskStatus, failure: Failure) -> Plan:
    killed = failure.signal == signal.SIGKILL and failure.reason == "DeadlineExceeded"
    how = "; it did not leave when it was asked to (SIGTERM), and was killed when its grace period was over"
    cancelled = task_status.cancelled(f"while it ran{how if killed else ''}").model_copy(
        update={"log_tail": failure.log_tail, "exit_code": failure.exit_code, "signal": failure.signal}
    )
    return task_status.terminal(state, status, Phase.CANCELLED, failure=cancelled, at=at)


def _last_memory(status: LongTaskStatus, pod: PodSnapshot | None) -> int | None:
    """Memory that the pod's attempt last reported to use, in bytes."""
    if pod is None or status.progress is None:
        return None
    told = next((each for each in status.attempts if each.number == status.progress.attempt), None)
    return status.progress.memory_bytes if told is not None and told.pod_uid == pod.uid else None
