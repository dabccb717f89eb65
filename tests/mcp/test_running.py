"""What an agent reads of a task that goes on: progress, attempts, stalls, time left."""

from datetime import timedelta
from typing import Any

import pytest

from longtask_mcp.contract import answers
from tests.mcp.objects import NOW, ago, task

SOON = ago(minutes=-4)
AGAIN = " Check again in 60 s; do not start it again."
CHECKPOINT = {"attempt": 1, "sequence": 7, "text": "{}", "savedTime": ago(minutes=3)}


def progress(**told: Any) -> dict[str, Any]:
    return {"attempt": 1, "sequence": 6, "updatedTime": ago(seconds=0), **told}


def running(attempt: int = 1, **status: Any) -> dict[str, Any]:
    return {"phase": "Running", "startTime": ago(hours=2), "attemptCount": attempt, **status}


def stalled(message: str = "No report for 1,500 s.", status: str = "True") -> list[dict[str, Any]]:
    times = {"lastTransitionTime": ago(minutes=5)}
    return [{"type": "Stalled", "status": status, "reason": "NoReport", "message": message, **times}]


@pytest.mark.parametrize(
    ("told", "text"),
    [
        ({"display": "60%", "fraction": 0.6}, "running 60%."),
        ({"display": "60% (epoch 6/10)", "fraction": 0.6}, "running 60% (epoch 6/10)."),
        ({"display": "60% (epoch 6/1", "fraction": 0.6}, "running 60% (epoch 6/1)."),
        ({"display": "epoch 6/10"}, "running (epoch 6/10)."),
        ({"display": "1,234 rows"}, "running (1,234 rows)."),
        ({"display": "60%", "message": "60%"}, "running 60%."),
        ({"fraction": 0.29}, "running 29%."),
        ({"fraction": 0.0}, "running 0%."),
        ({"message": "loading."}, "running (loading)."),
        ({"display": "60% (epoch 6/10)", "message": "epoch 6/10, val 0.81"}, "running 60% (epoch 6/10, val 0.81)."),
        (
            {"display": "60% (epoch 6/10)", "metrics": {"val": 0.8125, "loss": 1e-7}},
            "running 60% (epoch 6/10, val 0.8125, loss 1e-07).",
        ),
        ({"display": "60%", "metrics": {"val": 0.81}, "message": "val 0.81"}, "running 60% (val 0.81)."),
        (
            {"display": "60%", "metrics": {"a": 1, "b": 123456, "c": 0.123456, "d": 4}, "message": "warm"},
            "running 60% (a 1, b 123,456, c 0.1235, warm).",
        ),
        (
            {"display": "60% (epoch 6/10)", "metrics": {"val": 0.81}, "estimatedCompletionTime": SOON},
            "running 60% (epoch 6/10, val 0.81), ~4 min left.",
        ),
    ],
)
def test_progress_is_told_once_with_its_first_metrics(told: dict[str, Any], text: str) -> None:
    assert answers.status(task(status=running(progress=progress(**told))), NOW).text == text + AGAIN


def test_the_envelope_has_all_metrics_and_the_estimate() -> None:
    metrics = {f"m{n}": n / 2 for n in range(32)}
    told = progress(fraction=0.5, current=3, metrics=metrics, estimatedCompletionTime=SOON)
    assert answers.status(task(status=running(progress=told)), NOW).envelope["progress"] == {
        "attempt": 1,
        "fraction": 0.5,
        "current": 3,
        "metrics": metrics,
        "updated_at": ago(seconds=0),
        "estimated_completion_at": SOON,
    }


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ({}, "~4 min left"),
        ({"progress": progress(estimatedCompletionTime=ago(seconds=1))}, None),
        ({"progress": progress(estimatedCompletionTime=ago(seconds=0))}, None),
        ({"progress": progress(fraction=0.6)}, None),
        ({"phase": "Suspended"}, None),
        ({"phase": "Pending"}, None),
        ({"attemptCount": 2}, None),
        ({"conditions": stalled()}, None),
        ({"conditions": stalled(status="False")}, "~4 min left"),
    ],
    ids=str,
)
def test_the_time_left_is_the_estimate_of_the_work_that_runs(changes: dict[str, Any], left: str | None) -> None:
    status = running(progress=progress(estimatedCompletionTime=SOON)) | changes
    text = answers.status(task(status=status), NOW).text
    assert left in text if left else "left" not in text


@pytest.mark.parametrize(("left", "seconds"), [(3600, 60), (61, 60), (30, 30), (10, 10), (2, 10), (-5, 60)])
def test_short_work_is_checked_sooner(left: int, seconds: int) -> None:
    status = running(progress=progress(estimatedCompletionTime=ago(seconds=-left)))
    answer = answers.status(task(status=status), NOW)
    assert answer.envelope["next"]["after_seconds"] == seconds
    assert f"Check again in {seconds} s" in answer.text


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (running(2), "running, attempt 2."),
        (running(1, checkpoint=CHECKPOINT), "running."),
        (
            running(2, checkpoint=CHECKPOINT),
            "running, attempt 2, resumed from the checkpoint of attempt 1 (saved 3 min ago).",
        ),
        (
            running(3, checkpoint=CHECKPOINT | {"attempt": 3}),
            "running, attempt 3 (its last checkpoint saved 3 min ago).",
        ),
        (
            running(2, progress=progress(display="60%", message="warm", estimatedCompletionTime=SOON)),
            "running 60% (warm, told by attempt 1), attempt 2.",
        ),
        (
            running(2, progress=progress(attempt=2, display="60%", estimatedCompletionTime=SOON)),
            "running 60%, attempt 2, ~4 min left.",
        ),
    ],
)
def test_a_later_attempt_says_where_it_went_on(status: dict[str, Any], text: str) -> None:
    assert answers.status(task(status=status), NOW).text == text + AGAIN


