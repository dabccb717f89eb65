"""A task whose Job has ended, or is gone."""

from dataclasses import replace
from typing import Any

import pytest

from longtask_api.conditions import find
from longtask_api.longtask import Failure, LongTaskStatus, Phase, StallAction, StallPolicy
from longtask_api.reports import Artifact, InputRequest, Progress, Result
from longtask_operator.planning.failure_reasons import ATTEMPT_TEXT_LIMIT, STOPPED, lost_node
from longtask_operator.planning.plan import plan
from longtask_operator.planning.snapshots import PodEvent
from longtask_operator.planning.state import TaskState
from longtask_operator.task_namespace import owned
from tests.unit.given import (
    JOB_REF,
    SNAPSHOT,
    Step,
    at,
    at_work,
    attempt,
    ended_pod,
    failed_init,
    held,
    job,
    pod,
    running_pod,
    state,
    status,
    step,
    task,
    written,
)

COMPLETE = job(complete=True, finished_at=at(52))
FAILED = job(failed_reason="BackoffLimitExceeded", failed_message="too many", finished_at=at(52), failures=1)


def _ended(before: LongTaskStatus | None = None, /, **known: Any) -> TaskState:
    spec = {key: known.pop(key) for key in ("cancel_requested", "active_deadline_seconds", "suspend") if key in known}
    return state(task(at_work() if before is None else before, **spec), 60, **known)


@pytest.mark.parametrize(
    ("told", "result", "message"),
    [
        pytest.param("", Result(), "completed", id="nothing"),
        pytest.param("done", Result(text="done"), "completed", id="text"),
        pytest.param('{"score": 0.87}', Result(value={"score": 0.87}), "completed", id="json"),
        pytest.param(
            '{"summary": "score 0.87"}',
            Result(value={"summary": "score 0.87"}, summary="score 0.87"),
            "score 0.87",
            id="summary",
        ),
        pytest.param(
            '{"artifact": {"name": "model", "uri": "s3://m/1"}}',
            Result(
                value={"artifact": {"name": "model", "uri": "s3://m/1"}},
                artifacts=[Artifact(name="model", uri="s3://m/1")],
            ),
            "completed",
            id="artifact",
        ),
    ],
)
def test_a_complete_job_gives_what_its_container_told(told: str, result: Result, message: str) -> None:
    after = plan(_ended(job=COMPLETE, pods=(ended_pod(told=told),)))
    assert step(after) == Step("Succeeded", message)
    assert (after.status.result, after.status.failure) == (result, None)
    succeeded = find(after.status.conditions, "Succeeded")
    assert succeeded is not None
    assert (succeeded.status, succeeded.reason, succeeded.message) == ("True", "Completed", message)


def test_the_result_is_that_of_the_attempt_that_succeeded() -> None:
    pods = (ended_pod("a", told="wrong", exit_code=1), ended_pod("b", 20, told="right"), ended_pod("c", 5, told="old"))
    assert plan(_ended(job=COMPLETE, pods=pods)).status.result == Result(text="right")


def test_an_ended_task_has_its_times() -> None:
    after = plan(_ended(job=COMPLETE, pods=(ended_pod(),))).status
    assert (after.completion_time, after.active_seconds, after.active_since) == (at(52), 50, None)
    assert [(a.number, a.reason, a.end_time) for a in after.attempts] == [(1, "Completed", at(50))]


def test_a_job_that_does_not_say_when_it_ended_has_ended_now() -> None:
    after = plan(_ended(job=job(complete=True), pods=(ended_pod(),))).status
    assert after.completion_time == at(60)


def test_a_failed_job_that_does_not_say_when_has_failed_now() -> None:
    after = plan(_ended(job=job(failed_reason="BackoffLimitExceeded"), pods=(ended_pod(exit_code=1),))).status
    assert after.completion_time == at(60)


def test_the_first_start_stays_although_its_attempt_is_not_kept_any_more() -> None:
    before = at_work(start_time=at(2), attempt_count=30, attempts=[attempt(30, "c", 40)])
    assert plan(_ended(before, job=COMPLETE, pods=(ended_pod("c", 39),))).status.start_time == at(2)


def test_a_result_that_was_cut_is_a_failure_and_never_half_a_result() -> None:
    after = plan(_ended(job=COMPLETE, pods=(ended_pod(told="x" * 4096),))).status
    assert (after.phase, after.result) == (Phase.FAILED, None)
    assert after.failure is not None
    assert after.failure.reason == "ResultTooLarge"


@pytest.mark.parametrize("pods", [(), (ended_pod(exit_code=1),)], ids=["no-pod", "only-a-failed-one"])
def test_a_complete_job_without_its_pod_succeeded_and_says_what_is_missing(pods: tuple[Any, ...]) -> None:
    after = plan(_ended(job=COMPLETE, pods=pods))
    assert step(after) == Step("Succeeded", "completed, but its pod was gone before the result could be read")
    assert after.status.result == Result()


