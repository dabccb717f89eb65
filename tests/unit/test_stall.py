"""Work that runs and tells nothing."""

from typing import Any

import pytest

from longtask_api.conditions import find
from longtask_api.longtask import ConditionType, LongTaskStatus, Phase, StallAction, StallPolicy
from longtask_api.reports import InputRequest, Progress
from longtask_operator.planning import stall
from longtask_operator.planning.plan import plan
from longtask_operator.planning.snapshots import JobSnapshot, PodUsage
from longtask_operator.planning.state import TaskState
from tests.unit.given import (
    JOB_UID,
    SNAPSHOT,
    Step,
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
    step,
    task,
    written,
)

RUNS = "running, but stalled: "
EVIDENCE = "the work has told nothing for 60 s; its last progress: 40% (epoch 4/10), training (attempt 1)"
WHERE = "; pod pod-a runs on node-1"
TOLD = Progress(
    attempt=1, sequence=4, fraction=0.4, display="40% (epoch 4/10)", message="training", updated_time=at(40)
)
QUESTION = InputRequest(id="go-on", message="Go on?", created_time=at(45))
STALLED = condition(ConditionType.STALLED, "True", "NoReport", "it told nothing", since=100)
DECIDED = condition(ConditionType.STALLED, "True", "StillNoReport", "it told nothing", since=100)


SPEC = ("suspend", "cancel_requested", "input_responses", "active_deadline_seconds")


def _policy(action: StallAction = StallAction.NOTHING, *, expect_reports: bool = False) -> StallPolicy:
    return StallPolicy(timeout_seconds=60, action=action, expect_reports=expect_reports)


def _job(policy: StallPolicy | None, **fields: Any) -> JobSnapshot:
    return job(snapshot=SNAPSHOT.model_copy(update={"stall": policy}), **fields)


def _status(*conditions: Any, **fields: Any) -> LongTaskStatus:
    told = at_work(**{"last_report_time": at(40), "progress": TOLD} | fields)
    return told.model_copy(update={"conditions": sorted([*told.conditions, *conditions], key=lambda c: c.type)})


def _given(
    now: float, stored: LongTaskStatus | None = None, policy: StallPolicy | None = None, /, **known: Any
) -> TaskState:
    spec = {key: known.pop(key) for key in SPEC if key in known}
    policy = policy or _policy()
    return state(
        task(_status() if stored is None else stored, **spec),
        now,
        **{"job": _job(policy), "pods": (running_pod(),)} | known,
    )


def _stalled(status: LongTaskStatus) -> tuple[str, str, float] | None:
    """(status, reason, seconds since ten of its last change) of the condition."""
    found = find(status.conditions, ConditionType.STALLED)
    return (found.status, found.reason, (found.last_transition_time - at(0)).total_seconds()) if found else None