def test_the_envelope_says_when_the_checkpoint_was_saved() -> None:
    envelope = answers.status(task(status=running(2, checkpoint=CHECKPOINT)), NOW).envelope
    assert envelope["checkpoint"] == {"attempt": 1, "saved_at": ago(minutes=3)}


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (
            running(lastReportTime=ago(minutes=25), progress=progress(display="60%"), conditions=stalled()),
            f"running 60%, no report for 25 min (last: {ago(minutes=25)}).",
        ),
        (running(conditions=stalled("It never told anything.")), "running, stalled: It never told anything."),
        (running(lastReportTime=ago(minutes=25), conditions=stalled(status="False")), "running."),
        (running(lastReportTime=ago(minutes=25)), "running."),
    ],
)
def test_work_that_tells_nothing_any_more_is_told(status: dict[str, Any], text: str) -> None:
    answer = answers.status(task(status=status), NOW)
    assert answer.text == text + AGAIN
    assert ("stalled" in answer.envelope) is ("no report" in text or "stalled" in text)


def test_the_envelope_has_the_operators_word_for_a_stall_until_the_task_ends() -> None:
    status = running(conditions=stalled())
    assert answers.status(task(status=status), NOW).envelope["stalled"] == "No report for 1,500 s."
    assert "stalled" not in answers.status(task(status=status | {"phase": "Succeeded"}), NOW).envelope


def test_a_clock_that_is_behind_gives_no_negative_times() -> None:
    status = running(2, checkpoint=CHECKPOINT, lastReportTime=ago(minutes=3), conditions=stalled())
    text = answers.status(task(status=status), NOW - timedelta(hours=1)).text
    assert "saved 0 s ago" in text
    assert "no report for 0 s" in text


def test_a_message_that_says_no_more_than_the_status_is_not_told_twice() -> None:
    assert answers.status(task(status=running(message="running")), NOW).text == "running." + AGAIN
    assert answers.status(task(status=running(message="running, attempt 2")), NOW).text.startswith(
        "running (running, attempt 2)."
    )


ALONE = "started, not running yet, no operator has taken it up for 3 min; it goes on when one is there"


@pytest.mark.parametrize(
    ("status", "created", "told"),
    [
        ({}, ago(minutes=3), ALONE),
        ({}, ago(seconds=59), "started, not running yet"),
        ({"phase": "Pending"}, ago(minutes=3), "started, not running yet"),
    ],
)
def test_a_task_that_no_operator_takes_up_says_so(status: dict[str, Any], created: str, told: str) -> None:
    assert answers.going(task(status=status, creationTimestamp=created), NOW) == told


STALL = {"conditions": stalled("No report for 1,500 s."), "message": "running, but stalled: No report for 1,500 s."}
SUSPENDED = {"phase": "Suspended", "message": "suspended; set spec.suspend to false to go on"}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (STALL, "running, stalled: No report for 1,500 s."),
        (STALL | {"progress": progress(display="60%")}, "running 60%, stalled: No report for 1,500 s."),
        (
            STALL | {"progress": progress(display="60%"), "lastReportTime": ago(minutes=25)},
            f"running 60%, no report for 25 min (last: {ago(minutes=25)}).",
        ),
        (SUSPENDED, "running, suspended until it is resumed (resume_task)."),
        (
            SUSPENDED | {"progress": progress(display="60%")},
            "running 60%, suspended until it is resumed (resume_task).",
        ),
        (
            {
                "phase": "Pending",
                "attemptCount": 1,
                "message": "attempt 1 failed: OOMKilled; the next one starts soon.",
            },
            "started (attempt 1 failed: OOMKilled; the next one starts soon).",
        ),
    ],
    ids=str,
)
def test_nothing_is_told_twice_with_the_message_that_the_operator_writes(changes: dict[str, Any], text: str) -> None:
    assert answers.status(task(status=running() | changes), NOW).text == text + AGAIN


def test_a_question_is_not_told_beside_the_operators_own_message() -> None:
    asked = {"id": "deploy", "message": "Deploy?", "createdTime": ago(minutes=1)}
    status = {"phase": "WaitingForInput", "message": "waiting for an answer: Deploy?", "inputRequests": [asked]}
    text = answers.status(task(status=running() | status), NOW).text
    assert text.startswith("running, waiting for input: Deploy? Answer with")
    assert text.count("Deploy?") == 1
    assert "message" not in answers.status(task(status=running() | status), NOW).envelope


def test_a_task_that_is_being_cancelled_says_so_in_the_text_and_in_the_json() -> None:
    answer = answers.cancelling(task({"cancelRequested": True}, running()), NOW)
    assert answer.envelope["cancel_requested"]
    assert answer.envelope["next"]["after_seconds"] == 10
    assert "~10 s" in answer.text
    ended = task({"cancelRequested": True}, {"phase": "Cancelled", "completionTime": ago(minutes=1)})
    late = answers.already_ended(ended, NOW)
    assert "cancel_requested" not in late.envelope
    assert late.envelope["note"] == "Nothing to cancel, the task had already ended."


def test_a_wait_that_a_stopping_server_ends_is_told_in_the_json_too() -> None:
    answer = answers.restarting(answers.status(task(status=running()), NOW))
    assert answer.envelope["interrupted"]
    assert answer.envelope["note"] == "server restarting; call again. The task is not affected."
    assert answer.text.startswith("server restarting; call again.")