def test_a_pod_that_is_gone_still_tells_its_result_when_it_was_seen() -> None:
    after = plan(_ended(job=COMPLETE, pods=(ended_pod(told="7", gone=True),))).status
    assert after.result == Result(value=7)


def test_a_task_that_completed_before_the_cancel_reached_it_succeeded() -> None:
    after = plan(_ended(cancel_requested=True, job=COMPLETE, pods=(ended_pod(told="7"),)))
    assert step(after) == Step("Succeeded", "completed (it had completed before the cancel reached it)")
    assert after.status.result == Result(value=7)


def test_a_task_that_failed_under_a_cancel_is_cancelled_and_keeps_log_and_exit_code() -> None:
    stopped = ended_pod(exit_code=137, signal=9, reason="DeadlineExceeded", deadline=1)
    after = plan(_ended(cancel_requested=True, job=FAILED, pods=(stopped,), log="epoch 1\nepoch 2\n"))
    message = (
        "cancelled on request while it ran; it did not leave when it was asked to (SIGTERM), and was killed when its "
        "grace period was over"
    )
    assert step(after) == Step("Cancelled", f"Cancelled: {message}")
    assert after.status.failure == Failure(
        reason="Cancelled",
        message=message,
        exit_code=137,
        signal=9,
        log_tail="epoch 1\nepoch 2",
    )
    succeeded = find(after.status.conditions, "Succeeded")
    assert succeeded is not None
    assert (succeeded.status, succeeded.reason) == ("False", "Cancelled")


@pytest.mark.parametrize(
    ("given", "reason", "message"),
    [
        pytest.param({"pods": (ended_pod(exit_code=3),)}, "Error", "exit code 3", id="exit-code"),
        pytest.param(
            {"pods": (ended_pod(exit_code=3, told="no such file"),)}, "Error", "exit code 3: no such file", id="told"
        ),
        pytest.param(
            {"pods": (ended_pod(exit_code=137, why="OOMKilled", memory_limit="2Gi"),)},
            "OOMKilled",
            "the work used more memory than it may have (limit 2Gi)",
            id="oom",
        ),
        pytest.param(
            {"pods": (ended_pod(exit_code=137, reason="DeadlineExceeded", deadline=30),)},
            "DeadlineExceeded",
            "the attempt took longer than the template's deadline for one attempt (30 s)",
            id="deadline-of-the-attempt",
        ),
        pytest.param(
            {
                "active_deadline_seconds": 50,
                "pods": (ended_pod(exit_code=137, reason="DeadlineExceeded", deadline=1),),
            },
            "DeadlineExceeded",
            "the work was active for longer than its activeDeadlineSeconds (50 s)",
            id="deadline-over-all-attempts",
        ),
        pytest.param(
            {
                "active_deadline_seconds": 50,
                "pods": (ended_pod(exit_code=137, reason="DeadlineExceeded", deadline=30),),
            },
            "DeadlineExceeded",
            "the attempt took longer than the template's deadline for one attempt (30 s)",
            id="deadline-of-the-attempt-although-both-are-over",
        ),
        pytest.param(
            {"pods": (ended_pod(exit_code=137, reason="DeadlineExceeded", deadline=1),)},
            "DeadlineExceeded",
            STOPPED,
            id="stopped-and-given-more-time-before-that-was-seen",
        ),
        pytest.param({"pods": (running_pod(gone=True),)}, "Deleted", "somebody deleted the pod", id="pod-deleted"),
        pytest.param(
            {"pods": (failed_init(),)},
            "Error",
            "init container fetch failed: exit code 3",
            id="init-container",
        ),
        pytest.param(
            {"pods": (ended_pod("b", 20, exit_code=4), ended_pod("a", exit_code=3))},
            "Error",
            "exit code 4",
            id="the-newest-pod-counts",
        ),
    ],
)
def test_a_failed_job_is_explained(given: dict[str, Any], reason: str, message: str) -> None:
    after = plan(_ended(job=FAILED, **given)).status
    assert (after.phase, after.message, after.completion_time) == (Phase.FAILED, f"{reason}: {message}", at(52))
    assert after.failure is not None
    assert (after.failure.reason, after.failure.message) == (reason, message)


NOBODY_SAW = "somebody deleted the pod, and nobody saw how its work ended"
OVER = {"active_deadline_seconds": 50}


