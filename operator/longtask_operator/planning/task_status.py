"""Builds the status of a task."""

from datetime import datetime

from longtask_api.conditions import Condition, ConditionStatus, find, merged
from longtask_api.longtask import ConditionType, Failure, LongTaskStatus, Phase, TemplateSnapshot
from longtask_api.reports import MAX_DISPLAY, Progress, Result
from longtask_operator.planning import active_time, attempts, failure_reasons
from longtask_operator.planning.actions import Plan
from longtask_operator.planning.failure_reasons import StartProblem, fitted
from longtask_operator.planning.state import TaskState


def terminal(
    state: TaskState,
    status: LongTaskStatus,
    phase: Phase,
    *,
    at: datetime,
    result: Result | None = None,
    failure: Failure | None = None,
    message: str | None = None,
) -> Plan:
    """Plan that ends the task at `at`. Without `result`, the stored result remains unchanged in the object."""
    succeeded: ConditionStatus = "True" if phase is Phase.SUCCEEDED else "False"
    reason = failure.reason if failure else "Completed"
    text = message or (f"{failure.reason}: {failure.message}" if failure else "completed")
    status = active_time.stopped(status, at)
    if reason != failure_reasons.STALLED:
        status = with_condition_if_set(state, status, ConditionType.STALLED, "False", "Ended")
    status = with_condition(state, status, ConditionType.SUCCEEDED, succeeded, reason, text)
    attempts_ended = [
        attempt if attempt.end_time is not None else attempt.model_copy(update={"end_time": at, "reason": reason})
        for attempt in status.attempts
    ]
    return Plan(
        status.model_copy(
            update={
                "phase": phase,
                "message": fitted(text),
                "completion_time": at,
                "attempts": attempts_ended,
                "result": result,
                "failure": failure,
                "progress": _done(status.progress) if phase is Phase.SUCCEEDED else status.progress,
            }
        )
    )


def _done(progress: Progress | None) -> Progress | None:
    """The last progress, displayed as done if it is below 1: work need not report its last steps."""
    if progress is None or progress.fraction is None or progress.fraction >= 1:
        return progress
    last = progress.display or f"{int(progress.fraction * 100)}%"
    return progress.model_copy(update={"display": f"done (last report: {last})"[:MAX_DISPLAY]})


def in_progress(
    state: TaskState, status: LongTaskStatus, phase: Phase, message: str, problem: StartProblem | None = None
) -> LongTaskStatus:
    """The status of a task in progress. `problem` keeps it from continuing: the condition's reason and message."""
    reason, why = (
        (phase.value, "") if problem is None else (problem.reason, f"{problem.message.rstrip('.')}. {problem.hint}")
    )
    status = with_condition(state, status, ConditionType.SUCCEEDED, "Unknown", reason, why)
    return status.model_copy(update={"phase": phase, "message": fitted(message)})


def cancelled(when: str) -> Failure:
    """The failure of a cancelled task; `when` says at which stage, such as "before it started"."""
    return Failure(reason="Cancelled", message=f"cancelled on request {when}")


def with_generation(state: TaskState, status: LongTaskStatus) -> LongTaskStatus:
    """The status with observedGeneration set to the task's generation."""
    return status.model_copy(update={"observed_generation": state.task.metadata.generation})


def with_attempts(state: TaskState, status: LongTaskStatus, *, suspended: bool) -> LongTaskStatus:
    """The status with attempts, their counts and the start time updated from the pods."""
    snapshot = status.template_snapshot
    so_far = attempts.record(
        status,
        state.pods,
        suspended=suspended,
        cancelled=state.task.spec.cancel_requested,
        deadline=active_time.deadline(status, active_time.limit(state.task, snapshot))
        if snapshot is not None
        else None,
        over=out_of_time(state, snapshot) if snapshot is not None else None,
        now=state.now,
        logs=state.logs_of_attempts,
    )
    return status.model_copy(
        update={
            "attempt_count": so_far.count,
            "disruption_count": so_far.disruptions,
            "attempts": so_far.newest,
            "start_time": status.start_time or so_far.first_start,
        }
    )


def out_of_time(state: TaskState, snapshot: TemplateSnapshot) -> Failure:
    """The failure of work that was stopped because its active time was used up."""
    return failure_reasons.over_total_deadline(
        active_time.limit(state.task, snapshot), active_time.setting(state.task, snapshot)
    )


def with_condition(
    state: TaskState, status: LongTaskStatus, type_: str, value: ConditionStatus, reason: str, message: str
) -> LongTaskStatus:
    """The status with the condition set; its transition time changes only with its value."""
    generation = state.task.metadata.generation
    condition = merged(status.conditions, type_, value, reason, fitted(message), generation, state.now)
    others: list[Condition] = [c for c in status.conditions if c.type != type_]
    return status.model_copy(update={"conditions": sorted([*others, condition], key=lambda c: c.type)})


def with_condition_if_set(
    state: TaskState, status: LongTaskStatus, type_: str, value: ConditionStatus, reason: str
) -> LongTaskStatus:
    """As `with_condition`, with an empty message, but only if the condition exists already."""
    if find(status.conditions, type_) is None:
        return status
    return with_condition(state, status, type_, value, reason, "")


def resumed(status: LongTaskStatus) -> datetime | None:
    """When the Suspended condition last changed; None if the task was never suspended."""
    held = find(status.conditions, ConditionType.SUSPENDED)
    return held.last_transition_time if held is not None else None


def created(state: TaskState) -> datetime:
    """Creation time of the task, or now if it has none."""
    return state.task.metadata.creation_timestamp or state.now
