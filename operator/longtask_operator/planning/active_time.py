"""Active time of a task, and its deadline. Time spent queued or suspended does not count. Pure."""

from datetime import datetime, timedelta

from longtask_api.conditions import find
from longtask_api.longtask import ConditionType, LongTask, LongTaskStatus, TemplateSnapshot


def limit(task: LongTask, snapshot: TemplateSnapshot) -> int:
    """Active time allowed over all attempts, in seconds."""
    wanted = task.spec.active_deadline_seconds or snapshot.active_deadline_seconds
    return min(wanted, snapshot.max_active_deadline_seconds or wanted)


def setting(task: LongTask, snapshot: TemplateSnapshot) -> str:
    """The field that sets this limit, for hints."""
    wanted = task.spec.active_deadline_seconds or snapshot.active_deadline_seconds
    if limit(task, snapshot) < wanted:
        return "maxActiveDeadlineSeconds of the LongTaskTemplate"
    if task.spec.active_deadline_seconds is None:
        return "activeDeadlineSeconds of the LongTaskTemplate"
    return "spec.activeDeadlineSeconds of the task, when it is started again"


def deadline(status: LongTaskStatus, seconds: int) -> datetime | None:
    """When an active time of `seconds` will be used up; None while the task is not active."""
    if status.active_since is None:
        return None
    return status.active_since + timedelta(seconds=seconds - (status.active_seconds or 0))


def started(status: LongTaskStatus, now: datetime) -> LongTaskStatus:
    """The status with an active period opened at the first attempt start since the Suspended condition last changed.

    Unchanged if a period is open already, or if no attempt has started since.
    """
    held = find(status.conditions, ConditionType.SUSPENDED)
    starts = [attempt.start_time for attempt in status.attempts if attempt.start_time is not None]
    since_held = [start for start in starts if start <= now and (held is None or start >= held.last_transition_time)]
    if status.active_since is not None or not since_held:
        return status
    return status.model_copy(update={"active_since": min(since_held)})


def stopped(status: LongTaskStatus, at: datetime) -> LongTaskStatus:
    """The status with the open active period closed at `at`."""
    if status.active_since is None:
        return status
    period = max(0, int((at - status.active_since).total_seconds()))
    return status.model_copy(update={"active_since": None, "active_seconds": (status.active_seconds or 0) + period})
