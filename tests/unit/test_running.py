"""A task whose Job has not ended: it starts, runs, is retried, is held."""

from typing import Any

import pytest

from longtask_api.base import rfc3339
from longtask_api.conditions import find
from longtask_api.longtask import ConditionType, LongTask, LongTaskStatus, Phase
from longtask_operator.planning import failure_reasons
from longtask_operator.planning.failure_reasons import PodCreateFailure
from longtask_operator.planning.plan import plan
from longtask_operator.planning.snapshots import PodSnapshot, Termination
from longtask_operator.planning.state import TaskState
from tests.unit.given import (
    JOB_REF,
    JOB_UID,
    SNAPSHOT,
    Step,
    at,
    at_work,
    attempt,
    condition,
    container,
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

WAITING = "waiting for the pod to start"
PENDING = status(Phase.PENDING)
SILENT = (
    "NodeLost: node node-1 does not answer, so it is not known whether pod pod-a still works; nothing is started "
    "beside it. Bring the node back, or delete it (kubectl delete node node-1), or taint it "
    "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute: then the next attempt starts."
)
QUEUED = f"queued: somebody other than LongTask holds Job {JOB_REF.name}; they let it go on"
HELD_BY_OTHERS = status(Phase.QUEUED, condition(ConditionType.SUSPENDED, reason="HeldByOthers", since=90))
QUOTA = 'Error creating: pods "x" is forbidden: exceeded quota: pods, used: 2, limited: 2'
SECURITY = 'Error creating: pods "x" is forbidden: violates PodSecurity "restricted:latest"'
QUOTA_TOLD = "Error creating: the pod is forbidden: exceeded quota: pods, limited: 2"
SECURITY_TOLD = 'Error creating: the pod is forbidden: violates PodSecurity "restricted:latest"'


def _given(now: float, before: LongTaskStatus | None = None, /, **known: Any) -> TaskState:
    spec = {key: known.pop(key) for key in ("suspend", "cancel_requested") if key in known}
    return state(task(before, **spec), now, **{"job": job()} | known)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(_given(1), Step("Pending", WAITING, again=2, deferred=True), id="no-pod-yet-quiet"),
        pytest.param(
            _given(1, pods=(pod(),)), Step("Pending", WAITING, again=2, deferred=True), id="pod-not-started-quiet"
        ),
        pytest.param(
            _given(3, busy=True), Step("Pending", WAITING, again=10, deferred=True), id="no-pod-yet-while-many-start"
        ),
        pytest.param(_given(10, busy=True), Step("Pending", WAITING, again=20), id="no-pod-for-long-while-many-start"),
        pytest.param(
            _given(3, job=job(snapshot=SNAPSHOT.model_copy(update={"start_timeout_seconds": 5})), busy=True),
            Step("Pending", WAITING, again=5, deferred=True),
            id="no-pod-yet-and-little-time-while-many-start",
        ),
        pytest.param(
            _given(5, at_work(), busy=True, pods=(ended_pod(exit_code=0, ended=4),)),
            Step("Running", "", again=14, deferred=True),
            id="work-done-while-many-start",
        ),
        pytest.param(
            _given(5, at_work(), busy=True, pods=(ended_pod(exit_code=1, ended=4),)),
            Step("Running", "", again=6, deferred=True),
            id="attempt-failed-while-many-start",
        ),
        pytest.param(
            _given(5, busy=True, pods=(pod(others=(container("fetch", "init", running_since=at(4)),)),)),
            Step("Running", f"running: init container fetch runs since {rfc3339(at(4))}", again=6, deferred=True),
            id="prepares-while-many-start",
        ),
        pytest.param(_given(1, PENDING), Step("Pending", WAITING, again=11), id="not-quiet-once-job-ref-is-written"),
        pytest.param(_given(2), Step("Pending", WAITING, again=12), id="no-pod"),
        pytest.param(_given(2, pods=(pod(),)), Step("Pending", WAITING, again=12), id="pod-not-started"),
        pytest.param(
            _given(1, pods=(pod(waiting_reason="ErrImagePull", waiting_message="no such tag"),)),
            Step(
                "Pending",
                f"ImagePullBackOff: the container cannot start: no such tag. {failure_reasons.IMAGE_HINT}",
                again=601,
            ),
            id="trouble-is-told-at-once",
        ),
        pytest.param(
            _given(30, PENDING, refusals=(PodCreateFailure(at(20), QUOTA),)),
            Step(
                "Pending",
                f"QuotaExceeded: the namespace refuses the pod: {QUOTA_TOLD}. {failure_reasons.QUOTA_HINT}",
                again=40,
            ),
            id="quota-refuses-the-pod",
        ),
        pytest.param(
            _given(599, PENDING, refusals=(PodCreateFailure(at(0), QUOTA),)),
            Step(
                "Pending",
                f"QuotaExceeded: the namespace refuses the pod: {QUOTA_TOLD}. {failure_reasons.QUOTA_HINT}",
                again=609,
            ),
            id="quota-refuses-the-pod-and-time-is-nearly-over",
        ),
        pytest.param(_given(3, pods=(running_pod(),)), Step("Running", "running", again=3602), id="running"),
        pytest.param(
            _given(1.5, pods=(running_pod(created=0),)), Step("Running", "running", again=3601), id="running-at-once"
        ),
        pytest.param(
            _given(
                90,
                at_work(
                    attempt_count=2,
                    attempts=[attempt(end_time=at(50), reason="Error"), attempt(2, "b", 61)],
                ),
                pods=(ended_pod(exit_code=1), running_pod("b", 60)),
            ),
            Step("Running", "running, attempt 2", again=3602),
            id="running-again",
        ),
        pytest.param(
            _given(90, at_work(), pods=(running_pod(deleted=at(70)),)),
            Step("Running", "running", again=100),
            id="overdue-but-not-silent-yet",
        ),
        pytest.param(
            _given(100, at_work(), pods=(running_pod(deleted=at(70)),)),
            Step("Running", SILENT, again=3602),
            id="node-lost",
        ),
        pytest.param(
            _given(100, PENDING, pods=(pod(deleted=at(70)),)), Step("Running", SILENT), id="node-lost-before-the-start"
        ),
        pytest.param(
            _given(100, PENDING, pods=(pod(deleted=at(70), node=None),)),
            Step("Pending", WAITING, again=601),
            id="no-node-that-could-be-lost",
        ),
        pytest.param(
            _given(100, at_work(), pods=(ended_pod(exit_code=1, ended=99),)),
            Step("Running", "", again=101, deferred=True),
            id="attempt-just-ended-quiet",
        ),
        pytest.param(
            _given(101, at_work(), pods=(ended_pod(exit_code=1, ended=99),)),
            Step("Pending", "attempt 1 ended (Error, exit code 1); starting the next one", again=111),
            id="between-attempts",
        ),
        pytest.param(
            _given(101, at_work(), pods=(ended_pod(ended=99),)),
            Step("Running", "the work is done; waiting for its Job to say so", again=3602),
            id="done-but-the-job-does-not-know",
        ),
        pytest.param(
            _given(101, at_work(), pods=(ended_pod(exit_code=1, ended=60), pod("b", 70))),
            Step("Pending", WAITING, again=111),
            id="next-pod-not-started",
        ),
        pytest.param(
            _given(50, at_work(), job=job(snapshot=None), pods=(running_pod(),)),
            Step("Running", "running", again=3602),
            id="a-job-without-its-annotation-has-the-stored-snapshot",
        ),
        pytest.param(
            _given(50, job=job(snapshot=None), pods=(running_pod(),)),
            Step(
                "Pending",
                "the terms of Job training-1-8f3c2a1b are not known: its annotation longtask.dev/template-snapshot "
                "cannot be read. Put it back as it was, or delete this task and start another one.",
            ),
            id="nothing-is-known-of-the-template",
        ),
    ],
)
def test_the_next_step_at_work(given: TaskState, expected: Step) -> None:
    assert step(plan(given)) == expected


