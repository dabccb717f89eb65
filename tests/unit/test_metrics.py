"""What the operator's metrics say, and that strangers cannot make them many."""

from typing import Any

import pytest
from prometheus_client import REGISTRY

from longtask import __version__
from longtask_api.longtask import Failure, LongTask, LongTaskStatus, Phase
from longtask_operator.cache import Tasks
from longtask_operator.metrics import METRICS
from tests.unit.given import at, condition, status, task


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Tasks:
    """The tasks that the metrics tell of; the template `training` exists."""
    tasks = Tasks()
    monkeypatch.setattr(METRICS, "_tasks", tasks.count)
    monkeypatch.setattr(METRICS, "_templates", lambda: {"training"})
    return tasks


def _of(template: str) -> LongTask:
    return task(templateRef={"name": template})


def _samples(name: str, **labels: str) -> list[dict[str, str]]:
    found = [sample for metric in REGISTRY.collect() for sample in metric.samples if sample.name == name]
    return [sample.labels for sample in found if labels.items() <= sample.labels.items()]


def test_names_of_templates_that_do_not_exist_are_one_label(seen: Tasks) -> None:
    failed = status(Phase.FAILED, failure=Failure(reason="TemplateNotFound", message="m"), completionTime=at(9))
    for number in range(100):
        METRICS.ended(_of(f"made-up-{number}"), failed)
        METRICS.delivered(_of(f"made-up-{number}"), at(10))
    METRICS.ended(_of("training"), failed)
    for name in ("longtask_tasks_ended_total", "longtask_deliveries_total"):
        assert {sample["template"] for sample in _samples(name)} <= {"training", "other"}
    assert _samples("longtask_tasks_ended_total", template="training", reason="TemplateNotFound")
    assert _samples("longtask_tasks_ended_total", template="other", reason="TemplateNotFound")


def test_tasks_are_counted_by_phase_and_reason_as_they_are_now(seen: Tasks) -> None:
    def known(uid: str, phase: Phase, reason: str) -> LongTask:
        made = task(LongTaskStatus(phase=phase, conditions=[condition("Succeeded", "Unknown", reason)]))
        return made.model_copy(update={"metadata": made.metadata.model_copy(update={"uid": uid})})

    def value(**labels: Any) -> float | None:
        return REGISTRY.get_sample_value("longtask_tasks", labels)

    seen.put(known("a", Phase.PENDING, "Unschedulable"))
    seen.put(known("b", Phase.PENDING, "Unschedulable"))
    seen.put(known("c", Phase.RUNNING, "Running"))
    assert value(phase="Pending", reason="Unschedulable") == 2
    assert value(phase="Running", reason="Running") == 1
    for uid in "abc":
        seen.drop(uid)
    assert value(phase="Pending", reason="Unschedulable") is None


def test_the_version_is_told() -> None:
    assert REGISTRY.get_sample_value("longtask_build_info", {"version": __version__}) == 1