@pytest.mark.parametrize(
    ("recorded", "spec", "reason", "message"),
    [
        pytest.param([{}], {}, "Deleted", NOBODY_SAW, id="it-went-on"),
        pytest.param(
            [{"reason": "Deleted", "exit_code": 137}], {}, "Deleted", "somebody deleted the pod", id="deleted"
        ),
        pytest.param([{"reason": "Error", "exit_code": 3}], {}, "Error", "exit code 3", id="an-exit-code"),
        pytest.param(
            [{"reason": "OOMKilled", "exit_code": 137, "message": "too much memory"}],
            {},
            "OOMKilled",
            "too much memory",
            id="a-message",
        ),
        pytest.param(
            [{"reason": "DeadlineExceeded", "exit_code": 137, "message": "the attempt took longer (1 s)"}],
            OVER,
            "DeadlineExceeded",
            "the work was active for longer than its activeDeadlineSeconds (50 s)",
            id="deadline-over-all-attempts",
        ),
        pytest.param(
            [{"reason": "Error", "exit_code": 3}, {"reason": "Deleted"}], {}, "Deleted", NOBODY_SAW, id="the-last-one"
        ),
        pytest.param([{"reason": "Evicted"}, {}], {}, "Deleted", NOBODY_SAW, id="after-an-eviction"),
        pytest.param([{"reason": "Evicted"}], {}, "BackoffLimitExceeded", "too many", id="an-eviction-fails-no-job"),
        pytest.param(
            [{"reason": "Evicted", "exit_code": 137, "message": "kubelet evicted the pod: too much local storage"}],
            {},
            "Evicted",
            "kubelet evicted the pod: too much local storage",
            id="an-eviction-for-what-it-used-itself-does",
        ),
        pytest.param([], {}, "BackoffLimitExceeded", "too many", id="none-was-seen"),
    ],
)
def test_a_failed_job_without_pods_is_explained_by_the_record(
    recorded: list[dict[str, Any]], spec: dict[str, Any], reason: str, message: str
) -> None:
    known = [
        attempt(number, "abc"[number - 1], number, **({"end_time": at(number + 20)} | each if each else {}))
        for number, each in enumerate(recorded, 1)
    ]
    failure = plan(_ended(at_work(attempts=known, attempt_count=len(known)), job=FAILED, **spec)).status.failure
    assert failure is not None
    assert (failure.reason, failure.message) == (reason, message)


def test_a_failed_job_that_counts_more_than_was_seen_is_not_explained_by_the_record() -> None:
    twice = job(failed_reason="BackoffLimitExceeded", failed_message="too many", finished_at=at(52), failures=2)
    before = at_work(attempts=[attempt(reason="Error", exit_code=3, end_time=at(20))], attempt_count=1)
    failure = plan(_ended(before, job=twice)).status.failure
    assert failure is not None
    assert (failure.reason, failure.message) == ("BackoffLimitExceeded", "too many")


def test_a_failed_job_of_more_attempts_than_are_kept_is_explained_by_the_last_one() -> None:
    kept = [attempt(n, f"{n}", n, reason="Error", exit_code=n, end_time=at(n + 1)) for n in range(6, 26)]
    before = at_work(attempts=kept, attempt_count=27, disruption_count=2)
    for failures, reason in ((25, "Error"), (26, "BackoffLimitExceeded")):
        failure = plan(_ended(before, job=replace(FAILED, failures=failures))).status.failure
        assert failure is not None
        assert failure.reason == reason


@pytest.mark.parametrize(
    ("reason", "said", "message"),
    [
        (
            "Evicted",
            "Usage of EmptyDir volume exceeds 1Gi",
            "kubelet evicted the pod: Usage of EmptyDir volume exceeds",
        ),
        ("OutOfcpu", "Node didn't have enough resource: cpu", "Node didn't have enough resource: cpu"),
    ],
)
def test_a_pod_that_no_container_of_is_known_explains_the_failure_once_it_is_gone_too(
    reason: str, said: str, message: str
) -> None:
    refused = pod(phase="Failed", reason=reason, message=said)
    seen = plan(_ended(status(Phase.PENDING), job=job(), pods=(refused,))).status
    failure = plan(_ended(seen, job=FAILED)).status.failure
    assert failure is not None
    assert failure.reason == reason
    assert failure.message.startswith(message)


def test_a_failed_job_without_pods_whose_work_was_done_is_done() -> None:
    before = at_work(attempts=[attempt(reason="Completed", exit_code=0, end_time=at(20))], attempt_count=1)
    assert plan(_ended(before, job=FAILED)).status.phase == Phase.SUCCEEDED


def test_a_failed_task_has_the_log_exit_code_and_hint() -> None:
    failure = plan(_ended(job=FAILED, pods=(ended_pod(exit_code=134, signal=6),), log="a\nb\n")).status.failure
    assert failure is not None
    assert (failure.exit_code, failure.signal, failure.log_tail) == (134, 6, "a\nb")
    assert failure.hint == "The log tail shows what happened; correct it and start again."


def test_a_failed_job_that_was_never_seen_at_work_binds_the_task_to_it() -> None:
    after = plan(state(task(), 60, job=FAILED, pods=(ended_pod(exit_code=3),))).status
    assert (after.job_ref, after.attempt_count, after.start_time) == (JOB_REF, 1, at(2))


