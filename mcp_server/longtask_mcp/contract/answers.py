"""Answers about one task: a JSON envelope, and a text that is complete without it. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from longtask_api.base import rfc3339
from longtask_api.durations import duration
from longtask_api.longtask import LongTask
from longtask_api.reports import Artifact, Reference, json_or_text
from longtask_mcp.contract.artifacts import in_full, is_stored
from longtask_mcp.contract.memory import promise, told
from longtask_mcp.contract.progress_text import briefly, going_on, reruns
from longtask_mcp.contract.questions import open_questions
from longtask_mcp.contract.structured_content import envelope, step
from longtask_mcp.contract.task_status import (
    CHECK_SECONDS,
    MIN_CHECK_SECONDS,
    age,
    check_seconds,
    has_result,
    status_word,
)

FROM_RECORD = "From the record of a task that is not in the cluster any more: "
TAKEN_BACK = (
    "It was one too many beside your tasks that had not ended, and counts as never started: start it again once one of "
    "them has ended (list_tasks shows them)."
)


@dataclass(frozen=True)
class Answer:
    """A tool's answer: `text` for the agent to read; `envelope` is the same as a JSON object, without empty keys."""

    text: str
    envelope: dict[str, Any]


def started(task: LongTask, title: str, now: datetime) -> Answer:
    """The answer to a start that created a task."""
    return Answer(
        f"{title} task has been initiated with task ID: {task.metadata.uid}.{reruns(task)} It runs without you; "
        f"you may disconnect. Check with check_task_status in ~{CHECK_SECONDS} s.{promise(task)}",
        envelope(task, now),
    )


def repeated(task: LongTask, title: str, now: datetime) -> Answer:
    """The answer to a start that found the task of an earlier, equal start."""
    return Answer(
        f"{title} task {_earlier(task, now)} with task ID: {task.metadata.uid}. "
        f"No second one was started. Its status: {status(task, now).text}{promise(task)} {_on_purpose(task)}",
        envelope(task, now) | {"repeated": True, "note": repeated_note(task, now)},
    )


def repeated_note(task: LongTask, now: datetime) -> str:
    """That a start found an earlier task, and how to start a second one."""
    return f"It {_earlier(task, now)}; no second one was started. {_on_purpose(task)}"


def _earlier(task: LongTask, now: datetime) -> str:
    return f"was already started {duration(age(task, now))} ago"


def _on_purpose(task: LongTask) -> str:
    how = "a new idempotency_key" if task.spec.idempotency_key else "an idempotency_key of your choice"
    return f"To run it a second time on purpose, pass {how}."


def waited(handle: Answer, outcome: Answer) -> Answer:
    """Joins the answer to a start with the outcome of the wait for its task; `repeated` and both notes are kept."""
    notes = [each.envelope["note"] for each in (handle, outcome) if "note" in each.envelope]
    kept = {key: value for key, value in handle.envelope.items() if key == "repeated"}
    joined = {"note": " ".join(notes)} if notes else {}
    return Answer(f"{handle.text}\n{outcome.text}", outcome.envelope | kept | joined)


def not_waited(handle: Answer, problem: str) -> Answer:
    """The answer to a start where waiting for the task failed with `problem`."""
    note = f"The task goes on, but it could not be waited for: {problem}"
    return waited(handle, Answer(note, handle.envelope | {"wait_failed": problem, "note": note}))


def status(task: LongTask, now: datetime) -> Answer:
    """The status of a task, with the next step."""
    if not task.is_terminal:
        again = "Do" if open_questions(task) else f"Check again in {check_seconds(task, now)} s; do"
        text = f"{going_on(task, now)} {again} not start it again."
    elif status_word(task) == "completed":
        follows = "Read the result with get_task_results." if has_result(task) else "The work gave no result."
        text = f"{ended(task)} {follows}"
    else:
        kept = " What it handed in as its result is kept: get_task_results reads it." if has_result(task) else ""
        text = f"{ended(task)}{kept}{_last_log(task)}{_logs_kept(task)}"
    return Answer(text, envelope(task, now))


