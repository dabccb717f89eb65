"""A task that runs an earlier one again, before it has a Job: whether it may take over the checkpoint."""

from typing import Any

import pytest

from longtask_api.longtask import LongTask, Phase, Requester, RerunOf, TemplateRef
from longtask_api.reports import Checkpoint
from longtask_operator.planning.failure_reasons import StartProblem
from longtask_operator.planning.plan import plan
from longtask_operator.planning.state import TaskState
from tests.unit.given import JOB_REF, Step, at, condition, state, status, step, task, template

ALICE = Requester(principal="alice", actor_id="ada")
SAVED = Checkpoint(attempt=3, sequence=7, text="{}", saved_time=at(1))
EARLIER_UID = "0c7c9c52-1111-4222-8333-444444444444"
CREATE = f"create {JOB_REF.name}"
TAKE = "take the checkpoint of training-0"
WHAT = f"LongTask training-0 ({EARLIER_UID})"
AWAY = StartProblem("StoreUnavailable", "the bucket does not answer", "It starts when the store answers again.")


def again(*, from_checkpoint: bool = True, taken: bool = False, **spec: Any) -> LongTask:
    """A task of alice that runs `training-0` again."""
    rerun = RerunOf(name="training-0", uid=EARLIER_UID, from_checkpoint=from_checkpoint)
    made = task(**{"requester": ALICE, "rerun_of": rerun} | spec)
    checkpoint = SAVED.model_copy(update={"attempt": 0}) if taken else None
    return made.model_copy(update={"status": made.status.model_copy(update={"checkpoint": checkpoint})})


def earlier(phase: Phase = Phase.FAILED, checkpoint: Checkpoint | None = SAVED, **spec: Any) -> LongTask:
    """The task `training-0` of alice."""
    made = task(status(phase, checkpoint=checkpoint), **{"requester": ALICE} | spec)
    metadata = made.metadata.model_copy(update={"name": "training-0", "uid": EARLIER_UID})
    return made.model_copy(update={"metadata": metadata})


def of_another_template() -> LongTask:
    made = earlier()
    return made.model_copy(
        update={"spec": made.spec.model_copy(update={"template_ref": TemplateRef(name="validation")})}
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(state(again(), 1, earlier=earlier()), Step(None, None, (TAKE,)), id="failed"),
        pytest.param(state(again(), 1, earlier=earlier(Phase.SUCCEEDED)), Step(None, None, (TAKE,)), id="succeeded"),
        pytest.param(
            state(again(taken=True), 1, template=template(), parameters={}),
            Step(None, None, (CREATE,)),
            id="taken-over-already",
        ),
        pytest.param(
            state(again(from_checkpoint=False), 1, template=template(), parameters={}),
            Step(None, None, (CREATE,)),
            id="from-the-beginning",
        ),
        pytest.param(
            state(again(cancel_requested=True), 1, earlier=earlier()),
            Step("Cancelled", "Cancelled: cancelled on request before it started"),
            id="cancelled",
        ),
        pytest.param(
            state(again(), 1, earlier=earlier(), checkpoint_problem=AWAY),
            Step("Pending", f"waiting: {AWAY.message}", again=11),
            id="the-store-is-away",
        ),
        pytest.param(
            state(again(), 10**6, earlier=earlier(), checkpoint_problem=AWAY, checkpoint_lost=True),
            Step("Failed", f"{AWAY.reason}: {AWAY.message}"),
            id="lost-in-the-store",
        ),
    ],
)
def test_it_starts_once_it_has_the_checkpoint(given: TaskState, expected: Step) -> None:
    assert step(plan(given)) == expected


@pytest.mark.parametrize(
    ("found", "why"),
    [
        pytest.param(None, "is gone, and its checkpoint with it", id="gone"),
        pytest.param(earlier(checkpoint=None), "has saved no checkpoint", id="none-saved"),
        pytest.param(earlier(Phase.RUNNING), "has not ended", id="at-work"),
        pytest.param(of_another_template(), "is not of the same requester and template", id="another-template"),
        *(
            pytest.param(earlier(requester=other), "is not of the same requester and template", id=f"of-{name}")
            for name, other in {
                "nobody": None,
                "bob": Requester(principal="bob", actor_id="ada"),
                "another-actor": Requester(principal="alice", actor_id="eve"),
                "no-actor": Requester(principal="alice"),
            }.items()
        ),
    ],
)
def test_it_fails_where_it_may_not_have_the_checkpoint(found: LongTask | None, why: str) -> None:
    assert step(plan(state(again(), 1, earlier=found))) == Step("Failed", f"NoCheckpoint: {WHAT} {why}")


def test_the_session_of_the_requester_does_not_matter() -> None:
    elsewhere = earlier(requester=Requester(principal="alice", actor_id="ada", session_id="another"))
    assert step(plan(state(again(), 1, earlier=elsewhere))).actions == (TAKE,)


def test_a_refusal_that_waits_says_so_in_its_condition() -> None:
    planned = plan(state(again(), 1, earlier=earlier(), checkpoint_problem=AWAY))
    accepted = next(each for each in planned.status.conditions if each.type == "Accepted")
    assert (accepted.status, accepted.reason) == ("Unknown", AWAY.reason)
    assert accepted != condition("Accepted", "True")