@pytest.mark.parametrize(
    ("given", "expected", "stalled"),
    [
        pytest.param(_given(99), Step("Running", "running", again=100), None, id="not-yet"),
        pytest.param(
            _given(100),
            Step("Running", f"{RUNS}{EVIDENCE}{WHERE}", again=101),
            ("True", "NoReport", 100),
            id="stalled",
        ),
        pytest.param(
            _given(100, usage=PodUsage(cpu=0.0034)),
            Step("Running", f"{RUNS}{EVIDENCE}{WHERE} and uses 0.003 CPU cores", again=101),
            ("True", "NoReport", 100),
            id="stalled-with-what-the-pod-uses",
        ),
        pytest.param(
            _given(100, _status(last_report_time=at(70))),
            Step("Running", "running", again=130),
            None,
            id="a-heartbeat-counts",
        ),
        pytest.param(
            _given(100, _status(last_report_time=None)),
            Step("Running", f"{RUNS}{EVIDENCE}{WHERE}", again=101),
            ("True", "NoReport", 100),
            id="progress-alone-counts",
        ),
        pytest.param(
            state(task(_status()), 1000, job=job(), pods=(running_pod(),)),
            Step("Running", "running", again=3602),
            None,
            id="no-policy",
        ),
        pytest.param(
            _given(1000, at_work()), Step("Running", "running", again=3602), None, id="work-that-never-told-anything"
        ),
        pytest.param(
            _given(61, at_work(), _policy(expect_reports=True)),
            Step("Running", "running", again=62),
            None,
            id="reports-are-expected-but-not-yet",
        ),
        pytest.param(
            _given(62, at_work(), _policy(expect_reports=True)),
            Step(
                "Running",
                f"{RUNS}the work has told nothing for 60 s; it has never told progress{WHERE}",
                again=63,
            ),
            ("True", "NoReport", 62),
            id="reports-are-expected-from-the-start",
        ),
        pytest.param(
            _given(
                150,
                _status(attempt_count=2, attempts=[attempt(end_time=at(80), reason="Error"), attempt(2, "b", 91)]),
                pods=(ended_pod(exit_code=1, ended=80), running_pod("b", 90)),
            ),
            Step("Running", "running, attempt 2", again=151),
            None,
            id="a-new-attempt-has-its-own-time",
        ),
        pytest.param(
            _given(100, pods=(running_pod(deleted=at(110)),)),
            Step("Running", "running", again=140),
            None,
            id="a-pod-that-is-going-away",
        ),
        pytest.param(
            _given(500, _status(attempts=[attempt(end_time=at(80), reason="Error")]), pods=()),
            Step("Pending", "attempt 1 ended (Error); starting the next one", again=510),
            None,
            id="no-pod",
        ),
        pytest.param(
            _given(100, suspend=True, job=_job(_policy(), suspend=True), pods=()),
            Step("Suspended", "suspended; set spec.suspend to false to go on"),
            None,
            id="suspended",
        ),
        pytest.param(
            _given(100, cancel_requested=True, job=_job(_policy(), backoff_limit=0), pods=(running_pod(deadline=1),)),
            Step("Running", "cancelling", again=110),
            None,
            id="being-cancelled",
        ),
    ],
)
def test_when_work_counts_as_stalled(given: TaskState, expected: Step, stalled: Any) -> None:
    after = plan(given)
    assert step(after) == expected
    assert _stalled(after.status) == stalled


@pytest.mark.parametrize(
    ("stored", "message", "stalled"),
    [
        pytest.param(_status(STALLED), f"{RUNS}it told nothing", ("True", "NoReport", 100), id="still-silent"),
        pytest.param(
            _status(STALLED, last_report_time=at(101)), "running", ("False", "Reporting", 110), id="it-tells-again"
        ),
        pytest.param(
            _status(STALLED, last_report_time=at(100)), "running", ("False", "Reporting", 110), id="in-the-same-second"
        ),
        pytest.param(
            _status(STALLED, last_report_time=at(41)), "running", ("False", "Reporting", 110), id="it-had-told-in-time"
        ),
        pytest.param(
            _status(STALLED, attempts=[attempt(), attempt(2, "b", 105)]),
            "running",
            ("False", "Reporting", 110),
            id="another-attempt-works",
        ),
    ],
)
def test_how_long_work_counts_as_stalled(stored: LongTaskStatus, message: str, stalled: tuple[str, str, float]) -> None:
    pods = (running_pod("b", 104),) if len(stored.attempts) == 2 else (running_pod(),)
    after = plan(_given(110, stored, pods=pods)).status
    assert (after.message, _stalled(after)) == (message, stalled)


RETRY, FAIL = _policy(StallAction.RETRY), _policy(StallAction.FAIL)
STOPS = {RETRY.action: ("stop pod-a",), FAIL.action: (f"stop retries of {JOB_UID}", "stop pod-a")}