def answered(task: LongTask, question_id: str, answer: str, now: datetime) -> Answer:
    """The answer once a question is answered, by this or an earlier call; `answer` is its JSON text."""
    soon = "" if task.is_terminal else " The work reads it within seconds."
    given = {"question_id": question_id, "answer": json_or_text(answer)}
    return Answer(
        f"Question {question_id} is answered with {answer}.{soon} The task: {status(task, now).text}",
        envelope(task, now) | {"answered": given},
    )


def restarting(answer: Answer) -> Answer:
    """Marks an answer that is sent early because this server is stopping."""
    note = "server restarting; call again. The task is not affected"
    return Answer(f"{note}: {answer.text}", answer.envelope | {"interrupted": True, "note": f"{note}."})


def waiting_over(task: LongTask, now: datetime) -> Answer:
    """The answer when a wait ends before its task does: its open questions, else that the timeout has passed."""
    told = status(task, now)
    if open_questions(task):
        return told
    return Answer(
        f"{going_on(task, now)} Call wait_for_task again to wait on, or check again in {check_seconds(task, now)} s; "
        "do not start it again.",
        told.envelope | {"next": step(task, "wait_for_task")},
    )


def cancelling(task: LongTask, now: datetime) -> Answer:
    """The answer once cancellation is requested."""
    note = "The task is being cancelled; this can take a minute. Its log will be kept (get_task_logs)."
    return Answer(
        f"{note} Check with check_task_status in ~{MIN_CHECK_SECONDS} s.", envelope(task, now) | {"note": note}
    )


def suspending(task: LongTask, now: datetime) -> Answer:
    """The answer once a task is to be suspended."""
    again = step(task, "resume_task")
    return _noted(task, now, "The task is being suspended: its pod ends, and nothing runs until resume_task.", again)


def resuming(task: LongTask, now: datetime) -> Answer:
    """The answer once a suspended task is to go on."""
    again, soon = step(task, "check_task_status", MIN_CHECK_SECONDS), f"Check again in {MIN_CHECK_SECONDS} s."
    return _noted(task, now, f"The task goes on: a new attempt starts as soon as there is room for it. {soon}", again)


def unchanged(task: LongTask, now: datetime, suspend: bool) -> Answer:
    """The answer to a suspend, or a resume, that changes nothing."""
    if task.spec.cancel_requested:
        why = "it is being cancelled"
    else:
        why = "it was suspended already" if suspend else "nobody has suspended it with suspend_task or spec.suspend"
    note = f"Nothing has changed: {why}"
    return Answer(
        f"{note}. Its status: {status(task, now).text}", envelope(task, now) | {"unchanged": True, "note": f"{note}."}
    )


def _noted(task: LongTask, now: datetime, note: str, following: dict[str, Any]) -> Answer:
    return Answer(note, envelope(task, now) | {"note": note, "next": following})


def already_ended(task: LongTask, now: datetime, what: str = "cancel") -> Answer:
    """The answer to a cancel, suspend or resume of a task that had already ended."""
    note = f"Nothing to {what}, the task had already ended"
    told = envelope(task, now) | {"already_ended": True, "note": f"{note}."}
    return Answer(f"{note}: {status(task, now).text}", told)


def archived(answer: Answer) -> Answer:
    """Says first that the task is not in the cluster any more, and the answer comes from its record."""
    return Answer(f"{FROM_RECORD}{answer.text}", answer.envelope | {"archived": True})


def not_found(task_id: str, namesake: LongTask | None) -> str:
    """The error text for an id that is unknown or another caller's; `namesake` is the caller's task with that name."""
    if namesake is not None:
        return (
            f"task not found: {task_id[:100]}. That is the name of one of your tasks; its task ID is "
            f"{namesake.metadata.uid}."
        )
    return f"task not found: {task_id[:100]}. Ids are never guessed: call list_tasks (it also shows finished ones)."


