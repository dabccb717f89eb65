"""A task that has no Job yet."""

from dataclasses import replace
from typing import Any

import pytest

from longtask_api.conditions import find
from longtask_api.longtask import ConditionType, Failure, LongTask, LongTaskStatus, Phase
from longtask_operator.planning.actions import CreateJob
from longtask_operator.planning.build_job import take_snapshot
from longtask_operator.planning.failure_reasons import StartProblem
from longtask_operator.planning.plan import plan
from longtask_operator.planning.snapshots import PodSnapshot
from longtask_operator.planning.state import TaskState
from tests.unit.given import (
    JOB_REF,
    TASK_UID,
    Step,
    at,
    condition,
    ended_pod,
    pod,
    running_pod,
    state,
    step,
    task,
    template,
    written,
)

CREATE = f"create {JOB_REF.name}"
MISSING = "LongTaskTemplate training does not exist"
BROKEN = "LongTaskTemplate training is not Ready: epochs has no type"
MISFIT = Failure(reason="InvalidParameters", message="epochs: 0 is less than 1", hint="Correct them.")
QUOTA = StartProblem("QuotaExceeded", "exceeded quota: pods", "Wait.")


UNCHECKED = "waiting: LongTaskTemplate training is not Ready: not checked yet"


def _not_ready(**fields: Any) -> Any:
    return template(ready=False, why="epochs has no type", **fields)


def _waits(reason: str, since: float) -> LongTask:
    """A task that waits for what the reason says since then."""
    return task(LongTaskStatus(phase=Phase.PENDING, conditions=[condition("Accepted", "Unknown", reason, since=since)]))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(
            state(task(), 1, template=template(), parameters={}), Step(None, None, (CREATE,)), id="ready-to-start"
        ),
        pytest.param(
            state(task(suspend=True), 1, template=template(), parameters={}),
            Step(None, None, (CREATE,)),
            id="suspended-tasks-get-their-job-too",
        ),
        pytest.param(
            state(task(), 1, template=template()), Step(None, None, again=11), id="parameters-not-looked-at-yet"
        ),
        pytest.param(
            state(task(), 1.9), Step("Pending", f"waiting: {MISSING}", again=2, deferred=True), id="missing-quiet"
        ),
        pytest.param(state(task(), 2), Step("Pending", f"waiting: {MISSING}", again=62), id="missing"),
        pytest.param(
            state(_waits("TemplateNotFound", 2), 61.9),
            Step("Pending", f"waiting: {MISSING}", again=62),
            id="still-missing",
        ),
        pytest.param(
            state(_waits("TemplateNotFound", 2), 62),
            Step("Failed", f"TemplateNotFound: {MISSING}"),
            id="missing-too-long",
        ),
        pytest.param(
            state(task(), 7200),
            Step("Pending", f"waiting: {MISSING}", again=7260),
            id="missing-and-nobody-was-there-to-see-it",
        ),
        pytest.param(
            state(_waits("TooManyTasks", 2), 7200),
            Step("Pending", f"waiting: {MISSING}", again=7260),
            id="missing-after-a-long-wait-for-room",
        ),
        pytest.param(
            state(task(), 2, template=_not_ready()), Step("Pending", f"waiting: {BROKEN}", again=60), id="not-ready"
        ),
        pytest.param(
            state(task(), 60, template=_not_ready(), parameters={}),
            Step("Failed", f"TemplateNotReady: {BROKEN}"),
            id="not-ready-for-too-long",
        ),
        pytest.param(
            state(_waits("TooManyTasks", 2), 7259, template=_not_ready(since=7200)),
            Step("Pending", f"waiting: {BROKEN}", again=7260),
            id="not-ready-any-more-after-a-long-wait-for-room",
        ),
        pytest.param(
            state(task(), 2, template=template(ready=None)),
            Step("Pending", UNCHECKED, again=12),
            id="never-checked",
        ),
        pytest.param(
            state(task(), 2, template=template(observed=2, why="old"), parameters={}),
            Step("Pending", UNCHECKED, again=12),
            id="an-older-generation-was-ready",
        ),
        pytest.param(
            state(_waits("TemplateNotReady", 2), 7200, template=template(ready=None)),
            Step("Pending", UNCHECKED, again=7210),
            id="not-checked-for-long-is-no-fault-of-the-template",
        ),
        pytest.param(
            state(_waits("TooManyTasks", 2), 7200, template=template(ready=False, observed=2, why="old")),
            Step("Pending", UNCHECKED, again=7210),
            id="applied-anew-after-a-long-wait-for-room",
        ),
        pytest.param(
            state(task(), 3600, template=template(), parameters={}), Step(None, None, (CREATE,)), id="late-but-ready"
        ),
        pytest.param(
            state(
                task(active_deadline_seconds=101),
                1,
                template=template({"activeDeadlineSeconds": 50, "maxActiveDeadlineSeconds": 100}),
                parameters={},
            ),
            Step("Failed", "InvalidDeadline: spec.activeDeadlineSeconds is 101; the template allows 100 at most"),
            id="deadline-over-the-maximum",
        ),
        pytest.param(
            state(
                task(active_deadline_seconds=100),
                1,
                template=template({"activeDeadlineSeconds": 50, "maxActiveDeadlineSeconds": 100}),
                parameters={},
            ),
            Step(None, None, (CREATE,)),
            id="deadline-at-the-maximum",
        ),
        pytest.param(
            state(task(active_deadline_seconds=10**9), 1, template=template(), parameters={}),
            Step(None, None, (CREATE,)),
            id="no-maximum",
        ),
        pytest.param(
            state(task(), 1, template=template(), parameters=MISFIT),
            Step("Failed", "InvalidParameters: epochs: 0 is less than 1"),
            id="parameters-do-not-fit",
        ),
        pytest.param(
            state(task(cancel_requested=True), 1),
            Step("Cancelled", "Cancelled: cancelled on request before it started"),
            id="cancelled-without-template",
        ),
        pytest.param(
            state(task(cancel_requested=True), 1, template=template(), parameters={}),
            Step("Cancelled", "Cancelled: cancelled on request before it started"),
            id="cancelled-although-ready",
        ),
        pytest.param(
            state(task(cancel_requested=True), 1, template=template(), parameters=MISFIT),
            Step("Cancelled", "Cancelled: cancelled on request before it started"),
            id="cancelled-although-wrong",
        ),
        pytest.param(
            state(task(), 5, template=template(), parameters={}, job_refused=QUOTA),
            Step("Pending", "QuotaExceeded: exceeded quota: pods. Wait.", again=15),
            id="job-refused-for-now",
        ),
        pytest.param(
            state(_waits("QuotaExceeded", 5), 600, template=template(), parameters={}, job_refused=QUOTA),
            Step("Pending", "QuotaExceeded: exceeded quota: pods. Wait.", again=605),
            id="job-refused-and-time-nearly-over",
        ),
        pytest.param(
            state(_waits("QuotaExceeded", 5), 605, template=template(), parameters={}, job_refused=QUOTA),
            Step("Failed", "QuotaExceeded: exceeded quota: pods"),
            id="job-refused-for-too-long",
        ),
        pytest.param(
            state(_waits("TooManyTasks", 2), 7200, template=template(), parameters={}, job_refused=QUOTA),
            Step("Pending", "QuotaExceeded: exceeded quota: pods. Wait.", again=7210),
            id="job-refused-after-a-long-wait-for-room",
        ),
        pytest.param(
            state(task(), 1, template=template(), parameters={}, job_refused=QUOTA, job_refused_for_good=True),
            Step("Failed", "QuotaExceeded: exceeded quota: pods"),
            id="job-refused-for-good",
        ),
        pytest.param(
            state(
                _waits("QuotaExceeded", 5),
                35,
                template=template({"startTimeoutSeconds": 30}),
                parameters={},
                job_refused=QUOTA,
            ),
            Step("Failed", "QuotaExceeded: exceeded quota: pods"),
            id="the-start-timeout-is-the-template's",
        ),
        pytest.param(
            state(task(deleted=1), 5, template=template(), parameters={}),
            Step(None, None),
            id="nothing-is-started-for-a-task-that-is-being-deleted",
        ),
    ],
)
def test_the_next_step_before_the_start(given: TaskState, expected: Step) -> None:
    assert step(plan(given)) == expected


