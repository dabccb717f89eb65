"""Determines which event the session of a task is missing, and its time. Pure."""

from datetime import datetime

from longtask_api.longtask import ConditionType, LongTask, SessionEvent
from longtask_operator.agentcore.models import Session

RESULT = "result"
MILESTONE = "progress-"


def session_of(task: LongTask) -> Session | None:
    """The session to deliver to; None if the task has no memory."""
    memory = task.spec.memory
    return Session(memory.memory_id, memory.actor_id, memory.session_id) if memory is not None else None


def due(task: LongTask) -> str | None:
    """Name of the event that the session is missing: the task's end, or the milestone reached; None if none is due.

    Milestones that were skipped, or not delivered before the end, are dropped. One that may have been delivered is
    not sent again.
    """
    if task.spec.memory is None or task.metadata.deletion_timestamp is not None or task.is_record or task.is_taken_back:
        return None
    if task.is_terminal:
        return None if task.is_settled(ConditionType.DELIVERED) else RESULT
    percent = _reached(task)
    return f"{MILESTONE}{percent}" if percent > _delivered_percent(task) else None


def percent_of(name: str) -> int | None:
    """The milestone in an event's name, in percent; None for the end."""
    return int(name.removeprefix(MILESTONE)) if name.startswith(MILESTONE) else None


def event_time(task: LongTask, now: datetime) -> datetime:
    """Completion time of an ended task, else the time of the last progress report; `now` if that is unknown."""
    progress = task.status.progress
    happened = task.status.completion_time if task.is_terminal else progress.updated_time if progress else None
    return happened or now


def recorded(task: LongTask, name: str) -> SessionEvent | None:
    """The recorded event of this name; None if it is not recorded."""
    events = task.status.delivery.events if task.status.delivery else []
    return next((event for event in events if event.name == name), None)


def _reached(task: LongTask) -> int:
    snapshot, progress = task.status.template_snapshot, task.status.progress
    policy = snapshot.delivery if snapshot is not None else None
    if policy is None or progress is None or progress.fraction is None:
        return 0
    return max((each for each in policy.milestones if each <= progress.fraction * 100), default=0)


def _delivered_percent(task: LongTask) -> int:
    events = task.status.delivery.events if task.status.delivery else []
    return max((percent_of(event.name) or 0 for event in events), default=0)
