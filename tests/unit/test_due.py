"""What a session is still to be told."""

from datetime import datetime
from typing import Any

import pytest

from longtask_api.longtask import Delivery, DeliveryPolicy, LongTask, Memory, Phase, SessionEvent
from longtask_api.reports import Progress
from longtask_operator.agentcore.models import Session
from longtask_operator.delivery.due import due, event_time, session_of
from longtask_operator.delivery.due import recorded as find_recorded
from tests.unit import given

MEMORY = Memory(memory_id="agents-a1b2c3d4e5", actor_id="ann", session_id="one")
POLICY = DeliveryPolicy(milestones=[25, 50, 75])


def told(*names: str) -> Delivery:
    return Delivery(
        events=[
            SessionEvent(name=name, event_time=given.at(1), payload_sha256="0" * 64, client_token="t", event_id="0#a")
            for name in names
        ]
    )


def recorded(name: str) -> Delivery:
    """What may have been written, or not."""
    return Delivery(events=[told(name).events[0].model_copy(update={"event_id": None})])


def at_work(
    fraction: float | None, policy: DeliveryPolicy | None = POLICY, delivery: Delivery | None = None
) -> LongTask:
    progress = Progress(attempt=1, sequence=1, fraction=fraction) if fraction is not None else None
    status = given.at_work(progress=progress, delivery=delivery)
    assert status.template_snapshot is not None
    snapshot = status.template_snapshot.model_copy(update={"delivery": policy})
    return given.task(status.model_copy(update={"template_snapshot": snapshot}), memory=MEMORY)


def ended(*conditions: Any, memory: Memory | None = MEMORY, **fields: Any) -> LongTask:
    return given.task(given.status(Phase.FAILED, *conditions, **fields), memory=memory)


def reported(updated: datetime | None) -> LongTask:
    task = at_work(0.5)
    assert task.status.progress is not None
    progress = task.status.progress.model_copy(update={"updated_time": updated})
    return task.model_copy(update={"status": task.status.model_copy(update={"progress": progress})})


@pytest.mark.parametrize(
    ("task", "name"),
    [
        pytest.param(ended(), "result", id="an-end"),
        pytest.param(ended(memory=None), None, id="nobody-to-tell"),
        pytest.param(ended(given.condition("Delivered")), None, id="told"),
        pytest.param(ended(given.condition("Delivered", "False", reason="Refused")), None, id="refused-for-good"),
        pytest.param(ended(given.condition("Delivered", "False", reason="AccessDenied")), "result", id="denied-so-far"),
        pytest.param(
            ended(given.condition("Delivered", "Unknown", reason="MilestoneDelivered"), delivery=told("progress-50")),
            "result",
            id="only-milestones-told",
        ),
        pytest.param(at_work(None), None, id="no-progress"),
        pytest.param(at_work(0.24), None, id="before-the-first-milestone"),
        pytest.param(at_work(0.249), None, id="right-before-it"),
        pytest.param(at_work(0.25), "progress-25", id="at-a-milestone"),
        pytest.param(at_work(0.01, DeliveryPolicy(milestones=[1])), "progress-1", id="at-the-first-percent"),
        pytest.param(at_work(0.8), "progress-75", id="several-at-once"),
        pytest.param(at_work(0.8, delivery=told("progress-75")), None, id="told-already"),
        pytest.param(at_work(0.8, delivery=recorded("progress-75")), None, id="may-have-been-told"),
        pytest.param(at_work(0.3, delivery=told("progress-75")), None, id="progress-goes-back"),
        pytest.param(at_work(0.8, policy=None), None, id="no-policy"),
    ],
)
def test_what_is_due(task: LongTask, name: str | None) -> None:
    assert due(task) == name


@pytest.mark.parametrize(
    ("task", "moment"),
    [
        pytest.param(ended(completion_time=given.at(7)), given.at(7), id="at-the-end"),
        pytest.param(ended(completion_time=None), given.at(99), id="an-end-without-a-time"),
        pytest.param(reported(given.at(5)), given.at(5), id="when-the-milestone-was-reported"),
        pytest.param(reported(None), given.at(99), id="a-report-without-a-time"),
        pytest.param(at_work(None), given.at(99), id="nothing-reported"),
    ],
)
def test_when_what_is_due_came_to_pass(task: LongTask, moment: datetime) -> None:
    assert event_time(task, given.at(99)) == moment


def test_the_session_is_that_of_the_tasks_memory() -> None:
    assert session_of(ended()) == Session("agents-a1b2c3d4e5", "ann", "one")
    assert session_of(ended(memory=None)) is None


def test_what_is_recorded_of_an_event_is_found_by_its_name() -> None:
    task = ended(delivery=told("progress-50", "result"))
    assert [event.name if event else None for event in (find_recorded(task, "result"), find_recorded(task, "x"))] == [
        "result",
        None,
    ]
    assert find_recorded(ended(), "result") is None
