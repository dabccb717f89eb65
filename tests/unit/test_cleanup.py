"""A task that has ended."""

from dataclasses import replace
from typing import Any

import pytest

from longtask_api.conditions import Condition
from longtask_api.longtask import LongTaskSpec, LongTaskStatus, Notification, Phase
from longtask_operator.planning.notifications import EventKind
from longtask_operator.planning.plan import plan
from longtask_operator.planning.state import TaskState
from tests.unit.given import JOB_REF, JOB_UID, SNAPSHOT, Step, at, job, running_pod, state, status, step, task, template

DELETE = f"delete {JOB_REF.name} {JOB_UID}"
DONE = job(complete=True, finished_at=at(100))
FAILED = job(failed_reason="BackoffLimitExceeded", finished_at=at(100))
RETAINED = 100 + 3600
EXPIRES = 100 + 86400


def _ended(now: float, ttl: int | None = None, /, **known: Any) -> TaskState:
    return state(task(status(Phase.SUCCEEDED, message="done"), ttl_seconds_after_finished=ttl), now, **known)


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
def test_what_is_removed_when(given: TaskState, actions: tuple[str, ...], again: float | None) -> None:
    assert step(plan(given)) == Step("Succeeded", "done", actions, again)


@pytest.mark.parametrize("phase", [Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED])
def test_nothing_that_happens_after_the_end_changes_the_status(phase: Phase) -> None:
    stored = task(status(phase), cancel_requested=True, suspend=True)
    late = state(stored, 200, job=job(), pods=(running_pod(),), template=template(), parameters={})
    assert plan(late).status is stored.status


def test_a_task_that_never_had_a_template_is_kept_for_thirty_days() -> None:
    refused = LongTaskStatus(phase=Phase.FAILED, completion_time=at(60))
    assert step(plan(state(task(refused), 61))).again == 60 + 30 * 86400


def test_an_ended_task_without_its_end_is_kept_from_now_on() -> None:
    assert step(plan(state(task(LongTaskStatus(phase=Phase.FAILED)), 61))).again == 61 + 30 * 86400


def test_a_task_that_is_being_deleted_is_left_alone() -> None:
    given = state(task(status(Phase.SUCCEEDED), deleted=200), EXPIRES, job=DONE)
    assert step(plan(given)) == Step("Succeeded", "")


MEMORY = {"memoryId": "agents-a1b2c3d4e5", "actorId": "alice", "sessionId": "one"}
ALICE = {"principal": "alice"}
PATIENCE = 7 * 86400


def _told(now: float, *conditions: tuple[str, str, str], archives_all: bool = False, **spec: Any) -> TaskState:
    """A task with a time to live of a minute, and what its conditions say."""
    made = [Condition(type=a, status=b, reason=c, last_transition_time=at(100)) for a, b, c in conditions]
    known = status(Phase.SUCCEEDED, message="done")
    ended = task(known.model_copy(update={"conditions": [*known.conditions, *made]}), ttl_seconds_after_finished=60)
    given = ended.model_copy(update={"spec": ended.spec.model_copy(update=_spec(spec))})
    there = state(given, now, job=DONE)
    return replace(there, policy=replace(there.policy, archives_all=archives_all))


def _spec(spec: dict[str, Any]) -> dict[str, Any]:
    found = LongTaskSpec.from_api({"templateRef": {"name": "any"}, **spec})
    return {key: getattr(found, key) for key in spec}


DELIVERED, ARCHIVED = ("Delivered", "True", "Delivered"), ("Archived", "True", "Archived")
DENIED, REFUSED = ("Delivered", "False", "AccessDenied"), ("Delivered", "False", "Refused")
KEPT: dict[str, Any] = {"memory": MEMORY, "requester": ALICE}


@pytest.mark.parametrize(
    ("given", "again"),
    [
        pytest.param(_told(101), 160, id="nobody-to-tell"),
        pytest.param(_told(101, **KEPT), 100 + PATIENCE, id="not-delivered-yet"),
        pytest.param(_told(101, ("Delivered", "Unknown", "Throttled"), **KEPT), 100 + PATIENCE, id="tried-again"),
        pytest.param(_told(101, DENIED, ARCHIVED, **KEPT), 100 + PATIENCE, id="an-administrator-can-mend-it"),
        pytest.param(_told(101, DELIVERED, **KEPT), 100 + PATIENCE, id="not-archived-yet"),
        pytest.param(_told(101, DELIVERED, ARCHIVED, **KEPT), 160, id="delivered-and-archived"),
        pytest.param(_told(101, REFUSED, ARCHIVED, **KEPT), 160, id="never-delivered"),
        pytest.param(_told(101, requester=ALICE, archives_all=True), 100 + PATIENCE, id="to-the-bucket"),
        pytest.param(_told(101, ARCHIVED, requester=ALICE, archives_all=True), 160, id="in-the-bucket"),
        pytest.param(_told(101, archives_all=True), 160, id="nobody-could-read-a-record"),
    ],
)
def test_the_record_waits_until_it_is_delivered_and_archived(given: TaskState, again: float) -> None:
    assert step(plan(given)) == Step("Succeeded", "done", (), again)


def test_it_waits_with_its_job_and_not_for_ever() -> None:
    waits = step(plan(_told(100 + PATIENCE - 1, DENIED, **KEPT)))
    over = step(plan(_told(100 + PATIENCE, DENIED, **KEPT)))

    assert (waits.actions, waits.again) == ((), 100 + PATIENCE)
    assert (over.actions, over.again) == ((DELETE, "delete task"), None)


@pytest.mark.parametrize(
    ("states", "sinks", "again"),
    [
        pytest.param([], {"ops": frozenset(EventKind)}, 100 + PATIENCE, id="not-sent"),
        pytest.param([], {}, 100 + PATIENCE, id="not-configured"),
        pytest.param([], {"ops": frozenset({EventKind.FAILED})}, 160, id="not-wanted"),
        pytest.param([{"sentTime": at(120)}], {"ops": frozenset(EventKind)}, 160, id="sent"),
        pytest.param([{"nextRetryTime": at(999)}], {"ops": frozenset(EventKind)}, 100 + PATIENCE, id="tried-again"),
        pytest.param([{"failures": 9}], {"ops": frozenset(EventKind)}, 160, id="given-up"),
    ],
)
def test_the_record_waits_until_its_sinks_are_notified(
    states: list[dict[str, Any]], sinks: dict[str, frozenset[EventKind]], again: float
) -> None:
    made = [Notification.from_api({"sink": "ops", "event": "succeeded", **each}) for each in states]
    terms = SNAPSHOT.model_copy(update={"notify": ["ops"]})
    ended = status(Phase.SUCCEEDED, message="done", template_snapshot=terms, notifications=made)
    there = state(task(ended, ttl_seconds_after_finished=60), 130, job=DONE)
    assert step(plan(replace(there, policy=replace(there.policy, sinks=sinks)))).again == again