@pytest.mark.parametrize("policy", [RETRY, FAIL])
def test_a_stall_is_told_then_decided_and_only_then_is_anything_stopped(policy: StallPolicy) -> None:
    known = {"job": _job(policy), "pods": (running_pod(),)}
    told = plan(_given(100, None, policy))
    assert step(told) == Step("Running", f"{RUNS}{EVIDENCE}{WHERE}", again=101)
    assert _stalled(told.status) == ("True", "NoReport", 100)
    stored = written(task(_status()), told)
    assert step(plan(state(stored, 109, **known))) == Step("Running", f"{RUNS}{EVIDENCE}{WHERE}", again=110)
    decided = plan(state(stored, 110, **known))
    assert decided.status.message == f"stalled: {EVIDENCE}{WHERE}; ending the attempt"
    assert (decided.actions, _stalled(decided.status)) == ((), ("True", "StillNoReport", 100))
    after = step(plan(state(written(stored, decided), 111, **known)))
    assert after.actions == STOPS[policy.action]
    assert after.message == decided.status.message


@pytest.mark.parametrize("policy", [RETRY, FAIL])
@pytest.mark.parametrize(
    ("fields", "stalled"),
    [
        pytest.param({"last_report_time": at(101)}, ("False", "Reporting", 115), id="a-report"),
        pytest.param({"last_report_time": at(99)}, ("False", "Reporting", 115), id="one-that-was-stored-late"),
        pytest.param({"input_requests": [QUESTION]}, ("Unknown", "WaitingForInput", 115), id="a-question"),
    ],
)
def test_what_the_work_tells_before_the_decision_refutes_it(
    policy: StallPolicy, fields: dict[str, Any], stalled: tuple[str, str, float]
) -> None:
    after = plan(_given(115, _status(STALLED, **fields), policy))
    assert (step(after).actions, _stalled(after.status)) == ((), stalled)


BACK = 1000
"""When an operator is there again after the work has met none for a quarter of an hour."""


@pytest.mark.parametrize("policy", [_policy(), RETRY, FAIL])
def test_time_in_which_no_operator_was_there_is_no_silence(policy: StallPolicy) -> None:
    silent = step(plan(_given(BACK + 89, None, policy, attended=at(BACK))))
    assert silent == Step("Running", "running", again=BACK + 90)
    assert _stalled(plan(_given(BACK + 90, None, policy, attended=at(BACK))).status) == ("True", "NoReport", BACK + 90)


@pytest.mark.parametrize("policy", [RETRY, FAIL])
def test_what_was_told_of_before_an_operator_went_away_is_decided_when_the_work_could_have_refuted_it(
    policy: StallPolicy,
) -> None:
    given = {"attended": at(BACK)}
    assert step(plan(_given(BACK + 1, _status(STALLED), policy, **given))).again == BACK + 40
    assert _stalled(plan(_given(BACK + 40, _status(STALLED), policy, **given)).status) == ("True", "StillNoReport", 100)


@pytest.mark.parametrize("attended", [0, 40])
def test_an_operator_that_was_there_when_the_work_told_something_changes_nothing(attended: float) -> None:
    assert step(plan(_given(99, attended=at(attended)))).again == 100


@pytest.mark.parametrize("policy", [RETRY, FAIL])
@pytest.mark.parametrize(
    "fields", [{}, {"last_report_time": at(114)}, {"input_requests": [QUESTION]}], ids=["silent", "late-report", "asks"]
)
def test_what_was_decided_is_carried_out_whatever_the_attempt_tells_then(
    policy: StallPolicy, fields: dict[str, Any]
) -> None:
    after = plan(_given(115, _status(DECIDED, **fields), policy))
    assert step(after).actions == STOPS[policy.action]
    assert _stalled(after.status) == ("True", "StillNoReport", 100)


@pytest.mark.parametrize("policy", [RETRY, FAIL])
def test_a_stop_is_asked_for_once(policy: StallPolicy) -> None:
    given = _given(110, _status(DECIDED), policy, job=_job(policy, backoff_limit=0), pods=(running_pod(deadline=1),))
    assert plan(given).actions == ()