@pytest.mark.parametrize(
    ("given", "reason", "message"),
    [
        pytest.param(_given(600, PENDING), "StartTimeout", "no pod started to work within 600 s", id="no-pod"),
        pytest.param(
            _given(601, PENDING, pods=(pod(),)), "StartTimeout", "no pod started to work within 600 s", id="silent-pod"
        ),
        pytest.param(
            _given(601, PENDING, pods=(pod(node=None, unschedulable="0/3 nodes are available"),)),
            "Unschedulable",
            "gave up after 600 s: no node takes the pod: 0/3 nodes are available",
            id="unschedulable",
        ),
        pytest.param(
            _given(601, PENDING, pods=(pod(waiting_reason="ImagePullBackOff", waiting_message="no such tag"),)),
            "ImagePullBackOff",
            "gave up after 600 s: the container cannot start: no such tag",
            id="image",
        ),
        pytest.param(
            _given(601, PENDING, pods=(pod(waiting_reason="CreateContainerConfigError"),)),
            "CreateContainerConfigError",
            "gave up after 600 s: the container cannot start: CreateContainerConfigError",
            id="config",
        ),
        pytest.param(
            _given(600, PENDING, refusals=(PodCreateFailure(at(590), QUOTA), PodCreateFailure(at(10), SECURITY))),
            "QuotaExceeded",
            f"gave up after 600 s: the namespace refuses the pod: {QUOTA_TOLD}",
            id="quota",
        ),
        pytest.param(
            _given(600, PENDING, refusals=(PodCreateFailure(at(10), QUOTA), PodCreateFailure(at(590), SECURITY))),
            "PodSecurityViolation",
            f"gave up after 600 s: the namespace refuses the pod: {SECURITY_TOLD}",
            id="pod-security",
        ),
        pytest.param(
            _given(670, at_work(), pods=(ended_pod(exit_code=1, ended=60), pod("b", 70))),
            "StartTimeout",
            "no pod started to work within 600 s",
            id="a-later-attempt-has-its-own-time",
        ),
    ],
)
def test_work_that_never_starts_ends(given: TaskState, reason: str, message: str) -> None:
    after = plan(given)
    assert after.status.phase is Phase.FAILED
    assert after.status.failure is not None
    assert (after.status.failure.reason, after.status.failure.message) == (reason, message)
    assert after.status.failure.hint
    assert after.status.completion_time == given.now


