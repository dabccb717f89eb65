"""LongTasks and templates as the API server would give them, for tests without a cluster."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from longtask_api.longtask import LongTask
from longtask_api.template import LongTaskTemplate
from longtask_mcp.contract import task_list
from longtask_mcp.contract.answers import Answer
from longtask_mcp.contract.arguments import ListTasks
from longtask_mcp.contract.own import OwnTasks

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
UID = "8f3c0000-0000-4000-8000-000000000001"


def ago(**span: float) -> str:
    """A time before NOW, as the API server writes it."""
    return (NOW - timedelta(**span)).strftime("%Y-%m-%dT%H:%M:%SZ")


def uid(number: int) -> str:
    """A uid that sorts by its number."""
    return f"8f3c0000-0000-4000-8000-{number:012d}"


def task(spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None, **metadata: Any) -> LongTask:
    """A LongTask of alice, created an hour ago."""
    return LongTask.from_api(
        {
            "apiVersion": "longtask.dev/v1alpha1",
            "kind": "LongTask",
            "metadata": {
                "name": "model-training-7x2k9",
                "uid": UID,
                "resourceVersion": "100",
                "creationTimestamp": ago(hours=1),
                **metadata,
            },
            "spec": {
                "templateRef": {"name": "model-training"},
                "parameters": {"epochs": 10},
                "requester": {"principal": "alice"},
                **(spec or {}),
            },
            "status": status or {},
        }
    )


def template(name: str = "model-training", *, ready: bool = True, **spec: Any) -> LongTaskTemplate:
    """A LongTaskTemplate."""
    return LongTaskTemplate.from_api(
        {
            "apiVersion": "longtask.dev/v1alpha1",
            "kind": "LongTaskTemplate",
            "metadata": {"name": name, "uid": f"uid-{name}", "resourceVersion": "1", "generation": 3},
            "spec": {
                "description": f"Does {name}.",
                "podTemplate": {"spec": {"containers": [{"name": "work", "image": "work:1"}]}},
                **spec,
            },
            "status": {
                "observedGeneration": 3,
                "conditions": [
                    {
                        "type": "Ready",
                        "status": "True" if ready else "False",
                        "reason": "Checked" if ready else "PodSecurityViolation",
                        "message": "" if ready else "runAsNonRoot is not set",
                        "lastTransitionTime": ago(hours=2),
                    }
                ],
            },
        }
    )


def task_page(tasks: Iterable[LongTask], wanted: ListTasks, now: datetime) -> Answer:
    """A page of the tasks of one caller."""
    return task_list.answer(task_list.in_cluster(OwnTasks(tasks), wanted), wanted, now)
