"""How long a task has been active, and what that means for its deadline. Queued and held time does not count. Pure."""

from datetime import datetime, timedelta

from longtask_api.longtask import LongTask, LongTaskStatus, TemplateSnapshot


def limit(task: LongTask, snapshot: TemplateSnapshot) -> int:
    """The total active time that the task may have, in seconds."""
    wanted = task.spec.active_deadline_seconds or snapshot.active_deadline_seconds
    return min(wanted, snapshot.max_active_deadline_seconds or wanted)


def deadline(status: LongTaskStatus, seconds: int) -> datetime | None:
    """When the active time will be used up; None while the task is not active."""
    if status.active_since is None:
        return None
    return status.active_since + timedelta(seconds=seconds - (status.active_seconds or 0))


def paused(status: LongTaskStatus, at: datetime) -> LongTaskStatus:
    """The status with the active period that was going on closed."""
    if status.active_since is None:
        return status
    period = max(0, int((at - status.active_since).total_seconds()))
    return status.model_copy(update={"active_since": None, "active_seconds": (status.active_seconds or 0) + period})