@pytest.mark.parametrize(
    ("given", "value", "reason"),
    [
        (state(task(), 2), "Unknown", "TemplateNotFound"),
        (state(_waits("TemplateNotFound", 0), 60), "False", "TemplateNotFound"),
        (state(task(), 5, template=template(), parameters={}, job_refused=QUOTA), "Unknown", "QuotaExceeded"),
        (state(task(), 2, template=_not_ready()), "Unknown", "TemplateNotReady"),
        (state(task(), 2, template=template(ready=None)), "Unknown", "TemplateNotChecked"),
        (state(task(), 1, template=template(), parameters=MISFIT), "False", "InvalidParameters"),
    ],
)
def test_the_accepted_condition_says_why_a_task_does_not_start(given: TaskState, value: str, reason: str) -> None:
    accepted = find(plan(given).status.conditions, ConditionType.ACCEPTED)
    assert accepted is not None
    assert (accepted.status, accepted.reason, accepted.observed_generation) == (value, reason, 1)


def test_a_refused_task_ends_with_the_failure_and_its_hint() -> None:
    after = plan(state(task(), 7, template=template(), parameters=MISFIT)).status
    assert after.failure == MISFIT
    assert after.completion_time == at(7)
    assert after.observed_generation == 1


def test_a_task_cancelled_before_its_start_is_not_called_refused() -> None:
    after = plan(state(task(cancel_requested=True), 1)).status
    assert find(after.conditions, ConditionType.ACCEPTED) is None
    assert after.failure == Failure(reason="Cancelled", message="cancelled on request before it started")