GONE = "the Job is gone; waiting for its pods to end"
JOB_LOST = f"JobLost: somebody deleted Job {JOB_REF.name} before it ended"
JOB_LOST_HELD = f"JobLost: somebody deleted Job {JOB_REF.name} while the task was suspended"
JOB_LOST_UNSEEN = f"JobLost: somebody other than LongTask deleted Job {JOB_REF.name}, and nobody saw how its work ended"
LEFT_BEHIND = running_pod(orphaned=True)
UNPLACED = pod(orphaned=True, node=None)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(_ended(), Step("Failed", JOB_LOST_UNSEEN), id="lost"),
        pytest.param(_ended(pods=(running_pod(gone=True),)), Step("Failed", JOB_LOST), id="lost-with-its-pod"),
        pytest.param(_ended(held(30)), Step("Failed", JOB_LOST_HELD), id="lost-while-held"),
        pytest.param(
            _ended(pods=(running_pod(),)),
            Step("Running", GONE, again=70),
            id="pods-still-work",
        ),
        pytest.param(_ended(pods=(LEFT_BEHIND,)), Step("Running", GONE, again=70), id="left-behind-and-works-on"),
        pytest.param(
            _ended(pods=(LEFT_BEHIND,), cancel_requested=True),
            Step("Running", f"cancelling: {GONE}", ("stop pod-a",), again=70),
            id="left-behind-and-cancelled",
        ),
        pytest.param(
            _ended(pods=(replace(LEFT_BEHIND, deadline=1),), cancel_requested=True),
            Step("Running", f"cancelling: {GONE}", again=70),
            id="left-behind-and-stopping-already",
        ),
        pytest.param(
            _ended(pods=(LEFT_BEHIND,), active_deadline_seconds=58),
            Step("Running", f"stopping, as activeDeadlineSeconds is over: {GONE}", ("stop pod-a",), again=70),
            id="left-behind-and-its-time-is-over",
        ),
        pytest.param(
            _ended(pods=(LEFT_BEHIND,), active_deadline_seconds=60),
            Step("Running", GONE, again=62),
            id="left-behind-and-its-time-is-over-soon",
        ),
        pytest.param(
            _ended(pods=(LEFT_BEHIND,), suspend=True),
            Step("Running", f"suspending, which ends the task: {GONE}", ("delete pod-a",), again=70),
            id="left-behind-and-suspended",
        ),
        pytest.param(
            _ended(status(Phase.PENDING), pods=(UNPLACED,), cancel_requested=True),
            Step("Running", f"cancelling: {GONE}", ("delete pod-a",), again=70),
            id="left-behind-where-no-kubelet-would-stop-it",
        ),
        pytest.param(
            state(task(status(Phase.PENDING)), 601, pods=(UNPLACED,)),
            Step("Running", f"stopping, as no pod has started to work: {GONE}", ("delete pod-a",), again=611),
            id="left-behind-and-never-started",
        ),
        pytest.param(
            _ended(pods=(running_pod(orphaned=True, deleted=at(29)),), cancel_requested=True),
            Step("Running", f"cancelling: {lost_node(running_pod()).in_words}", again=70),
            id="left-behind-on-a-lost-node",
        ),
        pytest.param(
            _ended(pods=(ended_pod(orphaned=True, exit_code=3, told="disk full"),)),
            Step("Failed", f"{JOB_LOST}; its last attempt: exit code 3: disk full"),
            id="left-behind-and-failed",
        ),
        pytest.param(
            _ended(pods=(ended_pod(orphaned=True, told='"done"'),)),
            Step("Succeeded", "completed"),
            id="left-behind-and-done",
        ),
        pytest.param(
            _ended(suspend=True, pods=(ended_pod(orphaned=True, exit_code=143, deleted=at(80)),)),
            Step(
                "Failed",
                f"JobLost: somebody deleted Job {JOB_REF.name}, without which work that was suspended cannot go on",
            ),
            id="left-behind-and-was-suspended",
        ),
        pytest.param(
            _ended(pods=(running_pod(job_uid="of-another-job"),)), Step("Failed", JOB_LOST_UNSEEN), id="not-its-pods"
        ),
        pytest.param(
            _ended(cancel_requested=True),
            Step("Cancelled", "Cancelled: cancelled on request and its Job was removed"),
            id="cancelled",
        ),
        pytest.param(
            _ended(cancel_requested=True, pods=(running_pod(deleted=at(90)),)),
            Step("Running", f"cancelling: {GONE}", again=70),
            id="cancelled-but-the-pod-still-works",
        ),
        pytest.param(
            _ended(active_deadline_seconds=58),
            Step("Failed", "DeadlineExceeded: the work was active for longer than its activeDeadlineSeconds (58 s)"),
            id="deadline-over",
        ),
        pytest.param(_ended(active_deadline_seconds=59), Step("Failed", JOB_LOST_UNSEEN), id="deadline-not-over"),
        pytest.param(
            _ended(active_deadline_seconds=40, attended=at(50)),
            Step("Failed", JOB_LOST_UNSEEN),
            id="deadline-over-by-the-time-somebody-looks-again",
        ),
        pytest.param(
            _ended(active_deadline_seconds=54, attended=at(50), pods=(ended_pod(exit_code=3),)),
            Step("Failed", f"{JOB_LOST}; its last attempt: exit code 3"),
            id="ended-before-the-deadline",
        ),
        pytest.param(
            _ended(
                active_deadline_seconds=49,
                pods=(ended_pod(exit_code=143, signal=15, reason="DeadlineExceeded", deadline=1),),
            ),
            Step("Failed", "DeadlineExceeded: the work was active for longer than its activeDeadlineSeconds (49 s)"),
            id="stopped-for-the-deadline-by-a-node-whose-clock-is-late",
        ),
        pytest.param(
            _ended(active_deadline_seconds=54, pods=(ended_pod(exit_code=3), pod("b", 55, gone=True))),
            Step("Failed", "DeadlineExceeded: the work was active for longer than its activeDeadlineSeconds (54 s)"),
            id="deadline-over-while-the-next-attempt-could-not-start",
        ),
        pytest.param(
            _ended(held(30, active_seconds=58), active_deadline_seconds=58),
            Step("Failed", JOB_LOST_HELD),
            id="deadline-cannot-be-over-while-held",
        ),
    ],
)
def test_a_job_that_is_gone(given: TaskState, expected: Step) -> None:
    assert step(plan(given)) == expected


