"""The Events that a change of status is worth."""

import pytest

from longtask_api.conditions import Condition
from longtask_api.longtask import Failure, LongTaskStatus, Phase
from longtask_operator.planning.task_events import for_change
from tests.unit.given import at, attempt, condition

ENDED = attempt(end_time=at(50), reason="OOMKilled", exit_code=137)


def _status(phase: Phase | None, message: str = "so it is", held: bool = False, **fields: object) -> LongTaskStatus:
    conditions = [condition("Suspended", "True" if held or phase is Phase.SUSPENDED else "False")]
    return LongTaskStatus.model_validate({"phase": phase, "message": message, "conditions": conditions} | fields)


def _with(status: LongTaskStatus, condition: Condition) -> LongTaskStatus:
    return status.model_copy(update={"conditions": [*status.conditions, condition]})


STALLED = condition("Stalled", "True", "NoReport", "told nothing for 60 s")


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(_status(None), _status(Phase.PENDING), [], id="pending"),
        pytest.param(_status(Phase.PENDING), _status(Phase.RUNNING), [], id="running"),
        pytest.param(_status(Phase.RUNNING), _status(Phase.SUCCEEDED), [], id="succeeded"),
        pytest.param(_status(Phase.RUNNING), _status(Phase.RUNNING, "other"), [], id="only-the-message"),
        pytest.param(
            _status(Phase.RUNNING),
            _status(Phase.FAILED, failure=Failure(reason="OOMKilled", message="x")),
            [("Warning", "OOMKilled", "so it is")],
            id="failed",
        ),
        pytest.param(
            _status(Phase.RUNNING),
            _status(Phase.FAILED),
            [("Warning", "Failed", "so it is")],
            id="failed-without-a-word",
        ),
        pytest.param(
            _status(Phase.RUNNING), _status(Phase.CANCELLED), [("Normal", "Cancelled", "so it is")], id="cancelled"
        ),
        pytest.param(
            _status(Phase.SUSPENDED),
            _status(Phase.CANCELLED),
            [("Normal", "Cancelled", "so it is")],
            id="cancelled-while-suspended",
        ),
        pytest.param(
            _status(Phase.SUSPENDED),
            _status(Phase.FAILED),
            [("Warning", "Failed", "so it is")],
            id="failed-while-suspended",
        ),
        pytest.param(
            _status(Phase.RUNNING), _status(Phase.SUSPENDED), [("Normal", "Suspended", "so it is")], id="suspended"
        ),
        pytest.param(
            _status(Phase.SUSPENDED), _status(Phase.PENDING), [("Normal", "Resumed", "so it is")], id="resumed"
        ),
        pytest.param(
            _status(Phase.SUSPENDED), _status(Phase.RUNNING), [("Normal", "Resumed", "so it is")], id="resumed-at-once"
        ),
        pytest.param(_status(Phase.SUSPENDED), _status(Phase.SUSPENDED), [], id="still-suspended"),
        pytest.param(
            _status(Phase.RUNNING, attempts=[attempt()]),
            _status(Phase.RUNNING, attempts=[ENDED, attempt(2, "b")]),
            [("Warning", "AttemptEnded", "attempt 1 (pod-a): OOMKilled, exit code 137")],
            id="attempt-ended",
        ),
        pytest.param(
            _status(Phase.RUNNING, attempts=[attempt()]),
            _status(Phase.RUNNING, attempts=[ENDED.model_copy(update={"message": "it used more than 64Mi"})]),
            [("Warning", "AttemptEnded", "attempt 1 (pod-a): OOMKilled: it used more than 64Mi")],
            id="attempt-ended-with-words",
        ),
        pytest.param(
            _status(Phase.PENDING),
            _status(Phase.PENDING, attempts=[attempt(start=None, end_time=at(50), reason="Evicted")]),
            [("Warning", "AttemptEnded", "attempt 1 (pod-a): Evicted")],
            id="attempt-ended-without-exit-code",
        ),
        pytest.param(
            _status(Phase.RUNNING, attempts=[ENDED]), _status(Phase.RUNNING, attempts=[ENDED]), [], id="told-already"
        ),
        pytest.param(
            _status(Phase.RUNNING, attempts=[attempt()]),
            _status(Phase.SUCCEEDED, attempts=[attempt(end_time=at(50), reason="Completed", exit_code=0)]),
            [],
            id="attempt-completed",
        ),
        pytest.param(
            _status(Phase.RUNNING, attempts=[attempt()]),
            _status(Phase.FAILED, attempts=[ENDED], failure=Failure(reason="OOMKilled", message="x")),
            [
                ("Warning", "AttemptEnded", "attempt 1 (pod-a): OOMKilled, exit code 137"),
                ("Warning", "OOMKilled", "so it is"),
            ],
            id="last-attempt-ended",
        ),
        pytest.param(
            _status(Phase.RUNNING),
            _status(Phase.WAITING_FOR_INPUT, "waiting for input: Go on?"),
            [("Normal", "InputRequested", "waiting for input: Go on?")],
            id="asks",
        ),
        pytest.param(_status(Phase.WAITING_FOR_INPUT), _status(Phase.RUNNING), [], id="answered"),
        pytest.param(
            _status(Phase.WAITING_FOR_INPUT), _status(Phase.WAITING_FOR_INPUT, "other"), [], id="asks-something-else"
        ),
        pytest.param(
            _status(Phase.RUNNING),
            _with(_status(Phase.RUNNING), STALLED),
            [("Warning", "Stalled", "told nothing for 60 s")],
            id="stalled",
        ),
        pytest.param(
            _with(_status(Phase.RUNNING), STALLED), _with(_status(Phase.RUNNING), STALLED), [], id="still-stalled"
        ),
        pytest.param(
            _with(_status(Phase.RUNNING), STALLED),
            _with(_status(Phase.RUNNING), condition("Stalled", "False", "Reporting")),
            [],
            id="tells-again",
        ),
        pytest.param(
            _with(_status(Phase.RUNNING), condition("Succeeded", "Unknown", "Running")),
            _with(_status(Phase.RUNNING, "NodeLost: node-1"), condition("Succeeded", "Unknown", "NodeLost")),
            [("Warning", "NodeLost", "NodeLost: node-1")],
            id="node-lost",
        ),
        pytest.param(
            _status(None),
            _with(_status(Phase.PENDING), condition("Succeeded", "Unknown", "TemplateNotChecked")),
            [],
            id="template-not-checked-yet",
        ),
        pytest.param(
            _with(_status(Phase.RUNNING), condition("Succeeded", "Unknown", "NodeLost")),
            _with(_status(Phase.RUNNING), condition("Succeeded", "Unknown", "NodeLost")),
            [],
            id="node-still-lost",
        ),
        pytest.param(
            _with(_status(Phase.PENDING), condition("Succeeded", "Unknown", "Pending")),
            _with(_status(Phase.PENDING, "Unschedulable: no node"), condition("Succeeded", "Unknown", "Unschedulable")),
            [("Warning", "Unschedulable", "Unschedulable: no node")],
            id="waits",
        ),
        pytest.param(
            _with(_status(Phase.PENDING), condition("Succeeded", "Unknown", "Unschedulable")),
            _with(_status(Phase.PENDING, "other words"), condition("Succeeded", "Unknown", "Unschedulable")),
            [],
            id="still-waits",
        ),
        pytest.param(
            _with(_status(Phase.PENDING), condition("Succeeded", "Unknown", "Unschedulable")),
            _with(_status(Phase.RUNNING), condition("Succeeded", "Unknown", "Running")),
            [],
            id="waits-no-more",
        ),
        pytest.param(_status(Phase.SUSPENDED), _status(Phase.SUCCEEDED, held=True), [], id="completed-while-suspended"),
        pytest.param(_status(Phase.SUSPENDED), _status(Phase.PENDING, held=True), [], id="cancelling-while-suspended"),
    ],
)
def test_what_is_told(before: LongTaskStatus, after: LongTaskStatus, expected: list[tuple[str, str, str]]) -> None:
    assert list(for_change(before, after)) == expected
