"""What follows from a LongTask alone: whose it is, how old, in which state, how long it may still take. Pure."""

from datetime import UTC, datetime, timedelta

from longtask_api.longtask import LongTask, Phase

CHECK_SECONDS = 60
MIN_CHECK_SECONDS = 10
MIN_FRACTION_FOR_ESTIMATE = 0.05

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
"""The agent's word for each phase."""


def owner(task: LongTask) -> str:
    """The principal whose task it is; empty for a task that was not made for anybody."""
    return task.spec.requester.principal if task.spec.requester else ""


def age(task: LongTask, now: datetime) -> timedelta:
    """Time since the task was created; never negative, whatever the clocks say."""
    created = task.metadata.creation_timestamp or now
    return max(now.astimezone(UTC) - created, timedelta())


def status_word(task: LongTask) -> str:
    """started, running, completed, failed or cancelled."""
    return STATUS[task.status.phase]


def check_seconds(task: LongTask, now: datetime) -> int:
    """When it is worth asking again, in seconds."""
    left = time_left(task, now)
    return CHECK_SECONDS if left is None else int(min(CHECK_SECONDS, max(MIN_CHECK_SECONDS, left.total_seconds())))


def time_left(task: LongTask, now: datetime) -> timedelta | None:
    """Estimate from the pace of the current attempt; None while there is nothing to estimate from."""
    progress = task.status.progress
    if progress is None or progress.fraction is None or progress.fraction < MIN_FRACTION_FOR_ESTIMATE:
        return None
    if status_word(task) != "running" or task.status.phase is not Phase.RUNNING:
        return None
    newest = next((each for each in task.status.attempts if each.number == progress.attempt), None)
    begin = (newest.start_time if newest else None) or task.status.start_time
    told = progress.updated_time
    if begin is None or told is None or told <= begin:
        return None
    finish = begin + (told - begin) / progress.fraction
    return max(finish - now, timedelta())