def test_a_template_that_comes_in_time_starts_the_task() -> None:
    waiting = written(task(), plan(state(task(), 2)))
    assert waiting.status.phase is Phase.PENDING
    now_there = state(waiting, 40, template=template(), parameters={})
    assert step(plan(now_there)) == Step("Pending", f"waiting: {MISSING}", (CREATE,))


def test_the_planned_job_belongs_to_the_task_and_has_its_parameters() -> None:
    schema = {"type": "object", "properties": {"epochs": {"type": "integer"}}}
    declared = template({"retry": {"limit": 7}, "parametersSchema": schema})
    given = state(task(), 1, template=declared, parameters={"epochs": 3})
    (action,) = plan(given).actions
    assert isinstance(action, CreateJob)
    assert action.manifest["metadata"]["ownerReferences"][0]["uid"] == TASK_UID
    assert action.manifest["spec"]["backoffLimit"] == 7
    assert {"name": "LONGTASK_PARAM_EPOCHS", "value": "3"} in (
        action.manifest["spec"]["template"]["spec"]["containers"][0]["env"]
    )


def test_waiting_keeps_the_time_since_when_it_waits() -> None:
    accepted = find(plan(state(_waits("TemplateNotFound", 2), 30)).status.conditions, ConditionType.ACCEPTED)
    assert accepted is not None
    assert accepted.last_transition_time == at(2)


def test_a_wait_for_something_else_has_a_time_of_its_own() -> None:
    accepted = find(plan(state(_waits("TooManyTasks", 2), 30)).status.conditions, ConditionType.ACCEPTED)
    assert accepted is not None
    assert accepted.last_transition_time == at(30)


@pytest.mark.parametrize(("now", "phase"), [(2, Phase.PENDING), (60, Phase.FAILED)])
def test_a_template_with_a_very_long_explanation_is_waited_for_like_any_other(now: float, phase: Phase) -> None:
    given = state(task(), now, template=template(ready=False, why="x" * 4096))
    after = plan(given).status
    assert after.phase is phase
    assert len(after.message or "") <= 4096


@pytest.mark.parametrize(
    ("left", "gone_on"),
    [
        (running_pod(orphaned=True), True),
        (ended_pod(orphaned=True, told='{"rows": 7}'), True),
        (running_pod(orphaned=True, deleted=at(90)), True),
        (pod(orphaned=True), False),
        (pod(orphaned=True, phase="Failed", reason="Evicted"), False),
    ],
    ids=["works", "done", "going", "not started", "never started"],
)
@pytest.mark.parametrize("cancelled", [True, False])
def test_work_that_a_job_nobody_recorded_has_left_behind_is_not_begun_again(
    left: PodSnapshot, *, gone_on: bool, cancelled: bool
) -> None:
    after = plan(state(task(cancel_requested=cancelled), 60, template=template(), parameters={}, pods=(left,)))
    assert (after.status.job_ref == JOB_REF) == gone_on
    if gone_on:
        assert after.status.template_snapshot == take_snapshot(template())
        assert after.status.phase in ("Running", "Succeeded")
        stops = cancelled and not left.ended and left.deleted is None
        assert step(after).actions == (("stop pod-a",) if stops else ())


def test_a_pod_that_never_started_is_deleted_and_waited_for() -> None:
    left = pod(orphaned=True)
    after = plan(state(task(), 60, template=template(), parameters={}, pods=(left,)))
    message = "waiting for pod pod-a to end, which its Job has left behind"
    assert step(after) == Step("Pending", message, ("delete pod-a",), 70)


def test_a_node_that_does_not_say_that_such_a_pod_has_ended_is_named() -> None:
    silent = pod(orphaned=True, deleted=at(90))
    after = plan(state(task(), 120, template=template(), parameters={}, pods=(silent,)))
    assert step(after).actions == ()
    assert after.look_again == at(130)
    assert "node node-1 does not answer" in (after.status.message or "")
    succeeded = find(after.status.conditions, ConditionType.SUCCEEDED)
    assert succeeded is not None
    assert succeeded.reason == "NodeLost"


def test_a_wait_that_is_given_up_says_what_to_do() -> None:
    after = plan(state(_waits("TemplateNotFound", 0), 60)).status
    assert after.failure is not None
    assert (after.failure.reason, bool(after.failure.hint)) == ("TemplateNotFound", True)


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(state(task(), 5, template=template(), parameters=MISFIT), id="refused"),
        pytest.param(state(task(cancel_requested=True), 5, template=template()), id="cancelled"),
    ],
)
def test_a_task_that_ends_before_its_start_has_the_terms_of_its_template(given: TaskState) -> None:
    assert plan(given).status.template_snapshot == take_snapshot(template())
    missing = replace(given, template=None, parameters=None)
    assert plan(missing).status.template_snapshot is None