def led_by_nobody(answer: Answer, since: datetime, now: datetime) -> Answer:
    """Adds that no operator has been the leader since `since`, so the status of unfinished tasks may be stale."""
    note = (
        f"No operator has led since {rfc3339(since)} ({duration(now - since)} ago): what is told here of tasks that "
        "have not ended may be as old as that. Their work goes on without one; start nothing again."
    )
    return Answer(f"{answer.text}\n{note}", answer.envelope | {"operator_away_since": rfc3339(since)})


def out_of_date(answer: Answer, why: str) -> Answer:
    """Adds that the answer comes from a stale cache; `why` says which watch is silent."""
    note = f"What is told here may be out of date: {why}. Nothing is lost; look again later."
    return Answer(f"{answer.text}\n{note}", answer.envelope | {"out_of_date": why})


def going(task: LongTask, now: datetime) -> str:
    """Short status and progress, for lists and notifications."""
    if not task.is_terminal:
        return briefly(task, now)
    reason = f": {task.status.failure.reason}" if task.status.failure else ""
    return f"{status_word(task)}{_after(task)}{reason}"


def ended(task: LongTask) -> str:
    """How a task ended, in complete sentences: its result's summary and artifacts, or why it failed, and the state of
    delivery to memory.
    """
    return f"{_outcome(task)}{reruns(task)}{_artifacts(task)}{told(task)}"


def sentence(text: str) -> str:
    """The text with exactly one full stop at its end."""
    return f"{text.rstrip('.')}."


def _outcome(task: LongTask) -> str:
    match status_word(task):
        case "completed":
            summary = task.status.result.summary if task.status.result else None
            return f"completed{_after(task)}.{f' {sentence(summary)}' if summary else ''}"
        case "failed":
            return _failed(task)
    if task.is_taken_back:
        return f"cancelled{_after(task)}. {TAKEN_BACK}"
    return f"cancelled{_after(task)}."


def _failed(task: LongTask) -> str:
    failure, attempts = task.status.failure, task.status.attempt_count or 0
    when = f"after {attempts} attempt{'s' * (attempts != 1)}" if attempts else "before it ran"
    if failure is None:
        return f"failed {when}."
    text = f"failed {when}: {failure.reason}: {sentence(failure.message)}"
    if failure.exit_code is not None:
        text += f" Exit code {failure.exit_code}."
    return f"{text} Hint: {sentence(failure.hint)}" if failure.hint else text


def _artifacts(task: LongTask) -> str:
    artifacts = (task.status.result.artifacts if task.status.result else None) or []
    full = in_full(artifacts)
    listed = "".join(f" Artifact {describe(each.name, each)}." for each in artifacts[:full])
    listed += f" Further artifacts: {', '.join(each.name for each in artifacts[full:])}." if artifacts[full:] else ""
    if not any(is_stored(each) for each in artifacts):
        return listed
    uri = f"longtask://tasks/{task.metadata.uid}/artifacts/<name>"
    return (
        f"{listed} Those that are text can be read with get_task_results(artifact=name), and all of them as the "
        f"resource {uri}."
    )


def describe(name: str, kept: Artifact | Reference) -> str:
    """Name, URI, media type, size and SHA-256 of content that is stored outside the object."""
    media_type = kept.media_type if isinstance(kept, Artifact) else None
    size = f"{kept.size:,} bytes" if kept.size is not None else None
    facts = ", ".join(each for each in (media_type, size, kept.sha256 and f"sha256 {kept.sha256}") if each)
    return f"{name}{f' {kept.uri}' if kept.uri else ''}{f' ({facts})' if facts else ''}"


def _last_log(task: LongTask) -> str:
    tail = task.status.failure.log_tail if task.status.failure else None
    return f" Last log:\n{tail.rstrip()}\n" if tail else " "


def _logs_kept(task: LongTask) -> str:
    return "Full log: get_task_logs." if task.status.attempt_count else "It never ran, so there is no log."


def _after(task: LongTask) -> str:
    begin, end = task.status.start_time, task.status.completion_time
    return f" in {duration(end - begin)}" if begin and end and end >= begin else ""