@pytest.mark.parametrize("exit_code", [0, 3])
def test_work_without_its_job_was_active_until_its_end_whenever_that_is_seen(exit_code: int) -> None:
    after = plan(state(task(at_work()), 9000, pods=(ended_pod(ended=100, exit_code=exit_code),))).status
    assert (after.active_seconds, after.active_since) == (98, None)


SILENT = SNAPSHOT.model_copy(update={"stall": StallPolicy(timeout_seconds=40, action=StallAction.RETRY)})
EVIDENCE = "the work has told nothing for 58 s; it has never told progress; pod pod-a runs on node-1"


def test_work_without_its_job_that_tells_nothing_is_ended_for_it() -> None:
    """In as many writes as with its Job: it is said, decided, done, and then told as the cause."""
    before, told = task(at_work(template_snapshot=SILENT)), []
    for now in (60, 70, 71):
        after = plan(state(before, now, pods=(LEFT_BEHIND,)))
        told.append((step(after).message, step(after).actions, step(after).again))
        before = written(before, after)
    assert told == [
        (f"{GONE}, but stalled: {EVIDENCE}", (), 61),
        (f"stalled: {EVIDENCE}; ending the attempt", (), 71),
        (f"stalled: {EVIDENCE}; ending the attempt", ("stop pod-a",), 81),
    ]
    stopped = ended_pod(
        ended=80, exit_code=143, signal=15, reason="DeadlineExceeded", deadline=1, phase="Failed", orphaned=True
    )
    failure = plan(state(before, 85, pods=(stopped,), log="step 7")).status.failure
    assert failure is not None
    assert (failure.reason, failure.exit_code, failure.log_tail) == ("Stalled", 143, "step 7")
    assert failure.message == EVIDENCE.replace("has told", "had told", 1).replace("runs", "ran")


def test_a_question_of_work_without_its_job_is_waited_for() -> None:
    asked = InputRequest(id="go", message="Deploy?", created_time=at(50))
    after = plan(_ended(at_work(input_requests=[asked]), pods=(LEFT_BEHIND,))).status
    assert after.phase is Phase.WAITING_FOR_INPUT
    assert after.message is not None
    assert after.message.startswith("waiting for input: Deploy?")


def test_the_end_of_work_with_a_probe_and_without_its_job_waits_for_what_kubelet_tells() -> None:
    probed = ended_pod(ended=59, orphaned=True, probed=True)
    assert step(plan(_ended(pods=(probed,)))) == Step("Running", "", again=61, deferred=True)
    after = plan(_ended(pods=(replace(probed, ended_by_kubelet="LivenessProbeFailed"),))).status
    assert after.message == f"{JOB_LOST}; its last attempt: exit code 0 when kubelet ended it (LivenessProbeFailed)"
    assert after.attempts[0].reason == "LivenessProbeFailed"


def test_the_end_of_the_container_without_a_job_waits_for_that_of_its_pod() -> None:
    still = ended_pod(ended=59, orphaned=True, phase="Running")
    assert step(plan(_ended(pods=(still,)))) == Step("Running", "", again=61, deferred=True)
    assert step(plan(replace(_ended(pods=(still,)), now=at(61)))) == Step("Running", GONE, again=71)


def test_a_result_without_a_job_that_does_not_fit_says_to_what() -> None:
    after = plan(_ended(pods=(ended_pod(told="7", orphaned=True),), mismatch="7 is no object")).status
    assert after.message == (
        "InvalidResult: the work succeeded but its result does not fit the template's resultSchema: 7 is no object"
    )


