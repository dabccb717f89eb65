"""A task that has ended."""

from typing import Any

import pytest

from longtask_api.longtask import LongTaskStatus, Phase
from longtask_operator.planning.plan import plan
from longtask_operator.planning.world import World
from tests.unit.given import JOB_REF, JOB_UID, Step, at, job, running_pod, status, step, task, template, world

DELETE = f"delete {JOB_REF.name} {JOB_UID}"
DONE = job(complete=True, finished_at=at(100))
FAILED = job(failed_reason="BackoffLimitExceeded", finished_at=at(100))
RETAINED = 100 + 3600
EXPIRES = 100 + 86400


def _ended(now: float, ttl: int | None = None, /, **known: Any) -> World:
    return world(task(status(Phase.SUCCEEDED, message="done"), ttl_seconds_after_finished=ttl), now, **known)


@pytest.mark.parametrize(
    ("given", "actions", "again"),
    [
        pytest.param(_ended(101, job=DONE), (), RETAINED, id="job-is-kept"),
        pytest.param(_ended(RETAINED - 1, job=FAILED), (), RETAINED, id="failed-job-is-kept"),
        pytest.param(_ended(RETAINED, job=DONE), (DELETE,), EXPIRES, id="job-is-removed"),
        pytest.param(_ended(RETAINED, job=FAILED), (DELETE,), EXPIRES, id="failed-job-is-removed"),
        pytest.param(_ended(RETAINED, job=job(complete=True, deleting=True)), (), EXPIRES, id="job-goes-already"),
        pytest.param(_ended(101), (), EXPIRES, id="no-job"),
        pytest.param(_ended(101, job=job()), (DELETE,), EXPIRES, id="job-still-works"),
        pytest.param(_ended(101, job=job(suspend=True)), (DELETE,), EXPIRES, id="job-is-held"),
        pytest.param(_ended(101, 60, job=DONE), (), 160, id="own-time-to-live-comes-first"),
        pytest.param(_ended(159, 60), (), 160, id="not-expired"),
        pytest.param(_ended(160, 60), ("delete task",), None, id="expired"),
        pytest.param(_ended(160, 60, job=DONE), ("delete task",), RETAINED, id="expired-before-its-job"),
        pytest.param(_ended(100, 0), ("delete task",), None, id="no-time-to-live-at-all"),
        pytest.param(_ended(EXPIRES - 1), (), EXPIRES, id="the-template's-time-to-live"),
        pytest.param(_ended(EXPIRES), ("delete task",), None, id="the-template's-time-to-live-is-over"),
        pytest.param(_ended(EXPIRES, job=DONE), (DELETE, "delete task"), None, id="all-goes"),
    ],
)
def test_what_is_removed_when(given: World, actions: tuple[str, ...], again: float | None) -> None:
    assert step(plan(given)) == Step("Succeeded", "done", actions, again)


@pytest.mark.parametrize("phase", [Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED])
def test_nothing_that_happens_after_the_end_changes_the_status(phase: Phase) -> None:
    stored = task(status(phase), cancel_requested=True, suspend=True)
    late = world(stored, 200, job=job(), pods=(running_pod(),), template=template(), parameters={})
    assert plan(late).status is stored.status


def test_a_task_that_never_had_a_template_is_kept_for_thirty_days() -> None:
    refused = LongTaskStatus(phase=Phase.FAILED, completion_time=at(60))
    assert step(plan(world(task(refused), 61))).again == 60 + 30 * 86400


def test_an_ended_task_without_its_end_is_kept_from_now_on() -> None:
    assert step(plan(world(task(LongTaskStatus(phase=Phase.FAILED)), 61))).again == 61 + 30 * 86400


def test_a_task_that_is_being_deleted_is_left_alone() -> None:
    given = world(task(status(Phase.SUCCEEDED), deleted=200), EXPIRES, job=DONE)
    assert step(plan(given)) == Step("Succeeded", "")