@pytest.mark.parametrize(("policy", "stops"), [(RETRY, ()), (FAIL, ("stop pod-a",))])
def test_a_job_that_is_being_removed_is_left_alone_and_work_that_is_to_fail_is_stopped(
    policy: StallPolicy, stops: tuple[str, ...]
) -> None:
    assert step(plan(_given(110, _status(DECIDED), policy, job=_job(policy, deleting=True)))).actions == stops


STOPPED = ended_pod(exit_code=137, ended=112, reason="DeadlineExceeded", deadline=1)


def test_an_attempt_that_was_ended_for_it_is_recorded_as_such_and_the_next_one_starts() -> None:
    between = plan(_given(115, _status(DECIDED), RETRY, pods=(STOPPED,)))
    assert [each.reason for each in between.status.attempts] == ["Stalled"]
    assert step(between).message == "attempt 1 ended (Stalled, exit code 137); starting the next one"
    stored = written(task(_status(DECIDED)), between)
    again = plan(state(stored, 130, job=_job(RETRY, failures=1), pods=(STOPPED, running_pod("b", 122)))).status
    assert [each.reason for each in again.attempts] == ["Stalled", None]
    assert (again.message, _stalled(again)) == ("running, attempt 2", ("False", "Reporting", 130))


def test_both_attempts_seen_at_once_are_told_apart() -> None:
    given = _given(130, _status(DECIDED), RETRY, pods=(STOPPED, running_pod("b", 122)))
    assert [each.reason for each in plan(given).status.attempts] == ["Stalled", None]


def test_what_is_told_of_work_that_was_ended_for_its_silence_is_past() -> None:
    told = STALLED.model_copy(update={"message": f"{EVIDENCE}{WHERE} and uses 0.003 CPU cores"})
    evidence = EVIDENCE.replace("has told", "had told")
    assert stall.afterwards(told) == f"{evidence}; pod pod-a ran on node-1 and used 0.003 CPU cores"


@pytest.mark.parametrize("policy", [RETRY, FAIL])
def test_the_last_attempt_that_was_ended_for_it_fails_the_task(policy: StallPolicy) -> None:
    failed = _job(policy, failed_reason="BackoffLimitExceeded", finished_at=at(113), failures=1)
    after = plan(_given(115, _status(DECIDED), policy, job=failed, pods=(STOPPED,), log="epoch 4\n")).status
    assert after.failure is not None
    assert (after.phase, after.failure.reason, after.failure.message) == (Phase.FAILED, "Stalled", "it told nothing")
    assert "stall.timeoutSeconds" in (after.failure.hint or "")
    assert (after.failure.log_tail, _stalled(after)) == ("epoch 4", ("True", "StillNoReport", 100))


@pytest.mark.parametrize(
    ("policy", "stored", "reason"),
    [
        pytest.param(_policy(), _status(STALLED), "DeadlineExceeded", id="the-policy-does-nothing"),
        pytest.param(RETRY, _status(), "DeadlineExceeded", id="it-had-not-stalled"),
        pytest.param(
            RETRY,
            _status(condition(ConditionType.STALLED, "True", "StillNoReport", since=61)),
            "DeadlineExceeded",
            id="an-earlier-attempt-had",
        ),
    ],
)
def test_a_deadline_of_one_second_is_not_taken_for_a_stall(
    policy: StallPolicy, stored: LongTaskStatus, reason: str
) -> None:
    assert [each.reason for each in plan(_given(115, stored, policy, pods=(STOPPED,))).status.attempts] == [reason]


