"""What an agent reads about a task, for every state it can be in."""

from typing import Any

import pytest

from longtask_api.constants import ANNOTATION_TAKEN_BACK
from longtask_mcp.contract import answers
from tests.mcp.objects import NOW, UID, ago, task

RUNNING = {
    "phase": "Running",
    "message": "Attempt 1 is running.",
    "startTime": ago(minutes=6),
    "attemptCount": 1,
    "progress": {
        "attempt": 1,
        "sequence": 6,
        "fraction": 0.6,
        "current": 6,
        "total": 10,
        "unit": "epoch",
        "display": "60%",
        "message": "epoch 6/10, val 0.81",
        "updatedTime": ago(minutes=0),
        "estimatedCompletionTime": ago(minutes=-4),
    },
}
FAILED = {
    "phase": "Failed",
    "startTime": ago(minutes=20),
    "completionTime": ago(minutes=5),
    "attemptCount": 2,
    "failure": {
        "reason": "OOMKilled",
        "message": "the container used more memory than its limit of 2Gi.",
        "exitCode": 137,
        "logTail": "epoch 7\nKilled\n",
        "hint": "start again with a smaller batch_size",
    },
}
SUCCEEDED: dict[str, Any] = {
    "phase": "Succeeded",
    "startTime": ago(minutes=20),
    "completionTime": ago(minutes=8),
    "attemptCount": 1,
    "result": {"value": {"score": 0.87, "notes": None}, "summary": "score 0.87"},
}
CANCELLED = {"phase": "Cancelled", "startTime": ago(minutes=20), "completionTime": ago(minutes=8), "attemptCount": 1}


@pytest.mark.parametrize(
    ("status", "text"),
    [
        ({"phase": "Pending"}, "started, not running yet. Check again in 60 s; do not start it again."),
        (
            {"phase": "Pending", "message": "Waiting for a node."},
            "started (Waiting for a node). Check again in 60 s; do not start it again.",
        ),
        ({"phase": "Queued"}, "started, not running yet. Check again in 60 s; do not start it again."),
        (
            {"phase": "Running", "message": "Attempt 1 is running."},
            "running (Attempt 1 is running). Check again in 60 s; do not start it again.",
        ),
        (
            RUNNING,
            "running 60% (epoch 6/10, val 0.81), ~4 min left. Check again in 60 s; do not start it again.",
        ),
        (
            RUNNING | {"phase": "Suspended"},
            "running 60% (epoch 6/10, val 0.81), suspended until it is resumed (resume_task). "
            "Check again in 60 s; do not start it again.",
        ),
        (
            RUNNING | {"phase": "WaitingForInput"},
            "running 60% (epoch 6/10, val 0.81), its question was answered. Check again in 60 s; "
            "do not start it again.",
        ),
        (
            {"phase": "Succeeded", "result": {}},
            "completed. The work gave no result.",
        ),
        (SUCCEEDED, "completed in 12 min. score 0.87. Read the result with get_task_results."),
        (
            FAILED,
            "failed after 2 attempts: OOMKilled: the container used more memory than its limit of 2Gi. Exit code 137. "
            "Hint: start again with a smaller batch_size. Last log:\nepoch 7\nKilled\nFull log: get_task_logs.",
        ),
        (
            {"phase": "Failed", "failure": {"reason": "TemplateNotFound", "message": "there is no template x"}},
            "failed before it ran: TemplateNotFound: there is no template x. It never ran, so there is no log.",
        ),
        (CANCELLED, "cancelled in 12 min. Full log: get_task_logs."),
        ({"phase": "Cancelled"}, "cancelled. It never ran, so there is no log."),
    ],
)
def test_status_is_told_with_the_next_step(status: dict[str, Any], text: str) -> None:
    assert answers.status(task(status=status), NOW).text == text