@pytest.mark.parametrize(
    "given",
    [
        _ended(job=job(complete=True, finished_at=at(660)), pods=(ended_pod(probed=True),)),
        _ended(job=replace(FAILED, finished_at=at(660)), pods=(ended_pod(probed=True, exit_code=137),), events=()),
        _ended(pods=(ended_pod(ended=660, probed=True, orphaned=True),)),
    ],
    ids=["complete", "failed", "without its Job"],
)
def test_an_end_by_a_clock_that_is_minutes_ahead_is_not_waited_for(given: TaskState) -> None:
    after = plan(given)
    assert not after.defer_status
    assert after.status.completion_time is not None


def test_a_lost_job_ends_the_attempt_and_says_what_to_do() -> None:
    after = plan(_ended()).status
    assert [(a.end_time, a.reason) for a in after.attempts] == [(at(60), "Deleted")]
    assert after.completion_time == at(60)
    assert after.failure is not None
    assert after.failure.hint == "See whether the work was done before you start it again: it may have been."


@pytest.mark.parametrize(
    ("spec", "reason"),
    [({}, "JobLost"), ({"cancel_requested": True}, "Cancelled"), ({"active_deadline_seconds": 40}, "DeadlineExceeded")],
)
def test_work_that_lost_its_job_has_the_log_and_exit_code_of_its_last_pod(spec: dict[str, Any], reason: str) -> None:
    failure = plan(_ended(pods=(ended_pod(exit_code=137, signal=9, gone=True),), log="a\nb\n", **spec)).status.failure
    assert failure is not None
    assert (failure.reason, failure.exit_code, failure.signal, failure.log_tail) == (reason, 137, 9, "a\nb")


@pytest.mark.parametrize("reason", ["OutOfnvidia.com/gpu", "X" * 65])
def test_a_pod_that_failed_for_a_reason_in_its_own_spelling_ends_the_task_too(reason: str) -> None:
    refused = pod(phase="Failed", reason=reason, message="Node didn't have enough resource: nvidia.com/gpu")
    after = plan(_ended(status(Phase.PENDING), job=FAILED, pods=(refused,))).status
    assert after.phase is Phase.FAILED
    assert after.failure is not None
    assert "nvidia.com/gpu" in after.failure.message


def test_a_stop_for_the_total_deadline_is_told_as_such_although_active_since_was_never_written() -> None:
    stopped = ended_pod(exit_code=137, reason="DeadlineExceeded", deadline=1)
    given = state(task(active_deadline_seconds=40), 60, job=FAILED, pods=(stopped,))
    failure = plan(given).status.failure
    assert failure is not None
    assert failure.message == "the work was active for longer than its activeDeadlineSeconds (40 s)"


@pytest.mark.parametrize(
    ("own", "maximum", "setting"),
    [
        (None, None, "activeDeadlineSeconds of the LongTaskTemplate."),
        (40, None, "spec.activeDeadlineSeconds of the task, when it is started again."),
        (50, 40, "maxActiveDeadlineSeconds of the LongTaskTemplate."),
    ],
    ids=["of the template", "of the task", "at most"],
)
def test_a_stop_for_the_total_deadline_says_where_that_is_set(
    own: int | None, maximum: int | None, setting: str
) -> None:
    times = {"active_deadline_seconds": 40, "max_active_deadline_seconds": maximum}
    snapshot = SNAPSHOT.model_copy(update=times)
    stopped = ended_pod(exit_code=137, reason="DeadlineExceeded", deadline=1)
    given = _ended(
        at_work(template_snapshot=snapshot),
        active_deadline_seconds=own,
        job=job(failed_reason="DeadlineExceeded", finished_at=at(52), snapshot=snapshot),
        pods=(stopped,),
    )
    after = plan(given).status
    assert after.failure is not None
    assert after.failure.hint == f"Give it less to do, or more time: {setting}"


@pytest.mark.parametrize("gone", [True, False], ids=["without its Job", "with its Job"])
def test_an_attempt_that_was_stopped_and_given_more_time_before_that_was_seen_names_no_deadline(*, gone: bool) -> None:
    stopped = ended_pod(exit_code=143, signal=15, reason="DeadlineExceeded", deadline=1)
    after = plan(_ended(active_deadline_seconds=7200, job=None if gone else FAILED, pods=(stopped,))).status
    assert after.attempts[0].message == STOPPED
    assert after.failure is not None
    assert STOPPED in after.failure.message


def test_an_attempt_without_a_job_that_was_stopped_as_it_did_not_start_says_so() -> None:
    stopped = pod(orphaned=True, deadline=1, phase="Failed", reason="DeadlineExceeded")
    after = plan(state(task(status(Phase.PENDING)), 610, pods=(stopped,))).status
    assert after.message == f"{JOB_LOST}; its last attempt: {STOPPED}"


def test_an_attempt_that_was_stopped_for_the_deadline_of_the_task_says_so() -> None:
    stopped = ended_pod(exit_code=137, reason="DeadlineExceeded", deadline=1)
    given = _ended(active_deadline_seconds=40, job=job(backoff_limit=0), pods=(stopped,))
    (ended,) = plan(given).status.attempts
    assert ended.message == "the work was active for longer than its activeDeadlineSeconds (40 s)"