def test_a_very_long_trouble_is_cut_to_what_a_status_holds() -> None:
    problem = pod(waiting_reason="ErrImagePull", waiting_message="x" * 5000)
    waiting, ended = (plan(_given(now, PENDING, pods=(problem,))).status for now in (30, 601))
    assert 4000 < len(waiting.message or "") <= 4096
    assert ended.failure is not None
    assert 4000 < len(ended.failure.message) <= 4096


def test_a_started_task_is_accepted_and_bound_to_its_job_and_snapshot() -> None:
    after = plan(_given(3, pods=(running_pod(),))).status
    assert (after.job_ref, after.template_snapshot, after.observed_generation) == (JOB_REF, SNAPSHOT, 1)
    accepted, succeeded = (find(after.conditions, kind) for kind in ("Accepted", "Succeeded"))
    assert accepted is not None
    assert succeeded is not None
    assert (accepted.status, accepted.reason) == ("True", "Accepted")
    assert (succeeded.status, succeeded.reason) == ("Unknown", "Running")
    assert (after.start_time, after.active_since, after.attempt_count) == (at(2), at(2), 1)


@pytest.mark.parametrize(("disruptions", "phase"), [(2, Phase.RUNNING), (3, Phase.FAILED)])
def test_more_disruptions_than_the_template_allows_end_the_task(disruptions: int, phase: Phase) -> None:
    before = at_work(disruption_count=disruptions, attempt_count=4, attempts=[attempt(4)])
    after = plan(_given(50, before, pods=(running_pod(),))).status
    assert after.phase is phase
    if phase is Phase.FAILED:
        assert after.failure is not None
        assert after.failure.reason == "TooManyDisruptions"
        assert after.failure.message == "the cluster took the pod away 3 times; the template allows 2"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(
            _given(50, at_work(), suspend=True, pods=(running_pod(),)),
            Step("Running", "", (f"suspend {JOB_UID}",), again=60),
            id="asked-to-hold",
        ),
        pytest.param(
            _given(50, at_work(), suspend=True, job=job(suspend=True), pods=(running_pod(deleted=at(80)),)),
            Step("Running", "suspending: waiting for the pod to end", again=60),
            id="pod-still-ends",
        ),
        pytest.param(
            _given(50, at_work(), suspend=True, job=job(suspend=True, terminating=1)),
            Step("Running", "suspending: waiting for the pod to end", again=60),
            id="pod-not-seen-still-ends",
        ),
        pytest.param(
            _given(110, at_work(), suspend=True, job=job(suspend=True), pods=(running_pod(deleted=at(80)),)),
            Step("Running", SILENT.removeprefix("NodeLost: ").partition(". Bring")[0], again=120),
            id="node-lost-while-suspending",
        ),
        pytest.param(
            _given(90, at_work(), suspend=True, job=job(suspend=True), pods=(running_pod(gone=True, deleted=at(80)),)),
            Step("Suspended", "suspended; set spec.suspend to false to go on"),
            id="held",
        ),
        pytest.param(
            _given(5, suspend=True, job=job(suspend=True)),
            Step("Suspended", "suspended; set spec.suspend to false to go on"),
            id="held-from-the-start",
        ),
        pytest.param(
            _given(900, job=job(suspend=True, held=True)),
            Step(None, None, (f"resume {JOB_UID}",), again=910),
            id="asked-to-go-on-before-anything-was-written",
        ),
        pytest.param(
            _given(9000, held(90), job=job(suspend=True, held=True)),
            Step("Suspended", "", (f"resume {JOB_UID}",), again=9010),
            id="asked-to-go-on-after-a-long-time",
        ),
        pytest.param(_given(900, job=job(suspend=True)), Step("Queued", QUEUED), id="held-by-others-from-the-start"),
        pytest.param(
            _given(900, at_work(), job=job(suspend=True, suspended_since=at(90))),
            Step("Queued", QUEUED),
            id="held-by-others-while-it-ran",
        ),
        pytest.param(
            _given(900, at_work(), job=job(suspend=True), pods=(running_pod(deleted=at(899)),)),
            Step("Running", "suspending: waiting for the pod to end", again=910),
            id="held-by-others-and-its-pod-has-not-ended",
        ),
        pytest.param(
            _given(900, HELD_BY_OTHERS, suspend=True, job=job(suspend=True)),
            Step("Suspended", "suspended; set spec.suspend to false to go on"),
            id="held-by-others-and-by-longtask",
        ),
        pytest.param(
            _given(900, HELD_BY_OTHERS, job=job(suspend=True)),
            Step("Queued", QUEUED),
            id="let-go-by-longtask-and-held-by-others",
        ),
        pytest.param(
            _given(900, held(90), suspend=True, job=job(held=True), pods=(running_pod("b", 890),)),
            Step(
                "Running",
                f"running; spec.suspend is true, but somebody else has let Job {JOB_REF.name} go on",
                again=891 + 3600,
            ),
            id="let-go-by-others-is-not-fought",
        ),
        pytest.param(
            _given(900, held(90), job=job(held=True), pods=(running_pod("b", 890),)),
            Step("Suspended", "", (f"resume {JOB_UID}",), again=910),
            id="let-go-by-others-and-the-note-is-changed",
        ),
        pytest.param(
            _given(900, held(90), pods=(running_pod("b", 890),)),
            Step("Running", "running", again=891 + 3600),
            id="goes-on",
        ),
    ],
)
def test_the_next_step_of_a_task_that_is_held_or_let_go(given: TaskState, expected: Step) -> None:
    assert step(plan(given)) == expected


