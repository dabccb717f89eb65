"""Plans for a task whose Job has not finished: it starts, runs, is suspended, or is being stopped."""

from dataclasses import replace
from datetime import timedelta

from longtask_api.base import rfc3339
from longtask_api.conditions import find
from longtask_api.longtask import (
    Attempt,
    ConditionType,
    Failure,
    LongTaskStatus,
    Phase,
    StallAction,
    StallPolicy,
    TemplateSnapshot,
)
from longtask_operator.planning import active_time, failure_reasons, task_status
from longtask_operator.planning.actions import Action, DeleteJob, Plan, SetSuspend, StopPod, StopRetries
from longtask_operator.planning.attempts import how_it_ended
from longtask_operator.planning.done import COMPLETED, done_pod, is_done
from longtask_operator.planning.failure_reasons import StartProblem
from longtask_operator.planning.live_pod import continue_work, settle_until
from longtask_operator.planning.pod_selection import newest, working_pod
from longtask_operator.planning.policy import LOOK_AGAIN, NODE_SILENCE, QUIET
from longtask_operator.planning.snapshots import JobSnapshot, PodSnapshot
from longtask_operator.planning.state import TaskState
from longtask_operator.planning.stopping import silent_node, stop_pods


def running_plan(state: TaskState, job: JobSnapshot, status: LongTaskStatus, snapshot: TemplateSnapshot) -> Plan:
    """Plan for a task whose Job has not finished; `status` has its attempts up to date."""
    task, live = state.task, [pod for pod in state.pods if not pod.ended]
    done = done_pod(job, state.pods, status)
    if done is not None and done.phase == "Failed":
        return _stopping(state, job, status, Phase.RUNNING, "the work is done; ending its Job")
    if task.spec.cancel_requested:
        phase = Phase.RUNNING if any(pod.started for pod in live) else Phase.PENDING
        return _stopping(state, job, status, phase, "cancelling")
    # A Job suspended by others (Kueue, a user) is theirs to resume. If they resume one that LongTask had suspended,
    # its annotation must still be reset: otherwise the next suspension would look done.
    hold = task.spec.suspend and not job.suspend and not job.held
    if hold or (not task.spec.suspend and job.held):
        return Plan(task.status, (SetSuspend(job, hold),), look_again=state.now + LOOK_AGAIN)
    if job.suspend:
        return _held(state, job, status, live)
    status = task_status.with_condition_if_set(state, status, ConditionType.SUSPENDED, "False", "Resumed")
    end = active_time.deadline(status, active_time.limit(task, snapshot))
    if end is not None and state.now >= end:
        return _stopping(state, job, status, Phase.RUNNING, "stopping: activeDeadlineSeconds is over")
    if (status.disruption_count or 0) > snapshot.max_disruptions:
        return _too_many_disruptions(state, status, snapshot)
    after = _state(state, job, status, snapshot, live)
    if task.spec.suspend:
        let_go = f"{after.status.message}; spec.suspend is true, but somebody else has let Job {job.name} go on"
        after = replace(after, status=after.status.model_copy(update={"message": failure_reasons.fitted(let_go)}))
    return replace(after, look_again=min((t for t in (after.look_again, end) if t is not None), default=None))


def _by_others(status: LongTaskStatus) -> bool:
    held = find(status.conditions, ConditionType.SUSPENDED)
    return held is not None and held.status == "True" and held.reason == HELD_BY_OTHERS


SUSPENDED, HELD_BY_OTHERS = "Suspended", "HeldByOthers"
"""Reasons of the Suspended condition while it is True."""


def _stopping(state: TaskState, job: JobSnapshot, status: LongTaskStatus, phase: Phase, why: str) -> Plan:
    silent = silent_node(state.now, state.pods)
    message = f"{why}, but {silent.message}. {silent.hint}" if silent else why
    stopping = task_status.in_progress(state, status, phase, message, silent)
    return Plan(stopping, _stop(job, state.pods), look_again=state.now + LOOK_AGAIN)