def test_an_attempt_that_kubelet_ended_for_a_probe_says_so_as_the_failure_does() -> None:
    killed = ended_pod(exit_code=137, signal=9, probed=True)
    event = PodEvent(at(45), "Unhealthy", "Liveness probe failed: no heartbeat", True, "main")
    after = plan(_ended(job=FAILED, pods=(killed,), events=(event,))).status
    assert after.failure is not None
    told = (after.failure.reason, after.failure.message)
    assert told == ("LivenessProbeFailed", "kubelet ended the work: Liveness probe failed: no heartbeat")
    assert [(each.reason, each.message) for each in after.attempts] == [told]


def test_a_probe_ends_one_attempt_and_says_in_short_why() -> None:
    first, second = ended_pod(exit_code=1), ended_pod("b", 60, ended=90, exit_code=137, signal=9, probed=True)
    event = PodEvent(at(85), "Unhealthy", "Liveness probe failed: " + "x" * 2000, True, "main")
    gone_badly = job(failed_reason="BackoffLimitExceeded", finished_at=at(95), failures=2)
    after = plan(_ended(job=gone_badly, pods=(first, second), events=(event,))).status
    assert [each.reason for each in after.attempts] == ["Error", "LivenessProbeFailed"]
    assert 0.9 * ATTEMPT_TEXT_LIMIT < len(after.attempts[1].message or "") <= ATTEMPT_TEXT_LIMIT


def test_a_total_deadline_that_ends_a_task_between_attempts_is_told() -> None:
    before = at_work(attempts=[attempt(end_time=at(30), reason="Error")])
    given = _ended(
        before,
        active_deadline_seconds=40,
        job=job(failed_reason="BackoffLimitExceeded", finished_at=at(52), failures=1, backoff_limit=0),
        pods=(ended_pod(exit_code=3, ended=30),),
    )
    failure = plan(given).status.failure
    assert failure is not None
    assert "activeDeadlineSeconds" in failure.message


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(_ended(status(Phase.PENDING), job=COMPLETE, pods=(ended_pod(),)), id="completed"),
        pytest.param(_ended(status(Phase.PENDING), job=FAILED, pods=(ended_pod(exit_code=1),)), id="failed"),
        pytest.param(
            state(
                task(status(Phase.PENDING), suspend=True),
                60,
                job=job(suspend=True, suspended_since=at(52)),
                pods=(running_pod(gone=True),),
            ),
            id="held",
        ),
    ],
)
def test_work_that_was_never_seen_running_has_its_active_time_too(given: TaskState) -> None:
    assert plan(given).status.active_seconds in (48, 50)


def test_a_result_that_was_seen_is_not_lost_with_the_job() -> None:
    after = plan(_ended(pods=(ended_pod(told="7", gone=True),))).status
    assert after.result == Result(value=7)


def test_a_cancel_that_removed_the_job_of_work_that_was_done_does_not_take_the_result() -> None:
    after = plan(_ended(cancel_requested=True, pods=(ended_pod(told="7", gone=True),))).status
    assert (after.phase, after.result) == (Phase.SUCCEEDED, Result(value=7))


def test_work_that_was_never_seen_running_has_its_active_time_although_its_job_is_gone() -> None:
    assert plan(_ended(status(Phase.PENDING), pods=(ended_pod(gone=True),))).status.active_seconds


SCHEMA = '{"type": "object"}'
HANDED_IN = Result(attempt=1, value={"score": 1}, artifacts=[Artifact(name="model", uri="configmap:m")])


def test_what_the_successful_attempt_handed_in_is_the_result() -> None:
    after = plan(_ended(at_work(result=HANDED_IN), job=COMPLETE, pods=(ended_pod(told="other"),)))
    assert step(after) == Step("Succeeded", "completed")
    assert after.status.result == HANDED_IN


def test_a_result_that_was_handed_in_is_not_lost_with_its_pod() -> None:
    after = plan(_ended(at_work(result=HANDED_IN), job=COMPLETE)).status
    assert (after.phase, after.message, after.result) == (Phase.SUCCEEDED, "completed", HANDED_IN)


def test_the_summary_that_was_handed_in_is_the_message() -> None:
    told = HANDED_IN.model_copy(update={"summary": "score 1"})
    assert plan(_ended(at_work(result=told), job=COMPLETE, pods=(ended_pod(),))).status.message == "score 1"