def test_the_start_timeout_of_a_task_that_was_let_go_counts_from_then() -> None:
    let_go = written(task(held(90)), plan(_given(900, held(90), pods=())))
    resumed = find(let_go.status.conditions, ConditionType.SUSPENDED)
    assert resumed is not None
    assert (resumed.status, resumed.reason, resumed.last_transition_time) == ("False", "Resumed", at(900))
    assert plan(state(let_go, 1499, job=job())).status.phase is Phase.PENDING
    assert plan(state(let_go, 1500, job=job())).status.phase is Phase.FAILED


def test_the_suspended_condition_says_since_when() -> None:
    suspended = job(suspend=True, suspended_since=at(80))
    after = plan(_given(90, at_work(), suspend=True, job=suspended, pods=())).status
    condition = find(after.conditions, ConditionType.SUSPENDED)
    assert condition is not None
    assert (condition.status, condition.reason, condition.last_transition_time) == ("True", "Suspended", at(90))


def test_no_deadline_runs_while_others_hold_the_job() -> None:
    after = plan(_given(9000, at_work(), job=job(suspend=True, suspended_since=at(90)))).status
    assert (after.active_since, after.active_seconds) == (None, 88)
    condition = find(after.conditions, ConditionType.SUSPENDED)
    assert condition is not None
    assert (condition.status, condition.reason) == ("True", "HeldByOthers")