def _stop(job: JobSnapshot, pods: tuple[PodSnapshot, ...]) -> tuple[Action, ...]:
    """End the work and keep the logs of its attempts. If nothing has run there is no log, and the Job is deleted.

    A Job that has failed more often than it may ends at once, and its controller deletes the pod that still runs
    (https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-backoff-failure-policy). So it may fail as often
    as it has until that pod has ended; a pod without a node, which takes no deadline, is left to the controller.
    """
    live = [pod for pod in pods if not pod.ended]
    if job.deleting:
        return stop_pods(live)
    placed = [pod for pod in live if pod.node is not None]
    nothing_ran = not job.failures and (all(pod.gone for pod in pods) or len(placed) < len(live))
    if job.suspend or nothing_ran:
        return (DeleteJob(job),)
    limit = job.failures if placed else 0
    retries: tuple[Action, ...] = (StopRetries(job, limit),) if job.backoff_limit > limit else ()
    return retries + tuple(StopPod(pod) for pod in placed if pod.deadline is None or pod.deadline > 1)


def _held(state: TaskState, job: JobSnapshot, status: LongTaskStatus, live: list[PodSnapshot]) -> Plan:
    if live or job.terminating:
        silent = silent_node(state.now, live)
        message = silent.message if silent else "suspending: waiting for the pod to end"
        suspending = task_status.in_progress(state, status, Phase.RUNNING, message, silent)
        return Plan(suspending, look_again=state.now + LOOK_AGAIN)
    phase, message = Phase.SUSPENDED, "suspended; set spec.suspend to false to go on"
    if not state.task.spec.suspend:
        phase, message = Phase.QUEUED, f"queued: somebody other than LongTask holds Job {job.name}; they let it go on"
    reason = SUSPENDED if state.task.spec.suspend and not _by_others(status) else HELD_BY_OTHERS
    status = active_time.stopped(status, job.suspended_since or state.now)
    status = task_status.with_condition(state, status, ConditionType.SUSPENDED, "True", reason, message)
    status = task_status.with_condition_if_set(state, status, ConditionType.STALLED, "False", "Suspended")
    return Plan(task_status.in_progress(state, status, phase, message))


def _state(
    state: TaskState, job: JobSnapshot, status: LongTaskStatus, snapshot: TemplateSnapshot, live: list[PodSnapshot]
) -> Plan:
    """Plan for a Job that is not suspended: running, or waiting for a pod to start."""
    silent = silent_node(state.now, live)
    if silent is not None:
        return Plan(task_status.in_progress(state, status, Phase.RUNNING, silent.in_words, silent))
    if not any(pod.under_way for pod in live):
        return _starting(state, job, status, snapshot, live)
    number = status.attempt_count or 1
    message = "running" if number == 1 else f"running, attempt {number}"
    working = working_pod(live)
    if working is None and any(pod.preparing for pod in live):
        return _preparing(state, status, live, message)
    if working is None:
        until = settle_until(state, status.attempts[-1] if status.attempts else None)
        if until is not None:
            return Plan(status, look_again=until, defer_status=True)
        message = _ended_but_its_pod(status, live) or message
        overdue = [pod.deleted + NODE_SILENCE for pod in live if pod.deleted is not None]
        return Plan(
            task_status.in_progress(state, status, Phase.RUNNING, message), look_again=min(overdue, default=None)
        )
    end = _end_attempt(job, state.pods, snapshot.stall, working)
    return continue_work(state, status, snapshot.stall, message, working, end)


def _end_attempt(
    job: JobSnapshot, pods: tuple[PodSnapshot, ...], policy: StallPolicy | None, pod: PodSnapshot
) -> tuple[Action, ...]:
    """Actions that end stalled work: for good, or only this attempt, so that the Job retries."""
    if policy is not None and policy.action is StallAction.FAIL:
        return _stop(job, pods)
    return () if job.deleting or pod.deadline == 1 else (StopPod(pod),)


def _preparing(state: TaskState, status: LongTaskStatus, live: list[PodSnapshot], message: str) -> Plan:
    """Plan for a running init container. Most end within moments, so the status write is deferred."""
    init = next(pod.preparing for pod in live if pod.preparing is not None)
    since = init.running_since or state.now
    message = f"{message}: init container {init.name} runs since {rfc3339(since)}"
    quiet = state.is_near(since, QUIET)
    again = since + QUIET if quiet else None
    return Plan(task_status.in_progress(state, status, Phase.RUNNING, message), look_again=again, defer_status=quiet)