@pytest.mark.parametrize(
    ("stored", "told", "mismatch", "what", "kept"),
    [
        pytest.param(
            HANDED_IN.model_copy(update={"mismatch": "score: is too small"}),
            "",
            None,
            "result does not fit",
            HANDED_IN.model_copy(update={"mismatch": "score: is too small"}),
            id="handed-in",
        ),
        pytest.param(
            None,
            "7",
            "score: is too small",
            "result does not fit",
            Result(value=7, mismatch="score: is too small"),
            id="termination-message",
        ),
        pytest.param(
            Result(artifacts=HANDED_IN.artifacts),
            "",
            "score: is too small",
            "termination message is empty, which does not fit",
            Result(mismatch="score: is too small", artifacts=HANDED_IN.artifacts),
            id="nothing-given",
        ),
    ],
)
def test_a_result_that_does_not_fit_fails_the_task_and_is_kept(
    stored: Result | None, told: str, mismatch: str | None, what: str, kept: Result
) -> None:
    after = plan(
        _ended(
            at_work(result=stored),
            job=job(complete=True, finished_at=at(52), result_schema=SCHEMA),
            pods=(ended_pod(told=told),),
            mismatch=mismatch,
            log="epoch 1\n",
        )
    ).status
    message = f"the work succeeded but its {what} the template's resultSchema: score: is too small"
    assert after.failure is not None
    assert (after.phase, after.failure.reason, after.failure.message) == (Phase.FAILED, "InvalidResult", message)
    advice = "Correct what the work gives, or resultSchema in the LongTaskTemplate."
    assert after.failure.hint == f"{'It is kept in status.result. ' if kept.has_content else ''}{advice}"
    assert (after.failure.log_tail, after.result) == ("epoch 1", kept)


def test_the_mismatch_of_a_termination_message_says_nothing_of_what_was_handed_in() -> None:
    given = _ended(at_work(result=HANDED_IN), job=COMPLETE, pods=(ended_pod(told="7"),), mismatch="is wrong")
    assert plan(given).status.phase is Phase.SUCCEEDED


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"job": FAILED, "pods": (ended_pod(exit_code=3),)}, id="failed"),
        pytest.param({"job": FAILED, "pods": (ended_pod(exit_code=3),), "cancel_requested": True}, id="cancelled"),
        pytest.param({"job": COMPLETE, "pods": (ended_pod("b", told="x" * 4096),)}, id="result-too-large"),
        pytest.param({}, id="job-lost"),
    ],
)
def test_what_was_handed_in_stays_where_the_task_did_not_succeed(given: dict[str, Any]) -> None:
    stored = _ended(at_work(result=HANDED_IN), **given)
    after = plan(stored)
    assert after.status.phase in (Phase.FAILED, Phase.CANCELLED)
    assert "result" not in owned(after.status)
    assert written(stored.task, after).status.result == HANDED_IN


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (None, None),
        ("", None),
        ("epoch 1\nepoch 2\n", "epoch 1\nepoch 2"),
        ("x" * 3000 + "\n" + "y" * 1500 + "\n", "y" * 1500),
        ("\U0001f600" * 5000, "\U0001f600" * 4096),
    ],
    ids=["none", "empty", "short", "whole-lines", "one-long-line"],
)
def test_a_task_that_succeeded_keeps_the_end_of_its_log(log: str | None, expected: str | None) -> None:
    after = plan(_ended(job=COMPLETE, pods=(ended_pod(),), log=log)).status
    assert (after.phase, after.log_tail) == (Phase.SUCCEEDED, expected)


@pytest.mark.parametrize(
    ("attempt_that_told", "known"), [(1, "limit 2Gi; 2000Mi at the last report"), (2, "limit 2Gi")]
)
def test_an_attempt_that_used_too_much_memory_says_what_it_told_itself(attempt_that_told: int, known: str) -> None:
    told = Progress(attempt=attempt_that_told, sequence=1, memory_bytes=2000 * 2**20)
    killed = ended_pod(exit_code=137, why="OOMKilled", memory_limit="2Gi")
    failure = plan(_ended(at_work(progress=told), job=FAILED, pods=(killed,))).status.failure
    assert failure is not None
    assert failure.message == f"the work used more memory than it may have ({known})"


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ({"fraction": 0.87, "display": "87%"}, "done (last report: 87%)"),
        ({"fraction": 0.875, "display": "87% (epoch 7/8)"}, "done (last report: 87% (epoch 7/8))"),
        ({"fraction": 0.5, "display": "50% (" + "x" * 58 + ")"}, "done (last report: 50% (" + "x" * 40),
        ({"fraction": 1, "display": "100%"}, "100%"),
        ({"display": "1,234 rows"}, "1,234 rows"),
    ],
)
def test_work_that_is_done_is_shown_as_such_whatever_it_told_last(told: dict[str, Any], shown: str) -> None:
    last = Progress(attempt=1, sequence=4, updated_time=at(40), **told)
    given = _ended(at_work(progress=last), job=COMPLETE, pods=(ended_pod(),))
    stored = written(given.task, plan(given)).status.progress
    assert stored == last.model_copy(update={"display": shown})


@pytest.mark.parametrize("cancelled", [True, False])
def test_work_that_is_not_done_is_shown_as_far_as_it_told(cancelled: bool) -> None:
    last = Progress(attempt=1, sequence=4, fraction=0.87, display="87%", updated_time=at(40))
    given = _ended(at_work(progress=last), job=FAILED, pods=(ended_pod(exit_code=3),), cancel_requested=cancelled)
    after = plan(given)
    assert after.status.progress == last
    assert "progress" not in owned(after.status)
