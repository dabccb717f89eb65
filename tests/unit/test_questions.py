"""The questions of the running work, and the phase that tells of them."""

from typing import Any

import pytest

from longtask_api.longtask import LongTaskStatus, Phase
from longtask_api.reports import InputRequest
from longtask_operator.planning.plan import plan
from longtask_operator.planning.questions import in_words, open_questions
from longtask_operator.planning.state import TaskState
from tests.unit.given import Step, at, at_work, ended_pod, job, running_pod, state, step, task


def _question(name: str = "go-on", message: str = "Go on?", **fields: Any) -> InputRequest:
    return InputRequest(id=name, message=message, created_time=at(10), **fields)


def _asking(*questions: InputRequest) -> LongTaskStatus:
    return at_work(input_requests=list(questions))


def _given(now: float, *questions: InputRequest, answers: tuple[str, ...] = (), **known: Any) -> TaskState:
    spec = {key: known.pop(key) for key in ("suspend", "cancel_requested") if key in known}
    responses = [{"request_id": name, "value": "true"} for name in answers]
    asking = task(_asking(*questions), input_responses=responses, **spec)
    return state(asking, now, **{"job": job(), "pods": (running_pod(),)} | known)


FIRST, SECOND = _question(), _question("sure", "Sure?")


@pytest.mark.parametrize(
    ("questions", "answers", "expected"),
    [
        pytest.param([], (), [], id="none"),
        pytest.param([FIRST, SECOND], (), ["go-on", "sure"], id="both"),
        pytest.param([FIRST, SECOND], ("go-on",), ["sure"], id="one-is-answered"),
        pytest.param([FIRST, SECOND], ("go-on", "sure"), [], id="both-are-answered"),
        pytest.param([FIRST, SECOND], ("other",), ["go-on", "sure"], id="an-answer-to-another"),
        pytest.param([_question(timed_out=True), SECOND], (), ["sure"], id="one-was-given-up"),
        pytest.param([_question(timed_out=False)], (), ["go-on"], id="not-given-up"),
        pytest.param([_question(expires_time=at(50))], (), [], id="its-time-is-over"),
        pytest.param([_question(expires_time=at(51))], (), ["go-on"], id="its-time-is-not-over"),
    ],
)
def test_which_questions_are_open(questions: list[InputRequest], answers: tuple[str, ...], expected: list[str]) -> None:
    given = _given(50, *questions, answers=answers)
    assert [question.id for question in open_questions(given.task, given.now)] == expected


HOW = "(answer with answer_task, or in spec.inputResponses with requestId go-on"


@pytest.mark.parametrize(
    ("questions", "expected"),
    [
        ([FIRST], f"waiting for input: Go on? {HOW})"),
        ([FIRST, SECOND], f"waiting for input: Go on? {HOW}; 1 more in status.inputRequests)"),
        ([_question(message="Two\n  lines?")], f"waiting for input: Two lines? {HOW})"),
        ([_question(message="x" * 200)], f"waiting for input: {'x' * 200} {HOW})"),
        ([_question(message="x" * 201)], f"waiting for input: {'x' * 200}... {HOW})"),
    ],
)
def test_a_question_is_told_in_short_with_how_to_answer(questions: list[InputRequest], expected: str) -> None:
    assert in_words(questions) == expected


WAITING = f"waiting for input: Go on? {HOW})"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(_given(50, FIRST), Step("WaitingForInput", WAITING, again=3602), id="open"),
        pytest.param(
            _given(50, _question(expires_time=at(90))), Step("WaitingForInput", WAITING, again=90), id="for-a-while"
        ),
        pytest.param(
            _given(90, _question(expires_time=at(90))), Step("Running", "running", again=3602), id="no-longer"
        ),
        pytest.param(_given(50, FIRST, answers=("go-on",)), Step("Running", "running", again=3602), id="answered"),
        pytest.param(
            _given(50, FIRST, pods=()),
            Step("Pending", "attempt 1 ended (Deleted); starting the next one", again=60),
            id="no-pod-asks",
        ),
        pytest.param(
            _given(50, FIRST, pods=(running_pod(deleted=at(55)),)),
            Step("Running", "running", again=85),
            id="the-pod-is-going-away",
        ),
        pytest.param(
            _given(50, FIRST, cancel_requested=True, job=job(backoff_limit=0), pods=(running_pod(deadline=1),)),
            Step("Running", "cancelling", again=60),
            id="being-cancelled",
        ),
    ],
)
def test_a_task_waits_for_input_while_its_pod_has_an_open_question(given: TaskState, expected: Step) -> None:
    assert step(plan(given)) == expected


def test_a_task_that_ended_with_an_open_question_has_ended() -> None:
    complete = job(complete=True, finished_at=at(60))
    assert plan(_given(70, FIRST, job=complete, pods=(ended_pod(),))).status.phase is Phase.SUCCEEDED