def _ended_but_its_pod(status: LongTaskStatus, live: list[PodSnapshot]) -> str | None:
    """Message on what the task waits for once its work has ended but its pod has not; None if it has not ended."""
    pod = newest(pod for pod in live if pod.termination is not None)
    if pod is None or pod.termination is None:
        return None
    code = pod.termination.exit_code
    how = "the work is done" if is_done(status, pod) else f"the work has ended (exit code {code})"
    still = [each.name for each in pod.of_kind("beside") if each.termination is None]
    whom = f"container {' and '.join(still)}" if still else "its pod"
    problem = failure_reasons.not_starting_beside(pod)
    return f"{how}; waiting for {whom} to end{f': {problem.message}' if problem else ''}"


def _starting(
    state: TaskState, job: JobSnapshot, status: LongTaskStatus, snapshot: TemplateSnapshot, live: list[PodSnapshot]
) -> Plan:
    """Plan while no pod works: the first or next one is starting, or the Job is about to finish."""
    last = status.attempts[-1] if status.attempts else None
    until = settle_until(state, last)
    if not live and until is not None:
        return Plan(status, look_again=until, defer_status=True)
    if not live and last is not None and last.reason == COMPLETED:
        return Plan(
            task_status.in_progress(state, status, Phase.RUNNING, "the work is done; waiting for its Job to say so")
        )
    resumed = task_status.resumed(status) or job.created
    ended = last.end_time if last is not None and last.end_time is not None else job.created
    since = live[-1].waits_since if live else max(job.created, resumed, ended)
    problem = (
        failure_reasons.not_starting(live[-1], state.events or ())
        if live
        else failure_reasons.not_created(state.refusals, since)
    )
    retry_gap = not live and ended > resumed and problem is None
    give_up = since + timedelta(seconds=snapshot.start_timeout_seconds)
    if state.now >= give_up and not retry_gap:
        return _never_started(state, status, snapshot, problem)
    message = _waiting_message(status, last, problem, live)
    prepared = bool(live) and live[-1].started is not None
    begun, wait = (since, QUIET) if prepared else (job.created, state.quiet)
    quiet = problem is None and state.is_near(begun, wait) and (prepared or state.task.status.job_ref is None)
    # Look again for Events only if the pod's status does not explain why it waits.
    told = bool(live) and (failure_reasons.not_starting(live[-1]) is not None or live[-1].node is None)
    again = state.now + LOOK_AGAIN
    if live:
        again = give_up if told else min(give_up, again)
    return Plan(
        task_status.in_progress(state, status, Phase.PENDING, message, problem),
        look_again=min(begun + wait, give_up) if quiet else again,
        defer_status=quiet,
    )


def _waiting_message(
    status: LongTaskStatus, last: Attempt | None, problem: StartProblem | None, live: list[PodSnapshot]
) -> str:
    if problem is not None:
        return problem.in_words
    if last is not None and not live:
        return f"attempt {status.attempt_count} ended ({how_it_ended(last)}); starting the next one"
    return "waiting for the pod to start"


def _never_started(
    state: TaskState, status: LongTaskStatus, snapshot: TemplateSnapshot, problem: StartProblem | None
) -> Plan:
    seconds = snapshot.start_timeout_seconds
    if problem is None:
        failure = Failure(
            reason="StartTimeout",
            message=f"no pod started to work within {seconds} s",
            hint=f"See `kubectl get events -n {state.task.metadata.namespace}`, or raise startTimeoutSeconds in the "
            "template.",
        )
    else:
        message = f"gave up after {seconds} s: {problem.message}"
        failure = Failure(reason=problem.reason, message=failure_reasons.fitted(message), hint=problem.hint)
    return task_status.terminal(state, status, Phase.FAILED, failure=failure, at=state.now)


def _too_many_disruptions(state: TaskState, status: LongTaskStatus, snapshot: TemplateSnapshot) -> Plan:
    failure = Failure(
        reason="TooManyDisruptions",
        message=f"the cluster took the pod away {status.disruption_count} times; "
        f"the template allows {snapshot.max_disruptions}",
        hint="Start it again when the cluster is calm, or raise retry.maxDisruptions in the LongTaskTemplate.",
    )
    return task_status.terminal(state, status, Phase.FAILED, failure=failure, at=state.now)
