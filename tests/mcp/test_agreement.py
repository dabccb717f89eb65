"""What an answer says in its text, its JSON says too, and the next step is the same in both."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from longtask_api.constants import ANNOTATION_TAKEN_BACK
from longtask_api.longtask import LongTask
from longtask_api.reports import Artifact
from longtask_mcp.contract import answers, results
from longtask_mcp.contract.answers import Answer
from tests.mcp.objects import NOW, ago, task
from tests.mcp.test_answers import CANCELLED, FAILED, RUNNING, SUCCEEDED

MEMORY = {"memory": {"memoryId": "team-0123456789", "actorId": "ann", "sessionId": "monday"}}
QUESTION = {"id": "delete", "message": "Delete 40 files?", "createdTime": ago(minutes=5)}
ASKING = RUNNING | {"phase": "WaitingForInput", "inputRequests": [QUESTION]}
STALLED = {
    "type": "Stalled",
    "status": "True",
    "reason": "NoReport",
    "message": "nothing was reported",
    "lastTransitionTime": ago(minutes=1),
}
KEPT = FAILED | {"result": {"value": 1}}
ARTIFACT = {"name": "rows.csv", "uri": "s3://b/rows", "size": 5, "sha256": "0" * 64, "mediaType": "text/csv"}
SAVED = {"attempt": 1, "sequence": 1, "text": "{}", "savedTime": ago(minutes=2)}
EARLIER = {"name": "x", "uid": "8f3c0000-0000-4000-8000-000000000009", "fromCheckpoint": True}

TASKS: Mapping[str, LongTask] = {
    "new": task(creationTimestamp=ago(seconds=5)),
    "not taken up": task(creationTimestamp=ago(minutes=5)),
    "running": task(status=RUNNING),
    "stalled": task(status=RUNNING | {"conditions": [STALLED], "lastReportTime": ago(minutes=12)}),
    "cancelling": task({"cancelRequested": True}, RUNNING),
    "suspending": task({"suspend": True}, RUNNING),
    "suspended": task({"suspend": True}, RUNNING | {"phase": "Suspended"}),
    "held by another": task(status=RUNNING | {"phase": "Suspended"}),
    "asking": task(status=ASKING),
    "asking twice": task(status=ASKING | {"inputRequests": [QUESTION, QUESTION | {"id": "keep"}]}),
    "asking and cancelled": task({"cancelRequested": True}, ASKING),
    "asked before the phase": task(status=RUNNING | {"inputRequests": [QUESTION]}),
    "resumed": task(status=RUNNING | {"attemptCount": 2, "checkpoint": SAVED}),
    "run again": task({"rerunOf": EARLIER}, RUNNING | {"checkpoint": SAVED | {"attempt": 0}}),
    "completed": task(status=SUCCEEDED),
    "run again and completed": task({"rerunOf": EARLIER}, SUCCEEDED),
    "completed with an artifact": task(status=SUCCEEDED | {"result": {"value": 1, "artifacts": [ARTIFACT]}}),
    "completed without a result": task(status={"phase": "Succeeded", "result": {}}),
    "failed": task(status=FAILED),
    "failed with a result": task(status=KEPT),
    "never ran": task(status={"phase": "Failed", "failure": {"reason": "TemplateNotFound", "message": "no template"}}),
    "cancelled": task(status=CANCELLED),
    "taken back": task(status={"phase": "Cancelled"}, annotations={ANNOTATION_TAKEN_BACK: ""}),
    "with a memory": task(MEMORY, RUNNING),
    "ended with a memory": task(MEMORY, SUCCEEDED),
}
STORED = results.Stored(Artifact.model_validate(ARTIFACT), "text/csv")
ANSWERS: Mapping[str, Callable[[LongTask], Answer]] = {
    "status": lambda task: answers.status(task, NOW),
    "results": lambda task: results.results(task, NOW),
    "repeated": lambda task: answers.repeated(task, "Training", NOW),
    "waited": lambda task: answers.waited(answers.repeated(task, "Training", NOW), answers.status(task, NOW)),
    "not waited": lambda task: answers.not_waited(answers.repeated(task, "Training", NOW), "no answer."),
    "interrupted": lambda task: answers.restarting(answers.status(task, NOW)),
    "answered": lambda task: answers.answered(task, "delete", "true", NOW),
    "led by nobody": lambda task: answers.led_by_nobody(answers.status(task, NOW), NOW, NOW),
    "out of date": lambda task: answers.out_of_date(answers.status(task, NOW), "no news of tasks for 60 s"),
    "archived": lambda task: answers.archived(answers.status(task, NOW)),
    "unavailable": lambda task: results.unavailable(task, NOW, STORED, 2, "the bucket does not answer"),
    "unreadable": lambda task: results.unreadable(task, NOW, STORED, "it is not UTF-8 text"),
}
SOME: Mapping[str, tuple[Callable[[LongTask], Answer], set[str]]] = {
    "started": (lambda task: answers.started(task, "Training", NOW), {"new"}),
    "waiting over": (lambda task: answers.waiting_over(task, NOW), {"new", "running", "stalled", "asking", "resumed"}),
    "cancelling": (lambda task: answers.cancelling(task, NOW), {"cancelling", "asking and cancelled"}),
    "suspending": (lambda task: answers.suspending(task, NOW), {"suspending"}),
    "resuming": (lambda task: answers.resuming(task, NOW), {"running"}),
    "unchanged": (lambda task: answers.unchanged(task, NOW, suspend=True), {"suspending", "suspended", "cancelling"}),
    "already ended": (lambda task: answers.already_ended(task, NOW), {"completed", "failed", "cancelled"}),
}
"""Answers that are only given about tasks in some states."""

FACTS = {
    "repeated": r"was already started",
    "wait_failed": r"could not be waited for",
    "interrupted": r"server restarting",
    "answered": r"is answered with",
    "unchanged": r"Nothing has changed",
    "already_ended": r"had already ended",
    "operator_away_since": r"No operator has led since",
    "out_of_date": r"may be out of date",
    "archived": r"From the record of a task",
    "unavailable": r"cannot be read now",
    "unreadable": r"cannot be shown here",
    "rerun_of": r"It runs task \S+ again",
    "taken_back": r"one too many",
    "summary": r"score 0\.87",
    "failure": r"failed (after|before)",
}
"""Keys of the JSON, and how the text says the same; each is in an answer if and only if the other is."""
SHORT = {"started", "cancelling", "suspending", "resuming"}
"""Answers whose text says what was done, and how the task is only in the JSON."""
OF_THE_STATE = {
    "cancel_requested": r"being cancelled",
    "suspended": r"suspended",
    "not_taken_up_seconds": r"no operator has taken it up",
    "stalled": r"no report for|stalled",
    "last_report_at": r"no report for",
    "questions": r"answer_task\(",
    "progress": r"60%",
    "artifacts": r"Artifact ",
}
"""The same for keys about the state of the task; a status in words has them all."""


def cases() -> list[Any]:
    everywhere = [(name, state, build) for name, build in ANSWERS.items() for state in TASKS]
    somewhere = [(name, state, build) for name, (build, states) in SOME.items() for state in sorted(states)]
    return [
        pytest.param(name, build(TASKS[state]), id=f"{name}: {state}") for name, state, build in everywhere + somewhere
    ]


@pytest.mark.parametrize(("name", "answer"), cases())
def test_the_text_and_the_json_say_the_same(name: str, answer: Answer) -> None:
    facts = FACTS if name in SHORT else FACTS | OF_THE_STATE
    ended = answer.envelope["status"] in ("completed", "failed", "cancelled")
    skipped = {"progress"} if ended else {"summary"}
    if name in ("unavailable", "unreadable"):
        skipped.add("artifacts")
    for key, words in facts.items():
        if key in skipped:
            continue
        said = re.search(words, answer.text) is not None
        assert said == (key in answer.envelope), (key, answer.text, answer.envelope)


@pytest.mark.parametrize(("name", "answer"), cases())
def test_the_next_step_is_the_same_in_both(name: str, answer: Answer) -> None:
    following = answer.envelope.get("next")
    if following is None:
        return
    tool, seconds = following["tool"], following["after_seconds"]
    words = {"check_task_status": r"[Cc]heck (again|with check_task_status) in ~?\d+ s"}.get(tool, tool)
    assert re.search(words, answer.text), answer.text
    if seconds:
        assert f"{seconds} s" in answer.text


@pytest.mark.parametrize(
    ("state", "word"),
    [
        ("asking", "input_required"),
        ("asking twice", "input_required"),
        ("asked before the phase", "input_required"),
        ("asking and cancelled", "running"),
        ("running", "running"),
    ],
)
def test_a_task_that_waits_for_an_answer_says_so_with_the_call_that_answers(state: str, word: str) -> None:
    answer = answers.status(TASKS[state], NOW)
    assert answer.envelope["status"] == word
    assert (answer.envelope["next"]["tool"] == "answer_task") == (word == "input_required")
    assert ("waiting for input: " in answer.text) == (word == "input_required")