FETCHES = container("fetch", "init", running_since=at(3))
FETCHED = container("fetch", "init", exit_code=0)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(
            _given(700, PENDING, pods=(pod(others=(FETCHES,)),)),
            Step("Running", "running: init container fetch runs since 2026-03-01T10:00:03Z", again=3603),
            id="past-the-start-timeout",
        ),
        pytest.param(
            _given(4, PENDING, pods=(pod(others=(FETCHES,)),)),
            Step("Running", "running: init container fetch runs since 2026-03-01T10:00:03Z", again=5, deferred=True),
            id="quiet-while-it-may-be-done-in-a-moment",
        ),
        pytest.param(
            _given(51, at_work(), pods=(pod(others=(FETCHED,)),)),
            Step("Pending", WAITING, again=52, deferred=True),
            id="done-and-the-work-is-about-to-start",
        ),
        pytest.param(
            _given(60, at_work(), pods=(pod(others=(FETCHED,), waiting_reason="ErrImagePull"),)),
            Step(
                "Pending",
                f"ImagePullBackOff: the container cannot start: ErrImagePull. {failure_reasons.IMAGE_HINT}",
                again=650,
            ),
            id="done-and-the-work-cannot-start",
        ),
        pytest.param(
            _given(601, PENDING, pods=(pod(others=(container("proxy", "sidecar", running_since=at(3)),)),)),
            Step("Failed", "StartTimeout: no pod started to work within 600 s"),
            id="a-sidecar-begins-nothing",
        ),
        pytest.param(
            _given(60, at_work(), pods=(running_pod(others=(FETCHED,)),)),
            Step("Running", "running", again=3602),
            id="the-work-runs",
        ),
    ],
)
def test_the_next_step_of_a_pod_with_init_containers(given: TaskState, expected: Step) -> None:
    assert step(plan(given)) == expected


def test_a_task_that_was_never_held_has_no_suspended_condition() -> None:
    assert find(plan(_given(3, pods=(running_pod(),))).status.conditions, ConditionType.SUSPENDED) is None


def test_what_the_work_reported_is_kept() -> None:
    told = {"attempt": 1, "sequence": 5, "message": "epoch 6"}
    before = LongTaskStatus.from_api(at_work().to_api() | {"progress": told})
    assert plan(_given(50, before, pods=(running_pod(),))).status.progress == before.progress


def _seen_at_work_again(now: float, stored: LongTaskStatus) -> LongTask:
    return written(task(stored), plan(_given(now, stored)))


