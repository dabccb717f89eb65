"""What was restored from a backup: it says what was, and nothing is done for it."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from longtask_api import constants
from longtask_api.conditions import ConditionStatus, find
from longtask_api.longtask import ConditionType, LongTask, LongTaskStatus, Memory, Phase, Requester
from longtask_operator.archive.archive import Archive
from longtask_operator.delivery.due import due
from longtask_operator.planning.plan import plan
from longtask_operator.store.store import Store
from tests.unit.given import Step, condition, job, running_pod, state, status, step, task, template, written

MEMORY = Memory(memory_id="agents-a1b2c3d4e5", actor_id="ann", session_id="one")
REQUESTER = Requester(principal="system:serviceaccount:agents:researcher")


def record(state: LongTaskStatus | None = None, value: str = "true", **spec: Any) -> LongTask:
    plain = task(state, **spec)
    annotated = plain.metadata.model_copy(update={"annotations": {constants.ANNOTATION_RECORD: value}})
    return plain.model_copy(update={"metadata": annotated})


@pytest.mark.parametrize("now", [0, 1, 3600, 86400])
def test_it_is_never_started_and_says_why(now: float) -> None:
    after = plan(state(record(), now, template=template(), parameters={}))
    assert (after.actions, after.look_again) == ((), None)
    assert after.status.phase is Phase.PENDING
    assert after.status.message is not None
    assert "it is never started" in after.status.message
    accepted, succeeded = (
        find(after.status.conditions, each) for each in (ConditionType.ACCEPTED, ConditionType.SUCCEEDED)
    )
    assert accepted is not None
    assert succeeded is not None
    assert (accepted.reason, succeeded.reason) == ("Record", "Record")
    assert "Restore its status too, or remove the annotation" in succeeded.message
    assert plan(state(written(record(), after), now + 60, template=template(), parameters={})).status == after.status


@pytest.mark.parametrize("value", ["false", "", "True", "yes"])
def test_any_other_value_is_a_task(value: str) -> None:
    assert plan(state(record(value=value), 1, template=template(), parameters={})).actions != ()


def test_it_can_be_cancelled() -> None:
    assert plan(state(record(cancel_requested=True), 1)).status.phase is Phase.CANCELLED


def test_work_that_goes_on_is_not_stopped_by_the_annotation() -> None:
    running = record(status(Phase.RUNNING))
    with_it = plan(state(running, 10, job=job(), pods=(running_pod(),)))
    without = plan(state(task(status(Phase.RUNNING)), 10, job=job(), pods=(running_pod(),)))
    assert (with_it.actions, with_it.status) == (without.actions, without.status)


def test_its_session_is_not_told_again() -> None:
    ended = status(Phase.SUCCEEDED)
    assert due(task(ended, memory=MEMORY)) == "result"
    assert due(record(ended, memory=MEMORY)) is None


@pytest.mark.parametrize("delivered", ["Unknown", "False"])
def test_it_goes_when_its_time_is_over_and_waits_for_nobody(delivered: ConditionStatus) -> None:
    ended = status(Phase.SUCCEEDED, condition("Delivered", delivered, reason="Pending"), message="done")
    kept = record(ended, memory=MEMORY, requester=REQUESTER, ttl_seconds_after_finished=60)
    assert step(plan(state(kept, 159))) == Step("Succeeded", "done", (), 160)
    assert step(plan(state(kept, 160))) == Step("Succeeded", "done", ("delete task",), None)


def test_what_was_taken_back_is_told_to_nobody_and_kept_for_nobody() -> None:
    ended = status(Phase.CANCELLED, message="done")
    kept = task(ended, memory=MEMORY, requester=REQUESTER, ttl_seconds_after_finished=60)
    annotated = kept.metadata.model_copy(update={"annotations": {constants.ANNOTATION_TAKEN_BACK: ""}})
    back = kept.model_copy(update={"metadata": annotated})
    archive = Archive(cast(Store, SimpleNamespace(bucket=None)), None, [])
    assert archive.takes(kept)
    assert due(back) is None
    assert not archive.takes(back)
    assert step(plan(state(back, 160))) == Step("Cancelled", "done", ("delete task",), None)