@pytest.mark.parametrize("policy", [RETRY, FAIL])
def test_a_stop_that_an_earlier_version_had_decided_with_the_first_reason_is_carried_on(policy: StallPolicy) -> None:
    given = _given(115, _status(STALLED, last_report_time=at(111)), policy, pods=(running_pod(deadline=1),))
    after = plan(given)
    assert (after.status.message or "").endswith("ending the attempt")
    assert _stalled(after.status) == ("True", "NoReport", 100)
    ended = _given(115, after.status, policy, pods=(STOPPED,))
    assert [each.reason for each in plan(ended).status.attempts] == ["Stalled"]
    failed = _job(policy, failed_reason="BackoffLimitExceeded", finished_at=at(113), failures=1)
    failure = plan(_given(115, after.status, policy, job=failed, pods=(STOPPED,))).status.failure
    assert failure is not None
    assert (failure.reason, failure.message) == ("Stalled", "it told nothing")


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"cancel_requested": True}, "Cancelled"),
        ({"active_deadline_seconds": 110}, "DeadlineExceeded"),
        ({"active_deadline_seconds": 111}, "Stalled"),
    ],
)
def test_a_stop_while_a_report_could_refute_the_stall_may_be_of_a_cancel_or_of_the_deadline_of_the_task(
    spec: dict[str, Any], reason: str
) -> None:
    given = _given(115, _status(STALLED), RETRY, pods=(STOPPED,), **spec)
    assert [each.reason for each in plan(given).status.attempts] == [reason]
    failed = _job(RETRY, failed_reason="BackoffLimitExceeded", finished_at=at(113), failures=1)
    failure = plan(_given(115, _status(STALLED), RETRY, job=failed, pods=(STOPPED,), **spec)).status.failure
    assert failure is not None
    assert failure.reason == reason


def test_an_attempt_that_was_over_its_own_deadline_was_not_ended_for_silence() -> None:
    over = ended_pod(exit_code=137, ended=112, reason="DeadlineExceeded", deadline=110)
    given = _given(115, _status(DECIDED), RETRY, pods=(over,))
    assert [each.reason for each in plan(given).status.attempts] == ["DeadlineExceeded"]


def test_work_that_ended_by_itself_has_its_own_reason() -> None:
    given = _given(115, _status(DECIDED), RETRY, pods=(ended_pod(exit_code=3, ended=101, deadline=1),))
    assert [each.reason for each in plan(given).status.attempts] == ["Error"]


def test_a_wait_for_an_answer_is_no_stall_and_the_time_counts_from_its_end() -> None:
    waiting = plan(_given(500, _status(input_requests=[QUESTION])))
    assert (waiting.status.phase, _stalled(waiting.status)) == (
        Phase.WAITING_FOR_INPUT,
        ("Unknown", "WaitingForInput", 500),
    )
    stored = written(task(_status(input_requests=[QUESTION])), waiting)
    answered = stored.model_copy(update={"spec": task(input_responses=[{"request_id": "go-on", "value": "true"}]).spec})
    after = plan(state(answered, 600, job=_job(_policy()), pods=(running_pod(),)))
    assert step(after) == Step("Running", "running", again=660)
    assert _stalled(after.status) == ("False", "Reporting", 600)


def test_work_that_is_held_does_not_count_as_stalled_any_more() -> None:
    given = _given(120, _status(STALLED), suspend=True, job=_job(_policy(), suspend=True), pods=())
    assert _stalled(plan(given).status) == ("False", "Suspended", 120)


def test_work_that_is_done_does_not_count_as_stalled_any_more() -> None:
    complete = _job(_policy(), complete=True, finished_at=at(120))
    assert _stalled(plan(_given(121, _status(STALLED), job=complete, pods=(ended_pod(),))).status) == (
        "False",
        "Ended",
        121,
    )


def test_a_lost_node_is_told_and_not_a_stall() -> None:
    after = plan(_given(200, pods=(running_pod(deleted=at(100)),))).status
    assert (after.message or "").startswith("NodeLost")
    assert _stalled(after) is None


def test_work_that_was_let_go_on_has_its_own_time() -> None:
    stored = held(90, last_report_time=at(40), progress=TOLD, attempt_count=1, attempts=[attempt(end_time=at(80))])
    assert step(plan(_given(900, stored, pods=(running_pod("b", 890),)))).again == 951


def test_a_pod_that_has_not_started_is_no_stall() -> None:
    assert _stalled(plan(_given(500, _status(), pods=(ended_pod(exit_code=1), pod("b", 60)))).status) is None
