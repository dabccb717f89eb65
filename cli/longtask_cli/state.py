"""What a task does now, and how it ended, in a line for a person. Pure."""

from datetime import datetime, timedelta

from longtask_api.conditions import find, is_true
from longtask_api.longtask import Attempt, ConditionType, LongTask, Phase
from longtask_api.reports import InputRequest, Progress
from longtask_api.template import LongTaskTemplate, TemplateConditionType
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
        return ", ".join(part for part in (ended(task), took(task)) if part)
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
    # What a narrow terminal cuts off comes last.
    parts = ["being cancelled" if task.spec.cancel_requested else "", left(task, now)]
    if (task.status.attempt_count or 0) > 1:
        parts.append(f"attempt {task.status.attempt_count}")
    if progress is not None:
        parts += [metrics(progress), progress.message or ""]
    return ", ".join(part for part in parts if part)


def ended(task: LongTask) -> str:
    """How a task has ended: the reason of a failure, or the summary of a result; empty if there is none."""
    status = task.status
    if status.failure is not None and status.phase is not Phase.CANCELLED:
        said = status.failure.message
        return said if said.startswith(status.failure.reason) else f"{status.failure.reason}: {said}"
    return (status.result.summary or "") if status.result is not None and status.phase is Phase.SUCCEEDED else ""


def took(task: LongTask) -> str:
    """The time from creation to the end, `after 6m`; empty before that."""
    if task.status.completion_time is None or task.metadata.creation_timestamp is None:
        return ""
    return f"after {duration(task.status.completion_time - task.metadata.creation_timestamp)}"


def ready(template: LongTaskTemplate) -> tuple[str, str]:
    """Whether tasks can be started from a template (True, False or Unknown), and why not."""
    condition = find(template.status.conditions, TemplateConditionType.READY)
    if template.is_ready:
        return "True", ""
    if condition is None or template.status.observed_generation != template.metadata.generation:
        return "Unknown", "no operator has checked it yet; if that stays, `longtask doctor` looks why"
    return condition.status, f"{condition.reason}: {condition.message}"


def attempt_end(attempt: Attempt) -> str:
    """Why an attempt ended: `OOMKilled, exit code 137: the limit is 2Gi`."""
    words, said = attempt.reason or "ended", attempt.message or ""
    if attempt.exit_code and f"exit code {attempt.exit_code}" not in said:
        words += f", exit code {attempt.exit_code}"
    return f"{words}: {said}" if said else words


def _number(value: float) -> str:
    return f"{int(value):,}" if value.is_integer() and abs(value) < 1e15 else f"{value:.4g}"
