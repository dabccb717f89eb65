"""A task in progress, in one sentence: progress, attempt, what it waits for, time left. Pure."""

from datetime import datetime

from longtask_api.base import rfc3339
from longtask_api.durations import duration
from longtask_api.longtask import LongTask, Phase
from longtask_api.reports import Progress
from longtask_mcp.contract.questions import SHOWN_IN_LISTS, how_to_answer, open_questions, told
from longtask_mcp.contract.task_status import (
    STATUS,
    from_earlier_attempt,
    message,
    shortened,
    stall,
    time_left,
    unattended,
)

SHOWN_METRICS = 3


def going_on(task: LongTask, now: datetime) -> str:
    """The status and how to answer the open questions, as many as fit. Complete sentences."""
    asked, more = told(task)
    sentences = [_ended(_line(task, now, asked[0].message if len(asked) + more == 1 else None))]
    if again := reruns(task):
        sentences.append(again.lstrip())
    for question in asked:
        if len(asked) + more > 1:
            sentences.append(f"Question {question.id}: {_ended(question.message)}")
        sentences.append(how_to_answer(task, question, now))
    if more:
        sentences.append(f"More open questions: {more}; check_task_status shows them once these are answered.")
    return " ".join(sentences)


def reruns(task: LongTask) -> str:
    """That the task runs an earlier one again, as a sentence after others; empty for all other tasks."""
    rerun = task.spec.rerun_of
    if rerun is None:
        return ""
    return f" It runs task {rerun.uid} again{', from its last checkpoint' if rerun.from_checkpoint else ''}."


def briefly(task: LongTask, now: datetime) -> str:
    """The status in short, for lists and notifications."""
    asked = open_questions(task)
    message = shortened(asked[0].message, SHOWN_IN_LISTS) if len(asked) == 1 else None
    return _line(task, now, message)


def _line(task: LongTask, now: datetime, question: str | None) -> str:
    """`question` is the message of the only open question; None if there are none or several."""
    return ", ".join([_head(task), *_parts(task, now, question)])


def _head(task: LongTask) -> str:
    """Status, percentage, and details in parentheses."""
    progress, word = task.status.progress, STATUS[task.status.phase]
    share, details = _details(progress) if progress is not None else ("", [])
    if details and from_earlier_attempt(task) and progress is not None:
        details.append(f"told by attempt {progress.attempt}")
    # What the operator says of a suspended or stalled task follows in other words, for agents.
    said = None if task.status.phase is Phase.SUSPENDED or stall(task) is not None else message(task)
    # Between attempts, and before the start, progress alone does not say why nothing runs.
    if (not details or word == "started") and said and said != word:
        details.append(said.rstrip("."))
    head = " ".join([word, *([share] if share else [])])
    if details:
        return f"{head} ({', '.join(details)})"
    return f"{head}, not running yet" if word == "started" else head


def _details(progress: Progress) -> tuple[str, list[str]]:
    """The percentage, and what else was reported; details that the message already contains are not repeated.

    The operator's display is `60%`, `60% (epoch 6/10)`, or only the count; its end may be cut off.
    """
    display = progress.display or ""
    share, _, counted = display.partition(" (")
    if not share.endswith("%"):
        share, counted = "", display
    if not share and progress.fraction is not None:
        share = f"{int(progress.fraction * 100 + 1e-9)}%"
    metrics = [f"{name} {_number(value)}" for name, value in list((progress.metrics or {}).items())[:SHOWN_METRICS]]
    message = (progress.message or "").rstrip(".")
    details = [each for each in (counted.removesuffix(")"), *metrics) if each and each not in message]
    return share, [*details, *([message] if message and message != share else [])]


def _number(value: float) -> str:
    return f"{int(value):,}" if value.is_integer() and abs(value) < 1e15 else f"{value:.4g}"


def _parts(task: LongTask, now: datetime, question: str | None) -> list[str]:
    """What follows the head; `question` is the message of the only open question."""
    left, quiet, parts = time_left(task, now), stall(task), _attempt(task, now)
    waiting = len(open_questions(task))
    if task.spec.cancel_requested:
        return [*parts, "being cancelled"]
    if task.status.phase is Phase.SUSPENDED:
        parts.append("suspended until it is resumed (resume_task)")
    elif task.spec.suspend:
        parts.append("being suspended (resume_task lets it go on)")
    if (alone := unattended(task, now)) is not None:
        parts.append(f"no operator has taken it up for {duration(alone)}; it goes on when one is there")
    if waiting:
        parts.append(f"waiting for input: {question if question is not None else f'{waiting} questions'}")
    elif task.status.phase is Phase.WAITING_FOR_INPUT:
        parts.append("its question was answered")
    elif quiet is not None:
        last = task.status.last_report_time
        parts.append(
            f"no report for {duration(now - last)} (last: {rfc3339(last)})"
            if last is not None
            else f"stalled: {quiet.message.rstrip('.')}"
        )
    elif left is not None:
        parts.append(f"~{duration(left)} left")
    return parts


def _attempt(task: LongTask, now: datetime) -> list[str]:
    """The attempt, unless it is the first, and the checkpoint from which it resumed."""
    number, checkpoint = task.status.attempt_count or 0, task.status.checkpoint
    inherited = checkpoint is not None and not checkpoint.attempt and number
    if number < 2 and not inherited:
        return []
    if checkpoint is None:
        return [f"attempt {number}"]
    saved = f"saved {duration(now - checkpoint.saved_time)} ago"
    if inherited:
        attempt = f"attempt {number}, " if number > 1 else ""
        return [f"{attempt}resumed from the checkpoint of the earlier task ({saved})"]
    if checkpoint.attempt < number:
        return [f"attempt {number}, resumed from the checkpoint of attempt {checkpoint.attempt} ({saved})"]
    return [f"attempt {number} (its last checkpoint {saved})"]


def _ended(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."
