"""What a task does now, and how it ended, in a line for a person. Pure."""

from datetime import datetime, timedelta

from longtask_api.conditions import is_true
from longtask_api.longtask import Attempt, ConditionType, LongTask, Phase
from longtask_api.reports import InputRequest, Progress
from longtask_cli.problem import CANCELLED, FAILED, SUCCEEDED
from longtask_cli.text import duration

UNATTENDED = timedelta(seconds=60)
"""A task that has no phase after this time has no operator."""
SHOWN_METRICS = 3


def phase(task: LongTask) -> str:
    """The phase; Pending while no operator has seen the task."""
    return str(task.status.phase or Phase.PENDING)


def exit_code(task: LongTask) -> int:
    """Exit code of a wait for a task that has ended."""
    return {Phase.SUCCEEDED: SUCCEEDED, Phase.CANCELLED: CANCELLED}.get(task.status.phase or Phase.FAILED, FAILED)


def display(task: LongTask) -> str:
    """Progress as `kubectl get` shows it; empty without any."""
    progress = task.status.progress
    if progress is None:
        return ""
    return progress.display or (f"{int(progress.fraction * 100 + 1e-9)}%" if progress.fraction is not None else "")


def metrics(progress: Progress, at_most: int = SHOWN_METRICS) -> str:
    """Metrics of the last report: `loss 0.1667, rows 1,200`."""
    return ", ".join(f"{name} {_number(value)}" for name, value in list((progress.metrics or {}).items())[:at_most])


def left(task: LongTask, now: datetime) -> str:
    """The estimated time until the end, `~4m left`; empty if there is no estimate for the attempt that runs."""
    progress = task.status.progress
    end = progress.estimated_completion_time if progress is not None else None
    if progress is None or end is None or end <= now or task.status.phase is not Phase.RUNNING:
        return ""
    return f"~{duration(end - now)} left" if progress.attempt >= (task.status.attempt_count or 0) else ""


def open_questions(task: LongTask) -> list[InputRequest]:
    """Questions that can be answered now, oldest first."""
    return [] if task.is_terminal or task.spec.cancel_requested else task.unanswered


def doing(task: LongTask, now: datetime) -> str:
    """What the task does or waits for, without phase and percentage."""
    if task.is_terminal:
        return ended(task)
    questions = open_questions(task)
    if questions:
        return f"asks: {questions[0].message}" if len(questions) == 1 else f"asks {len(questions)} questions"
    if task.status.phase is None and task.metadata.creation_timestamp is not None:
        waited = now - task.metadata.creation_timestamp
        if waited >= UNATTENDED:
            return f"no operator has taken it up for {duration(waited)}; `longtask doctor` looks why"
    progress, said = task.status.progress, task.status.message or ""
    if task.status.phase is not Phase.RUNNING or is_true(task.status.conditions, ConditionType.STALLED):
        return said
    parts = [left(task, now)]
    if progress is not None:
        parts = [metrics(progress), progress.message or "", *parts]
    if (task.status.attempt_count or 0) > 1:
        parts.append(f"attempt {task.status.attempt_count}")
    if task.spec.cancel_requested:
        parts.append("being cancelled")
    return ", ".join(part for part in parts if part)


def ended(task: LongTask) -> str:
    """How a task has ended and after what time: the reason of a failure, or the summary of a result."""
    status, parts = task.status, []
    if status.failure is not None and status.phase is not Phase.CANCELLED:
        said = status.failure.message
        parts.append(said if said.startswith(status.failure.reason) else f"{status.failure.reason}: {said}")
    elif status.result is not None and status.result.summary and status.phase is Phase.SUCCEEDED:
        parts.append(status.result.summary)
    if status.completion_time is not None and task.metadata.creation_timestamp is not None:
        parts.append(f"after {duration(status.completion_time - task.metadata.creation_timestamp)}")
    return ", ".join(parts)


def attempt_end(attempt: Attempt) -> str:
    """Why an attempt ended: `OOMKilled, exit code 137: the limit is 2Gi`."""
    words = attempt.reason or "ended"
    if attempt.exit_code is not None and attempt.exit_code != 0:
        words += f", exit code {attempt.exit_code}"
    return f"{words}: {attempt.message}" if attempt.message else words


def _number(value: float) -> str:
    return f"{int(value):,}" if value.is_integer() and abs(value) < 1e15 else f"{value:.4g}"
