"""Values derived from a LongTask alone: its age, its status, the time it may still take. Pure."""

from datetime import UTC, datetime, timedelta

from longtask_api.conditions import Condition, find
from longtask_api.longtask import ConditionType, LongTask, Phase
from longtask_mcp.contract.known import as_known

CHECK_SECONDS = 60
MIN_CHECK_SECONDS = 10
ATTENDED_WITHIN = timedelta(seconds=60)

STATUS = {
    None: "started",
    Phase.PENDING: "started",
    Phase.QUEUED: "started",
    Phase.RUNNING: "running",
    Phase.SUSPENDED: "running",
    Phase.WAITING_FOR_INPUT: "running",
    Phase.SUCCEEDED: "completed",
    Phase.FAILED: "failed",
    Phase.CANCELLED: "cancelled",
}
"""The status that agents see for each phase, unless the task waits for an answer."""
INPUT_REQUIRED = "input_required"
UNFINISHED = frozenset({"started", "running", INPUT_REQUIRED})


def created(task: LongTask) -> datetime:
    """When the task was created, for the order of lists; the epoch if unknown."""
    return task.metadata.creation_timestamp or datetime.fromtimestamp(0, UTC)


def ended_at(task: LongTask) -> datetime:
    """When LongTask noticed that the task has ended, for the order of ends: by the API server's clock, not a node's."""
    return as_known(task).ended_time or task.status.completion_time or created(task)


def age(task: LongTask, now: datetime) -> timedelta:
    """Time since the task was created; never negative, even with clock skew."""
    return max(now.astimezone(UTC) - (task.metadata.creation_timestamp or now), timedelta())


def status_word(task: LongTask) -> str:
    """started, running, input_required, completed, failed or cancelled."""
    return INPUT_REQUIRED if is_asking(task) else STATUS[task.status.phase]


def is_asking(task: LongTask) -> bool:
    """Whether a question of the task waits for an answer; in time before the operator sets the phase."""
    return bool(task.unanswered) and not task.is_terminal and not task.spec.cancel_requested


def is_suspended(task: LongTask) -> bool:
    """Whether nothing runs until the task is resumed, or that is requested."""
    return (task.spec.suspend or task.status.phase is Phase.SUSPENDED) and not task.is_terminal


def message(task: LongTask) -> str | None:
    """The operator's status message; None while waiting for input, because open questions are shown instead."""
    return task.status.message if task.status.phase is not Phase.WAITING_FOR_INPUT else None


def unattended(task: LongTask, now: datetime) -> timedelta | None:
    """How long a new task has waited for an operator; None if that is not longer than usual, or it has a phase."""
    waited = age(task, now)
    return waited if task.status.phase is None and waited >= ATTENDED_WITHIN else None


def has_result(task: LongTask) -> bool:
    """Whether a result can be read: of a completed task, or submitted before the task failed or was cancelled."""
    result = task.status.result
    return task.is_terminal and result is not None and result.has_content


def check_seconds(task: LongTask, now: datetime) -> int:
    """When it makes sense to check again, in seconds."""
    if task.spec.cancel_requested:
        return MIN_CHECK_SECONDS
    left = time_left(task, now)
    return CHECK_SECONDS if left is None else int(min(CHECK_SECONDS, max(MIN_CHECK_SECONDS, left.total_seconds())))


def time_left(task: LongTask, now: datetime) -> timedelta | None:
    """Time until the estimated end; None if the running attempt has no estimate, or its estimate has passed."""
    progress = task.status.progress
    end = progress.estimated_completion_time if progress is not None else None
    if end is None or end <= now or task.status.phase is not Phase.RUNNING or from_earlier_attempt(task):
        return None
    return end - now


def from_earlier_attempt(task: LongTask) -> bool:
    """Whether the progress was reported by an attempt before the current one."""
    progress = task.status.progress
    return progress is not None and progress.attempt < (task.status.attempt_count or 0)


def stall(task: LongTask) -> Condition | None:
    """The Stalled condition, if it is true and the task has not ended; else None."""
    condition = find(task.status.conditions, ConditionType.STALLED)
    return condition if condition is not None and condition.status == "True" and not task.is_terminal else None


def shortened(text: str, at_most: int) -> str:
    """The text; a longer one is cut after `at_most` characters, and its length is appended."""
    return text if len(text) <= at_most else f"{text[:at_most]}... ({len(text)} characters)"
