"""What an agent is told about a task: one envelope, and a text that is complete without it. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from longtask_api.longtask import LongTask, Phase
from longtask_mcp.contract.envelope import envelope
from longtask_mcp.contract.facts import CHECK_SECONDS, MIN_CHECK_SECONDS, age, check_seconds, status_word, time_left
from longtask_mcp.contract.paging import page, result_text


@dataclass(frozen=True)
class Answer:
    """`text` for the agent to read; `envelope` holds the same as a JSON object, without keys that have no value."""

    text: str
    envelope: dict[str, Any]


def started(task: LongTask, title: str, now: datetime) -> Answer:
    """A task was created."""
    return Answer(
        f"{title} task has been initiated with task ID: {task.metadata.uid}. It runs without you; you may disconnect. "
        f"Check with check_task_status in ~{CHECK_SECONDS} s.",
        envelope(task, now),
    )


def repeated(task: LongTask, title: str, now: datetime) -> Answer:
    """A start met the task of an earlier one."""
    how = "a new idempotency_key" if task.spec.idempotency_key else "an idempotency_key of your choice"
    return Answer(
        f"{title} task was already started {duration(age(task, now))} ago with task ID: {task.metadata.uid}. "
        f"No second one was started. Its status: {status(task, now).text} "
        f"To run it a second time on purpose, pass {how}.",
        envelope(task, now),
    )


def status(task: LongTask, now: datetime) -> Answer:
    """How a task is, with the next step."""
    match status_word(task):
        case "completed":
            text = f"{_completed(task)} Read the result with get_task_results."
        case "failed":
            text = _failed(task)
        case "cancelled":
            text = f"cancelled{_after(task)}.{_last_log(task)}{_logs_kept(task)}"
        case _:
            text = f"{_going_on(task, now)} Check again in {check_seconds(task, now)} s; do not start it again."
    return Answer(text, envelope(task, now))


def results(task: LongTask, now: datetime, number: int = 1) -> Answer:
    """The result of a completed task, page by page; for any other task, how it is. Raises BadArguments
    for a page that it does not have."""
    match status_word(task):
        case "completed":
            return _result_page(task, now, number)
        case "failed" | "cancelled":
            return status(task, now)
    text = f"task not completed. Current status: {_going_on(task, now)} Check again in {check_seconds(task, now)} s."
    return Answer(text, envelope(task, now))


def restarting(answer: Answer) -> Answer:
    """An answer that had to be given before its time because this server stops."""
    return Answer(f"server restarting; call again. The task is not affected: {answer.text}", answer.envelope)


def cancelling(task: LongTask, now: datetime) -> Answer:
    """The end of a task was asked for."""
    return Answer(
        "The task is being cancelled; this can take a minute. Its log will be kept (get_task_logs). "
        f"Check with check_task_status in ~{MIN_CHECK_SECONDS} s.",
        envelope(task, now),
    )


def already_ended(task: LongTask, now: datetime) -> Answer:
    """A cancel came after the end."""
    return Answer(f"Nothing to cancel, the task had already ended: {status(task, now).text}", envelope(task, now))


def not_found(task_id: str, namesake: LongTask | None) -> str:
    """There is no such task, or it is not the caller's; `namesake` is the caller's task of that name."""
    if namesake is not None:
        return (
            f"task not found: {task_id[:100]}. That is the name of one of your tasks; its task ID is "
            f"{namesake.metadata.uid}."
        )
    return f"task not found: {task_id[:100]}. Ids are never guessed: call list_tasks (it also shows finished ones)."


def going(task: LongTask, now: datetime) -> str:
    """Status and progress in a few words, for lists and notifications."""
    word = status_word(task)
    if word in ("started", "running"):
        return _going_on(task, now).rstrip(".")
    reason = f": {task.status.failure.reason}" if task.status.failure else ""
    return f"{word}{_after(task)}{reason}"


def duration(span: timedelta) -> str:
    """A length of time in one unit: 45 s, 12 min, 5 h, 3 d."""
    seconds = int(span.total_seconds())
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{seconds // unit} {name}"
    return f"{seconds // 86400} d"


def _going_on(task: LongTask, now: datetime) -> str:
    """A sentence for a task that has not ended."""
    progress, known, left = task.status.progress, task.status, time_left(task, now)
    share = f"{int(progress.fraction * 100 + 1e-9)}%" if progress and progress.fraction is not None else ""
    told = [text for text in (progress.display, progress.message) if text and text != share] if progress else []
    details = told or ([known.message.rstrip(".")] if known.message else [])
    parts = [" ".join([status_word(task), *([share] if share else [])])]
    if details:
        parts[0] += f" ({', '.join(details)})"
    elif status_word(task) == "started":
        parts.append("not running yet")
    if task.spec.cancel_requested:
        parts.append("being cancelled")
    elif known.phase is Phase.SUSPENDED:
        parts.append("suspended: held by an operator until it is resumed")
    elif known.phase is Phase.WAITING_FOR_INPUT:
        parts.append("waiting for input")
    elif left is not None:
        parts.append(f"~{duration(left)} left")
    return ", ".join(parts) + "."


def _completed(task: LongTask) -> str:
    result = task.status.result
    summary = f" {result.summary.rstrip('.')}." if result and result.summary else ""
    artifacts = "".join(
        f" Artifact {each.name}{f' {each.uri}' if each.uri else ''}{f' (sha256 {each.sha256})' if each.sha256 else ''}."
        for each in ((result.artifacts if result else None) or [])
    )
    return f"completed{_after(task)}.{summary}{artifacts}"


def _failed(task: LongTask) -> str:
    failure, attempts = task.status.failure, task.status.attempt_count or 0
    when = f"after {attempts} attempt{'s' * (attempts != 1)}" if attempts else "before it ran"
    if failure is None:
        return f"failed {when}. Full log: get_task_logs."
    text = f"failed {when}: {failure.reason}: {failure.message.rstrip('.')}."
    if failure.exit_code is not None:
        text += f" Exit code {failure.exit_code}."
    if failure.hint:
        text += f" Hint: {failure.hint.rstrip('.')}."
    return f"{text}{_last_log(task)}{_logs_kept(task)}"


def _last_log(task: LongTask) -> str:
    tail = task.status.failure.log_tail if task.status.failure else None
    return f" Last log:\n{tail.rstrip()}\n" if tail else " "


def _logs_kept(task: LongTask) -> str:
    return "Full log: get_task_logs." if task.status.attempt_count else "It never ran, so there is no log."


def _after(task: LongTask) -> str:
    begin, end = task.status.start_time, task.status.completion_time
    return f" in {duration(end - begin)}" if begin and end and end >= begin else ""


def _result_page(task: LongTask, now: datetime, number: int) -> Answer:
    result = task.status.result
    if result is None:
        text = f"{_completed(task)} The work gave no result."
        page("", number)
        return Answer(text, envelope(task, now))
    shown = page(result_text(result), number)
    text = f"{_completed(task)} Result:\n{shown.text}"
    if shown.pages > 1:
        more = f": call get_task_results with page={number + 1}" if number < shown.pages else ", the last one"
        text = f"{_completed(task)} Part {number} of {shown.pages}{more}.\n{shown.text}"
    return Answer(text, envelope(task, now, shown))