@pytest.mark.parametrize(
    "stored",
    [
        pytest.param(
            held(90, attempt_count=1, attempts=[attempt(end_time=at(80), reason="Suspended")]), id="after-a-resume"
        ),
        pytest.param(at_work(attempts=[attempt(end_time=at(80), reason="Evicted")]), id="after-an-eviction"),
    ],
)
def test_an_attempt_whose_pod_cannot_be_created_tells_why_and_ends(stored: LongTaskStatus) -> None:
    waiting = _seen_at_work_again(100, stored)
    refusals = (PodCreateFailure(at(150), QUOTA),)
    told = plan(state(waiting, 200, job=job(), refusals=refusals)).status
    assert (told.message or "").startswith("QuotaExceeded")
    ended = plan(state(waiting, 1500, job=job(), refusals=refusals)).status
    assert ended.failure is not None
    assert ended.failure.reason == "QuotaExceeded"


def test_the_gap_before_a_retry_is_no_time_to_start() -> None:
    failed = at_work(attempts=[attempt(end_time=at(80), reason="Error")])
    assert plan(_given(1000, failed)).status.phase is Phase.PENDING


def test_what_keeps_work_from_starting_is_a_condition_with_its_reason_and_what_to_do() -> None:
    waiting = plan(_given(20, pods=(pod(unschedulable="0/3 nodes are available."),)))
    succeeded = find(waiting.status.conditions, ConditionType.SUCCEEDED)
    assert succeeded is not None
    assert (succeeded.status, succeeded.reason) == ("Unknown", "Unschedulable")
    assert succeeded.message == f"no node takes the pod: 0/3 nodes are available. {failure_reasons.UNSCHEDULABLE_HINT}"
    running = plan(_given(21, waiting.status, pods=(running_pod(),)))
    succeeded = find(running.status.conditions, ConditionType.SUCCEEDED)
    assert succeeded is not None
    assert (succeeded.reason, succeeded.message) == ("Running", "")


def test_a_refusal_from_before_the_last_attempt_says_nothing_of_the_next_one() -> None:
    failed = at_work(attempts=[attempt(end_time=at(80), reason="Error")])
    after = plan(_given(90, failed, refusals=(PodCreateFailure(at(79), QUOTA),)))
    assert after.status.message == "attempt 1 ended (Error); starting the next one"


@pytest.mark.parametrize(
    "ended",
    [
        pytest.param(running_pod(gone=True), id="deleted"),
        pytest.param(failed_init(), id="init-container-failed"),
    ],
)
def test_an_attempt_that_left_no_finish_time_is_told_of_all_the_same(ended: Any) -> None:
    before = at_work() if ended.started else PENDING
    assert not plan(_given(60, before, pods=(ended,))).defer_status


def test_a_job_that_is_not_the_one_in_job_ref_does_not_take_its_place() -> None:
    other = job(uid="22222222-2222-4333-8444-555555555555")
    after = plan(_given(50, at_work(), job=other)).status
    assert after.job_ref == JOB_REF
    assert after.failure is not None
    assert after.failure.reason == "JobLost"


def test_a_node_whose_clock_is_ahead_does_not_hold_up_the_status() -> None:
    assert not plan(_given(100, at_work(), pods=(ended_pod(exit_code=1, ended=160),))).defer_status


def test_each_refusal_of_the_next_try_is_told_in_the_same_words() -> None:
    told = {
        plan(_given(30, PENDING, refusals=(PodCreateFailure(at(20), said),))).status.message
        for said in (QUOTA, QUOTA.replace('"x"', '"y"'), QUOTA.replace("used: 2", "used: 1"))
    }
    assert len(told) == 1


@pytest.mark.parametrize(
    "given",
    [
        pod(others=(container("fetch", "init", running_since=at(660)),)),
        pod(others=(container("fetch", "init", termination=Termination(0, None, "Completed", "", at(600), at(660))),)),
    ],
    ids=["its init container runs", "its init container has ended"],
)
def test_what_a_node_tells_by_a_clock_that_is_minutes_ahead_is_written_at_once(given: PodSnapshot) -> None:
    assert not plan(state(task(at_work()), 60, job=job(), pods=(given,))).defer_status
