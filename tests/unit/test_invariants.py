"""What holds for every plan, over many made worlds: all combinations of what can be known of a task."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from longtask_api.conditions import find
from longtask_api.longtask import TERMINAL_PHASES, Failure, LongTask, LongTaskStatus, Phase, StallAction, StallPolicy
from longtask_api.reports import InputRequest, Progress, Result
from longtask_operator.planning.actions import (
    CreateJob,
    DeleteJob,
    DeletePod,
    DeleteTask,
    Plan,
    SetSuspend,
    StopPod,
    StopRetries,
)
from longtask_operator.planning.failure_reasons import PodCreateFailure, StartProblem
from longtask_operator.planning.plan import plan
from longtask_operator.planning.pod_selection import working_pod
from longtask_operator.planning.questions import open_questions
from longtask_operator.planning.snapshots import JobSnapshot, PodSnapshot
from longtask_operator.planning.stall import DECIDED, is_news
from longtask_operator.planning.state import TaskState
from longtask_operator.task_namespace import owned
from tests.unit.given import (
    JOB_REF,
    SNAPSHOT,
    at,
    at_work,
    attempt,
    condition,
    ended_pod,
    held,
    job,
    pod,
    running_pod,
    state,
    status,
    task,
    template,
    written,
)

TIMES = (1.5, 61, 100, 700, 100_000)
SPECS: tuple[dict[str, Any], ...] = (
    {},
    {"suspend": True},
    {"cancel_requested": True},
    {"active_deadline_seconds": 50},
    {"input_responses": [{"request_id": "go-on", "value": "true"}]},
)
WAITING = LongTaskStatus(
    phase=Phase.PENDING,
    message="waiting",
    conditions=[condition("Accepted", "Unknown"), condition("Succeeded", "Unknown", "Pending")],
)
TOLD = Progress(attempt=1, sequence=3, message="epoch 3")
ASKING = [InputRequest(id="go-on", message="Go on?", created_time=at(20))]
HANDED_IN = Result(attempt=1, value=1)
STALLED = condition("Stalled", "True", "NoReport", "told nothing", since=62)
ENDING = condition("Stalled", "True", DECIDED, "told nothing", since=62)
STARTED = (
    status(Phase.PENDING),
    at_work(progress=TOLD),
    at_work(attempt_count=2, attempts=[attempt(end_time=at(30), reason="Error"), attempt(2, "b", 41)]),
    held(60, attempt_count=1, attempts=[attempt(end_time=at(50), reason="Suspended")], active_seconds=48),
    at_work(progress=TOLD, last_report_time=at(30), input_requests=ASKING, result=HANDED_IN),
    status(Phase.RUNNING, STALLED, active_since=at(2), attempts=[attempt()], attempt_count=1, last_report_time=at(2)),
    status(Phase.RUNNING, ENDING, active_since=at(2), attempts=[attempt()], attempt_count=1, last_report_time=at(2)),
)
ENDED = (
    status(Phase.SUCCEEDED, STALLED, result=Result(value=1), input_requests=ASKING, last_report_time=at(2)),
    status(Phase.FAILED),
    status(Phase.CANCELLED, job_ref=None, template_snapshot=None),
)
POLICIES = [StallPolicy(timeout_seconds=60, action=action) for action in StallAction]
WATCHED, RETRIED, ENDED_AT_ONCE = (SNAPSHOT.model_copy(update={"stall": policy}) for policy in POLICIES)
JOBS = (
    None,
    job(),
    job(snapshot=WATCHED),
    job(snapshot=RETRIED),
    job(snapshot=ENDED_AT_ONCE),
    job(failures=1, backoff_limit=0),
    job(suspend=True),
    job(suspend=True, suspended_since=at(50), terminating=1),
    job(complete=True, finished_at=at(60)),
    job(failed_reason="BackoffLimitExceeded", finished_at=at(60), failures=1),
    job(deleting=True),
    job(uid="of-another-job"),
)
PODS: tuple[tuple[PodSnapshot, ...], ...] = (
    (),
    (pod(node=None, unschedulable="0/3 nodes"),),
    (pod(waiting_reason="ErrImagePull"),),
    (running_pod(),),
    (running_pod(deleted=at(40), deadline=1),),
    (running_pod(gone=True),),
    (ended_pod(told='{"a": 1}'),),
    (ended_pod(exit_code=1, ended=30), running_pod("b", 40)),
    (ended_pod(exit_code=143, disruption="EvictionByEvictionAPI", gone=True), pod("b", 60)),
    tuple(ended_pod(f"{n:02}", n, exit_code=143, disruption="PreemptionByScheduler") for n in range(1, 24)),
)
LEFT_BEHIND: tuple[tuple[PodSnapshot, ...], ...] = (
    (pod(node=None, orphaned=True),),
    (pod(orphaned=True),),
    (running_pod(orphaned=True),),
    (running_pod(orphaned=True, deadline=1),),
    (running_pod(orphaned=True, deleted=at(90)),),
    (ended_pod(exit_code=1, ended=30, orphaned=True), running_pod("b", 40, orphaned=True)),
    (ended_pod(orphaned=True),),
    (ended_pod(orphaned=True, exit_code=137, deadline=1, reason="DeadlineExceeded"),),
    (running_pod(orphaned=True, gone=True),),
)
"""Pods whose Job somebody has deleted without them."""
TEMPLATE = template()
REFUSALS = ((), (PodCreateFailure(at(90), "exceeded quota: pods"),))


def _before_the_start() -> Iterator[TaskState]:
    templates = (
        None,
        TEMPLATE,
        template(ready=False, why="no"),
        template({"maxActiveDeadlineSeconds": 10, "activeDeadlineSeconds": 10}),
    )
    parameters: tuple[Any, ...] = (None, {}, Failure(reason="InvalidParameters", message="no"))
    refusals = (
        (None, False),
        (StartProblem("QuotaExceeded", "full", "Wait."), False),
        (StartProblem("JobRefused", "no", "?"), True),
    )
    for stored, now, source, values, (refused, for_good) in product(
        _tasks((LongTaskStatus(), WAITING)), TIMES, templates, parameters, refusals
    ):
        yield state(
            stored,
            now,
            template=source,
            parameters=values,
            job_refused=refused,
            job_refused_for_good=for_good,
        )


def _with_a_job() -> Iterator[TaskState]:
    for stored, now, known, pods in product(_tasks((*STARTED, LongTaskStatus())), TIMES, JOBS, PODS):
        if known is not None or stored.status.job_ref is not None:
            yield state(stored, now, job=known, pods=pods)
    for stored, now, refusals in product(_tasks(STARTED), TIMES, REFUSALS):
        yield state(stored, now, job=job(), refusals=refusals)


def _after_the_end() -> Iterator[TaskState]:
    for stored, now, known, pods in product(_tasks(ENDED), TIMES, JOBS, PODS[:4]):
        yield state(stored, now, job=known, pods=pods, template=TEMPLATE, parameters={})


def _left_behind() -> Iterator[TaskState]:
    statuses = (LongTaskStatus(), *STARTED, *ENDED)
    for stored, now, pods, deleted in product(_tasks(statuses), TIMES, LEFT_BEHIND, (False, True)):
        metadata = stored.metadata.model_copy(update={"deletion_timestamp": at(1)}) if deleted else stored.metadata
        yield state(stored.model_copy(update={"metadata": metadata}), now, pods=pods, template=TEMPLATE, parameters={})


def _tasks(statuses: tuple[LongTaskStatus, ...]) -> list[LongTask]:
    return [task(stored, **spec) for stored, spec in product(statuses, SPECS)]


@pytest.fixture(scope="module")
def before_the_start() -> list[tuple[TaskState, Plan]]:
    return [(given, plan(given)) for given in _before_the_start()]


@pytest.fixture(scope="module")
def at_work_or_held() -> list[tuple[TaskState, Plan]]:
    return [(given, plan(given)) for given in _with_a_job()]


@pytest.fixture(scope="module")
def after_the_end() -> list[tuple[TaskState, Plan]]:
    return [(given, plan(given)) for given in _after_the_end()]


@pytest.fixture(scope="module")
def left_behind() -> list[tuple[TaskState, Plan]]:
    return [(given, plan(given)) for given in _left_behind()]


@pytest.fixture(scope="module")
def everything(
    before_the_start: list[tuple[TaskState, Plan]],
    at_work_or_held: list[tuple[TaskState, Plan]],
    after_the_end: list[tuple[TaskState, Plan]],
    left_behind: list[tuple[TaskState, Plan]],
) -> list[tuple[TaskState, Plan]]:
    return [*before_the_start, *at_work_or_held, *after_the_end, *left_behind]


def test_there_are_many_worlds_of_every_phase(everything: list[tuple[TaskState, Plan]]) -> None:
    assert len(everything) > 5000
    assert {after.status.phase for _, after in everything} >= {
        None,
        Phase.PENDING,
        Phase.RUNNING,
        Phase.WAITING_FOR_INPUT,
        Phase.SUSPENDED,
        Phase.SUCCEEDED,
        Phase.FAILED,
        Phase.CANCELLED,
    }
    assert {type(action) for _, after in everything for action in after.actions} == {
        CreateJob,
        SetSuspend,
        StopRetries,
        StopPod,
        DeleteJob,
        DeletePod,
        DeleteTask,
    }


def test_an_ended_task_never_changes(after_the_end: list[tuple[TaskState, Plan]]) -> None:
    for given, after in after_the_end:
        assert after.status == given.task.status, given


def test_planning_again_at_once_wants_nothing_more(everything: list[tuple[TaskState, Plan]]) -> None:
    for given, after in everything:
        stored = written(given.task, after)
        again = plan(replace(given, task=stored))
        if not stored.is_terminal:
            assert owned(again.status) == owned(after.status), given
            decided = _is_decided(after.status) and not _is_decided(given.task.status)
            assert again.actions == after.actions or (decided and not after.actions), given


def _is_decided(status: LongTaskStatus) -> bool:
    condition = find(status.conditions, "Stalled")
    return condition is not None and condition.reason == DECIDED


def test_what_ended_stays_ended_when_it_is_planned_again(everything: list[tuple[TaskState, Plan]]) -> None:
    for given, after in everything:
        if after.status.phase in TERMINAL_PHASES:
            stored = written(given.task, after)
            assert plan(replace(given, task=stored, now=at(500_000))).status == stored.status, given


def test_a_job_is_only_created_where_there_is_none_and_never_was(everything: list[tuple[TaskState, Plan]]) -> None:
    for given, after in everything:
        if any(isinstance(action, CreateJob) for action in after.actions):
            assert given.job is None, given
            assert given.task.status.job_ref is None, given
            assert not given.task.is_terminal, given
            assert not given.task.spec.cancel_requested, given
            assert len(after.actions) == 1, given


def test_the_phase_says_what_the_succeeded_condition_says(everything: list[tuple[TaskState, Plan]]) -> None:
    expected = {None: None, Phase.SUCCEEDED: "True", Phase.FAILED: "False", Phase.CANCELLED: "False"}
    for given, after in everything:
        succeeded = find(after.status.conditions, "Succeeded")
        value = succeeded.status if succeeded else None
        assert value == expected.get(after.status.phase, "Unknown"), given


def test_each_condition_is_there_once_and_in_order(everything: list[tuple[TaskState, Plan]]) -> None:
    for given, after in everything:
        types = [known.type for known in after.status.conditions]
        assert types == sorted(set(types)), given


def test_result_failure_and_times_belong_to_the_phase(everything: list[tuple[TaskState, Plan]]) -> None:
    for given, after in everything:
        phase = after.status.phase
        assert (after.status.completion_time is not None) == (phase in TERMINAL_PHASES), given
        if phase is Phase.SUCCEEDED:
            assert after.status.result is not None, given
        assert (after.status.failure is not None) == (phase in (Phase.FAILED, Phase.CANCELLED)), given
        if phase in TERMINAL_PHASES or phase is Phase.SUSPENDED:
            assert after.status.active_since is None, given


def test_the_job_of_a_task_never_changes(everything: list[tuple[TaskState, Plan]]) -> None:
    for given, after in everything:
        if given.task.status.job_ref is not None:
            assert after.status.job_ref == given.task.status.job_ref == JOB_REF, given


def test_what_the_work_tells_is_left_to_it(everything: list[tuple[TaskState, Plan]]) -> None:
    told = ("progress", "last_report_time", "checkpoint", "input_requests")
    for given, after in everything:
        for name in told:
            assert getattr(after.status, name) == getattr(given.task.status, name), given
        shown = {"progress"} if after.status.phase is Phase.SUCCEEDED else set()
        assert not owned(after.status).keys() & (set(told) - shown), given


def test_what_was_handed_in_stays_and_counts_if_its_attempt_succeeded(everything: list[tuple[TaskState, Plan]]) -> None:
    for given, after in everything:
        if given.task.status.result == HANDED_IN:
            assert written(given.task, after).status.result in (HANDED_IN, Result()), given
            succeeded = [known.uid for known in given.pods if known.phase == "Succeeded"]
            if after.status.phase is not Phase.SUCCEEDED or succeeded == ["uid-a"]:
                assert written(given.task, after).status.result == HANDED_IN, given


def test_a_task_waits_for_input_only_with_an_open_question_and_a_pod_that_works(
    everything: list[tuple[TaskState, Plan]],
) -> None:
    for given, after in everything:
        if after.status.phase is Phase.WAITING_FOR_INPUT:
            assert open_questions(given.task, given.now), given
            assert working_pod(given.pods), given
            assert not after.actions, given


def test_work_is_stopped_as_stalled_only_once_that_is_stored_and_while_it_may_work(
    everything: list[tuple[TaskState, Plan]],
) -> None:
    for given, after in everything:
        stops = [action for action in after.actions if isinstance(action, StopPod | StopRetries)]
        if stops and (after.status.message or "").startswith("stalled"):
            assert _is_decided(given.task.status), given
            assert not given.task.is_terminal, given
            assert not given.task.spec.suspend, given
            assert given.job is not None, given
            assert given.job.snapshot in (RETRIED, ENDED_AT_ONCE), given
            assert working_pod(given.pods), given


def test_work_that_waits_is_held_or_has_ended_never_begins_to_stall(everything: list[tuple[TaskState, Plan]]) -> None:
    for given, after in everything:
        if is_news(given.task.status, after.status):
            assert not open_questions(given.task, given.now), given
            assert after.status.phase is Phase.RUNNING, given
            assert working_pod(given.pods), given
            assert not after.actions, given


def test_a_task_is_cancelled_only_on_request_and_only_when_no_pod_of_it_works(
    at_work_or_held: list[tuple[TaskState, Plan]],
) -> None:
    for given, after in at_work_or_held:
        if after.status.phase is Phase.CANCELLED:
            assert given.task.spec.cancel_requested, given
            gone = given.job is None or given.job.uid != JOB_REF.uid
            assert not gone or all(known.ended for known in given.pods), given


def test_no_task_ends_goes_or_starts_anew_while_a_pod_that_a_job_left_behind_works(
    left_behind: list[tuple[TaskState, Plan]],
) -> None:
    for given, after in left_behind:
        if any(not known.ended for known in given.pods):
            assert after.status.phase not in TERMINAL_PHASES or given.task.is_terminal, given
            assert not any(isinstance(action, CreateJob | DeleteTask) for action in after.actions), given


def test_what_is_to_stop_is_stopped_at_each_pod_that_a_job_left_behind(
    left_behind: list[tuple[TaskState, Plan]],
) -> None:
    for given, after in left_behind:
        spec = given.task.spec
        goes = given.task.metadata.deletion_timestamp is not None or given.task.is_terminal
        unbound = given.task.status.job_ref is None and not any(pod.started for pod in given.pods)
        if goes or spec.cancel_requested or spec.suspend or unbound:
            stopped = {each.pod.uid for each in after.actions if isinstance(each, StopPod | DeletePod)}
            asked = {known.uid for known in given.pods if known.deleted is not None or known.deadline == 1}
            assert {known.uid for known in given.pods if not known.ended} <= stopped | asked, given


def test_a_pod_is_deleted_only_where_it_has_no_job(everything: list[tuple[TaskState, Plan]]) -> None:
    for given, after in everything:
        for action in after.actions:
            if isinstance(action, DeletePod):
                assert given.job is None or given.job.uid != action.pod.job_uid or action.pod.node is None, given
                assert action.pod.deleted is None, given
                assert not action.pod.gone, given


def test_actions_are_about_what_is_there(everything: list[tuple[TaskState, Plan]]) -> None:
    for given, after in everything:
        for action in after.actions:
            match action:
                case DeleteJob(job=JobSnapshot(uid=uid)) | StopRetries(job=JobSnapshot(uid=uid)):
                    assert given.job is not None, given
                    assert (uid, given.job.deleting) == (given.job.uid, False), given
                case SetSuspend(known, suspend):
                    assert known == given.job, given
                    assert suspend == given.task.spec.suspend != known.suspend, given
                case StopPod(stopped):
                    assert stopped in given.pods, given
                    assert not stopped.ended, given


def test_a_time_to_look_again_lies_ahead(everything: list[tuple[TaskState, Plan]]) -> None:
    for given, after in everything:
        assert after.look_again is None or after.look_again > given.now, given


def test_a_status_that_may_wait_says_until_when_and_that_is_soon(everything: list[tuple[TaskState, Plan]]) -> None:
    for given, after in everything:
        if after.defer_status and given.now > at(50):
            assert after.look_again is not None, given
            assert (after.look_again - given.now).total_seconds() <= 2, given


def test_no_plan_counts_attempts_down(at_work_or_held: list[tuple[TaskState, Plan]]) -> None:
    for given, after in at_work_or_held:
        assert (after.status.attempt_count or 0) >= (given.task.status.attempt_count or 0), given
        assert len(after.status.attempts) <= 20, given
