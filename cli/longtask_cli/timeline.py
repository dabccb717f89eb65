"""One task for a person: what it is, and what happened to it when. Pure."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.text import Text

from longtask_api.conditions import Condition, find
from longtask_api.longtask import ConditionType, LongTask
from longtask_api.reports import Artifact, Reference
from longtask_cli.state import attempt_end, display, doing, metrics, open_questions, phase
from longtask_cli.table import STYLES
from longtask_cli.text import age, escaped, line, lines, moment, size

SHOWN_PARAMETERS = 2000
SHOWN_LOG_LINES = 20
LABEL = 13
"""Columns of the labels on the left."""


@dataclass(frozen=True)
class Happened:
    """One entry of the timeline; `style` is that of the text."""

    at: datetime
    what: str
    style: str = ""


def shown(task: LongTask, now: datetime) -> list[Text]:
    """The lines of `longtask show`."""
    found = [*_facts(task, now), Text(), Text("Timeline:", style="bold")]
    for each in timeline(task):
        entry = Text("  ")
        entry.append(moment(each.at), style="dim")
        entry.append("  " + line(each.what), style=each.style)
        found.append(entry)
    return [*found, *_next(task), *_log(task)]


def timeline(task: LongTask) -> list[Happened]:
    """What happened, in its order."""
    parts = (_beginning, _standing, _attempts, _reports, _questions, _end, _after)
    found = [each for part in parts for each in part(task)]
    return sorted(found, key=lambda each: each.at)


def _facts(task: LongTask, now: datetime) -> Iterator[Text]:
    what = ", ".join(part for part in (display(task), doing(task, now)) if part)
    head = _fact("Phase", "")
    head.append(phase(task), style=STYLES.get(phase(task), "not bold"))
    head.append(f": {line(what)}" if what else "", style="not bold")
    yield _fact("Name", task.metadata.name)
    yield _fact("Namespace", task.metadata.namespace)
    yield _fact("ID", task.metadata.uid)
    yield _fact("Template", task.spec.template_ref.name)
    yield head
    if task.metadata.deletion_timestamp is not None:
        yield _fact("Deleted", f"being deleted since {moment(task.metadata.deletion_timestamp)}")
    yield _fact("Age", age(task.metadata.creation_timestamp, now))
    yield from _asked(task)
    yield from _outcome(task)


def _asked(task: LongTask) -> Iterator[Text]:
    """Who asked for what."""
    spec = task.spec
    yield _fact("Requester", _requester(task))
    if spec.memory is not None:
        yield _fact("Memory", f"{spec.memory.memory_id}, session {spec.memory.session_id}")
    if spec.idempotency_key is not None:
        yield _fact("Key", spec.idempotency_key)
    if spec.parameters:
        text = json.dumps(spec.parameters, ensure_ascii=False)
        cut = f"... ({len(text)} characters; -o json shows all)" if len(text) > SHOWN_PARAMETERS else ""
        yield _labelled("Parameters", escaped(text[:SHOWN_PARAMETERS]) + cut)


def _outcome(task: LongTask) -> Iterator[Text]:
    """What has become of it so far."""
    status = task.status
    if status.job_ref is not None:
        yield _fact("Job", status.job_ref.name)
    if status.progress is not None and status.progress.metrics:
        yield _fact("Metrics", metrics(status.progress, at_most=len(status.progress.metrics)))
    if status.failure is not None:
        yield _fact("Failure", f"{status.failure.reason}: {status.failure.message}", style="red")
        yield from [_fact("Hint", status.failure.hint)] if status.failure.hint else []
    if status.result is not None and status.result.mismatch:
        yield _fact("Mismatch", status.result.mismatch, style="red")
    for artifact in (status.result.artifacts if status.result is not None else None) or []:
        yield _fact("Artifact", described(artifact))


def described(artifact: Artifact) -> str:
    """Name, size and place of an artifact."""
    parts = [artifact.name]
    if artifact.size is not None:
        parts.append(size(artifact.size))
    return ", ".join([*parts, *([artifact.uri] if artifact.uri else [])])


def _fact(label: str, value: str, style: str = "") -> Text:
    return _labelled(label, line(value), style)


def _labelled(label: str, shown: str, style: str = "") -> Text:
    """A fact whose text is fit to be shown: JSON keeps its spaces."""
    return Text(f"{label + ':':<{LABEL}}", style="bold").append(shown, style=style or "not bold")


def _requester(task: LongTask) -> str:
    requester = task.spec.requester
    if requester is None:
        return "none: started with kubectl or longtask, so no agent sees it"
    parts = [requester.principal]
    if requester.actor_id is not None:
        parts.append(f"actor {requester.actor_id}")
    if requester.session_id is not None:
        parts.append(f"session {requester.session_id}")
    return ", ".join(parts)


def _beginning(task: LongTask) -> Iterator[Happened]:
    if task.metadata.creation_timestamp is not None:
        yield Happened(task.metadata.creation_timestamp, "created")
    accepted = find(task.status.conditions, ConditionType.ACCEPTED)
    begun = min((each.start_time for each in task.status.attempts if each.start_time is not None), default=None)
    if accepted is not None and accepted.status == "True":
        if begun is not None and accepted.last_transition_time >= begun:
            return  # both were written at once: it says nothing of how long the task was queued
        yield Happened(accepted.last_transition_time, "accepted: template and parameters fit")
    elif accepted is not None:
        yield Happened(accepted.last_transition_time, _said("not accepted yet", accepted), "yellow")


def _standing(task: LongTask) -> Iterator[Happened]:
    """What keeps the work from going on now."""
    for type_, word in ((ConditionType.SUSPENDED, "suspended"), (ConditionType.STALLED, "stalled")):
        condition = find(task.status.conditions, type_)
        if condition is not None and condition.status == "True":
            yield Happened(condition.last_transition_time, _said(word, condition), "yellow")


def _attempts(task: LongTask) -> Iterator[Happened]:
    for attempt in task.status.attempts:
        where = f" on {attempt.node_name}" if attempt.node_name else ""
        if attempt.start_time is not None:
            yield Happened(attempt.start_time, f"attempt {attempt.number} started{where}, pod {attempt.pod_name}")
        if attempt.end_time is not None:
            style = "" if attempt.reason == "Completed" else "red"
            yield Happened(attempt.end_time, f"attempt {attempt.number} ended: {attempt_end(attempt)}", style)


def _reports(task: LongTask) -> Iterator[Happened]:
    checkpoint, progress = task.status.checkpoint, task.status.progress
    if checkpoint is not None:
        much = size(checkpoint.reference.size if checkpoint.reference else len((checkpoint.text or "").encode()))
        yield Happened(checkpoint.saved_time, f"checkpoint of attempt {checkpoint.attempt} saved, {much}")
    if progress is not None and progress.updated_time is not None:
        said = ", ".join(each for each in (display(task), progress.message or "") if each)
        yield Happened(progress.updated_time, f"last report of attempt {progress.attempt}: {said or 'no words'}")


def _questions(task: LongTask) -> Iterator[Happened]:
    for question in task.status.input_requests:
        given = task.answer_to(question.id)
        if given is not None:
            became = f"answered: {given}"
        elif question.timed_out:
            became = "timed out" + (f", went on with {question.default}" if question.default is not None else "")
        else:
            became = "open"
        yield Happened(question.created_time, f"question {question.id}: {question.message} ({became})", "magenta")


def _end(task: LongTask) -> Iterator[Happened]:
    status = task.status
    if status.completion_time is None:
        return
    what = phase(task).lower()
    if status.result is not None and status.result.summary:
        what += f": {status.result.summary}"
    yield Happened(status.completion_time, what, STYLES.get(phase(task), ""))


def _after(task: LongTask) -> Iterator[Happened]:
    for type_, word in ((ConditionType.DELIVERED, "delivered to the session"), (ConditionType.ARCHIVED, "archived")):
        condition = find(task.status.conditions, type_)
        if condition is None:
            continue
        if condition.status == "True":
            where = f": {task.status.archive.uri}" if type_ == ConditionType.ARCHIVED and task.status.archive else ""
            yield Happened(condition.last_transition_time, word + where)
        else:
            style = "red" if condition.status == "False" else "yellow"
            yield Happened(condition.last_transition_time, _said(f"not yet {word}", condition), style)


def _said(word: str, condition: Condition) -> str:
    return f"{word} ({condition.reason}): {condition.message}" if condition.message else f"{word} ({condition.reason})"


def _next(task: LongTask) -> Iterator[Text]:
    """What the person can do now."""
    name = task.metadata.name
    for question in open_questions(task):
        yield Text()
        yield Text(f"Question {line(question.id)}:", style="bold magenta")
        yield from (Text(f"  {each}") for each in lines(question.message).split("\n"))
        if question.answer_schema:
            yield Text(f"  The answer must fit {line(question.answer_schema)}")
        if question.default is not None:
            yield Text(f"  Without one: {line(question.default)}")
        if question.expires_time is not None:
            yield Text(f"  The work waits until {moment(question.expires_time)}")
        yield Text(f"  longtask answer {name} --question {line(question.id)} ANSWER")
    result = task.status.result
    if task.is_terminal and result is not None and result.has_content:
        yield Text()
        yield Text(f"{'Result:':<{LABEL}}", style="bold").append(
            f"{_result(result.value, result.text, result.reference)}"
        )
        yield Text(f"{'':<{LABEL}}longtask result {name}", style="dim")


def _result(value: Any, text: str | None, reference: Reference | None) -> str:
    if reference is not None:
        return f"{size(reference.size)} in {line(reference.uri)}"
    written = line(text) if text is not None else escaped(json.dumps(value, ensure_ascii=False))
    return written if len(written) <= 500 else f"{written[:500]}... ({len(written)} characters)"


def _log(task: LongTask) -> Iterator[Text]:
    failure = task.status.failure
    tail = (failure.log_tail if failure is not None else None) or task.status.log_tail
    if not tail:
        return
    kept = lines(tail).rstrip("\n").split("\n")[-SHOWN_LOG_LINES:]
    yield Text()
    yield Text("End of the log:", style="bold")
    yield from (Text(f"  {each}") for each in kept)
