"""How long the task API holds a call that waits for the answer to a question."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from longtask_api.longtask import LongTask, LongTaskStatus, Phase
from longtask_api.reports import InputRequest
from longtask_operator.cache import Cache
from longtask_operator.task_api.errors import Refusal
from longtask_operator.task_api.questions import until_settled
from tests.unit.given import TASK_UID, at, at_work, status, task
from tests.unit.virtual_time import until_idle

OPEN = InputRequest(id="go-on", message="Go on?", created_time=at(10))


def _version(number: int, state: LongTaskStatus, **spec: Any) -> LongTask:
    made = task(state, **spec)
    return made.model_copy(update={"metadata": made.metadata.model_copy(update={"resource_version": str(number)})})


def _asking(number: int = 1, question: InputRequest = OPEN, **spec: Any) -> LongTask:
    return _version(number, at_work(input_requests=[question]), **spec)


def _waited(seconds: float, *happenings: tuple[float, Callable[[Cache], object]]) -> tuple[float, LongTask | Refusal]:
    """How long the wait was, and what came of it, where something happens at those times."""
    outcome: list[tuple[float, LongTask | Refusal]] = []

    async def main() -> None:
        cache, loop = Cache(), asyncio.get_running_loop()
        cache.put_task(_asking())
        for when, happening in happenings:
            loop.call_at(when, happening, cache)
        try:
            found: LongTask | Refusal = await until_settled(cache, TASK_UID, OPEN.id, seconds)
        except Refusal as refusal:
            found = refusal
        outcome.append((loop.time(), found))

    until_idle(main)
    return outcome[0]


@pytest.mark.parametrize("seconds", [0, 5, 50])
def test_a_question_without_a_timeout_is_open_when_the_call_has_waited(seconds: float) -> None:
    waited, found = _waited(seconds)
    assert waited == pytest.approx(seconds)
    assert isinstance(found, LongTask)
    assert found.unanswered == [OPEN]


def test_an_answer_ends_the_wait() -> None:
    answered = _asking(2, input_responses=[{"request_id": "go-on", "value": "true"}])
    waited, found = _waited(50, (3, lambda cache: cache.put_task(answered)))
    assert (waited, found) == (3, answered)


def test_other_news_of_the_task_does_not() -> None:
    waited, _ = _waited(
        50, (3, lambda cache: cache.put_task(_asking(2))), (4, lambda cache: cache.put_task(_asking(3)))
    )
    assert waited == pytest.approx(50)


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda cache: cache.drop_task(TASK_UID), id="deleted"),
        pytest.param(lambda cache: cache.put_task(_version(2, status(Phase.CANCELLED))), id="cancelled"),
    ],
)
def test_the_end_of_the_task_ends_the_wait_and_says_so(end: Callable[[Cache], object]) -> None:
    waited, found = _waited(50, (3, end))
    assert waited == 3
    assert isinstance(found, Refusal)
    assert (found.status, found.reason) == (409, "TaskEnded")


def test_the_end_of_the_questions_own_time_ends_the_wait() -> None:
    over = OPEN.model_copy(update={"expires_time": datetime.now(UTC) - timedelta(seconds=1)})
    waited, found = _waited(50, (3, lambda cache: cache.put_task(_asking(2, over))))
    assert waited == 3
    assert isinstance(found, LongTask)


def test_a_question_that_was_never_asked_is_not_waited_for() -> None:
    unknown = OPEN.model_copy(update={"id": "other"})
    waited, found = _waited(50, (3, lambda cache: cache.put_task(_asking(2, unknown))))
    assert waited == 3
    assert isinstance(found, Refusal)
    assert found.reason == "NoSuchQuestion"


async def test_a_loop_over_changes_of_a_task_that_is_gone_ends_instead_of_spinning() -> None:
    cache = Cache()
    given = _asking()
    assert await cache.changed(given, 3600) is None
    cache.put_task(given)
    assert await cache.changed(given, 0) is given
