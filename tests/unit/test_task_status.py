"""What is said of a task that has ended."""

from longtask_api.longtask import Failure, Phase
from longtask_operator.planning import task_status
from tests.unit.given import at, at_work, attempt, state, task


def test_an_attempt_that_nobody_saw_end_ends_with_its_task() -> None:
    before = at_work(attempts=[attempt(end_time=at(9), reason="Evicted"), attempt(2, "b")], attempt_count=2)
    failure = Failure(reason="JobLost", message="somebody deleted it")
    after = task_status.terminal(state(task(before), 50), before, Phase.FAILED, failure=failure, at=at(40)).status
    assert [(each.end_time, each.reason) for each in after.attempts] == [(at(9), "Evicted"), (at(40), "JobLost")]
    assert (after.message, after.completion_time) == ("JobLost: somebody deleted it", at(40))


def test_a_task_that_has_nothing_to_say_is_completed() -> None:
    before = at_work()
    after = task_status.terminal(state(task(before), 50), before, Phase.SUCCEEDED, at=at(40)).status
    assert after.message == "completed"
    assert [each.reason for each in after.attempts] == ["Completed"]
