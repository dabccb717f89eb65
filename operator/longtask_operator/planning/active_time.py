"""How long a task has been active, and what that means for its deadline. Queued and held time does not count. Pure."""

from datetime import datetime, timedelta

from longtask_api.conditions import find
from longtask_api.longtask import ConditionType, LongTask, LongTaskStatus, TemplateSnapshot


def limit(task: LongTask, snapshot: TemplateSnapshot) -> int:
    """The total active time that the task may have, in seconds."""
    wanted = task.spec.active_deadline_seconds or snapshot.active_deadline_seconds
    return min(wanted, snapshot.max_active_deadline_seconds or wanted)


def setting(task: LongTask, snapshot: TemplateSnapshot) -> str:
    """Where that limit is set."""
    wanted = task.spec.active_deadline_seconds or snapshot.active_deadline_seconds
    if limit(task, snapshot) < wanted:
        return "maxActiveDeadlineSeconds of the LongTaskTemplate"
    if task.spec.active_deadline_seconds is None:
        return "activeDeadlineSeconds of the LongTaskTemplate"
    return "spec.activeDeadlineSeconds of the task, when it is started again"


def deadline(status: LongTaskStatus, seconds: int) -> datetime | None:
    """When the active time will be used up; None while the task is not active."""
    if status.active_since is None:
        return None
    return status.active_since + timedelta(seconds=seconds - (status.active_seconds or 0))


def started(status: LongTaskStatus, now: datetime) -> LongTaskStatus:
    """The status with the active period open that its attempts tell of: from the first that started since the task
    was last held."""
    held = find(status.conditions, ConditionType.SUSPENDED)
    starts = [attempt.start_time for attempt in status.attempts if attempt.start_time is not None]
    since_held = [start for start in starts if start <= now and (held is None or start >= held.last_transition_time)]
    if status.active_since is not None or not since_held:
        return status
    return status.model_copy(update={"active_since": min(since_held)})


def stopped(status: LongTaskStatus, at: datetime) -> LongTaskStatus:
    """The status with the active period that was going on closed."""
    if status.active_since is None:
        return status
    period = max(0, int((at - status.active_since).total_seconds()))
    return status.model_copy(update={"active_since": None, "active_seconds": (status.active_seconds or 0) + period})