@pytest.mark.parametrize(
    ("phase", "word"),
    [
        (None, "started"),
        ("Pending", "started"),
        ("Queued", "started"),
        ("Running", "running"),
        ("Suspended", "running"),
        ("WaitingForInput", "running"),
        ("Succeeded", "completed"),
        ("Failed", "failed"),
        ("Cancelled", "cancelled"),
    ],
)
def test_every_phase_has_one_word(phase: str | None, word: str) -> None:
    envelope = answers.status(task(status={"phase": phase} if phase else {}), NOW).envelope
    assert envelope["status"] == word
    assert envelope.get("phase") == phase


def test_the_envelope_of_a_running_task_has_the_progress_and_the_next_call() -> None:
    assert answers.status(task(status=RUNNING), NOW).envelope == {
        "task_id": UID,
        "name": "model-training-7x2k9",
        "template": "model-training",
        "status": "running",
        "phase": "Running",
        "message": "Attempt 1 is running.",
        "progress": {
            "attempt": 1,
            "fraction": 0.6,
            "current": 6,
            "total": 10,
            "unit": "epoch",
            "message": "epoch 6/10, val 0.81",
            "display": "60%",
            "updated_at": ago(minutes=0),
            "estimated_completion_at": ago(minutes=-4),
        },
        "created_at": ago(hours=1),
        "started_at": ago(minutes=6),
        "attempts": 1,
        "next": {"tool": "check_task_status", "arguments": {"task_id": UID}, "after_seconds": 60},
    }


def test_the_envelope_of_a_failed_task_says_why() -> None:
    envelope = answers.status(task(status=FAILED), NOW).envelope
    assert envelope["failure"]["reason"] == "OOMKilled"
    assert envelope["failure"]["exit_code"] == 137
    assert envelope["next"]["tool"] == "get_task_logs"


def test_a_start_answers_with_the_id_and_what_to_do() -> None:
    answer = answers.started(task(), "Model Training", NOW)
    assert answer.text == (
        f"Model Training task has been initiated with task ID: {UID}. It runs without you; you may disconnect. "
        "Check with check_task_status in ~60 s."
    )
    assert answer.envelope["status"] == "started"


@pytest.mark.parametrize(
    ("key", "way"), [(None, "an idempotency_key of your choice"), ("nightly", "a new idempotency_key")]
)
def test_a_repeated_start_says_how_old_the_task_is_and_how_to_run_it_again(key: str | None, way: str) -> None:
    spec = {"idempotencyKey": key} if key else {}
    text = answers.repeated(task(spec, RUNNING, creationTimestamp=ago(minutes=3)), "Model Training", NOW).text
    assert text.startswith(f"Model Training task was already started 3 min ago with task ID: {UID}. No second one")
    assert "running 60%" in text
    assert text.endswith(f"pass {way}.")


def test_a_task_that_is_being_cancelled_says_so() -> None:
    text = answers.status(task({"cancelRequested": True}, RUNNING), NOW).text
    assert text.startswith("running 60% (epoch 6/10, val 0.81), being cancelled.")


def test_a_task_that_was_taken_back_says_that_it_is_to_be_started_again() -> None:
    text = answers.status(task(status={"phase": "Cancelled"}, annotations={ANNOTATION_TAKEN_BACK: ""}), NOW).text
    assert text.startswith("cancelled. It was one too many beside your tasks that had not ended")
    assert "start it again once one of them has ended" in text


def test_a_cancel_after_the_end_says_that_it_had_ended() -> None:
    assert answers.already_ended(task(status=FAILED), NOW).text.startswith(
        "Nothing to cancel, the task had already ended: failed after 2 attempts"
    )


def test_an_unknown_id_leads_to_the_list() -> None:
    assert answers.not_found("8f3d", None) == (
        "task not found: 8f3d. Ids are never guessed: call list_tasks (it also shows finished ones)."
    )


def test_the_name_of_an_own_task_leads_to_its_id() -> None:
    text = answers.not_found("model-training-7x2k9", task())
    assert f"the name of one of your tasks; its task ID is {UID}" in text
