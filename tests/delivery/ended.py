"""Tasks that have ended when the operator first sees them: how they ended is of no matter, what is told is."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from longtask_api import names
from longtask_api.base import rfc3339
from tests.agentcore import MEMORY, AgentCoreMemory
from tests.kube import Kube, eventually

ACTOR = "system:serviceaccount:agents:researcher"


@dataclass(frozen=True)
class Ended:
    """A task that has ended."""

    kube: Kube
    name: str
    uid: str
    session: str

    @property
    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.kube.get(self.kube.path(names.TASK_PLURAL, self.name)).done()["status"]
        return status

    @property
    def exists(self) -> bool:
        return self.kube.get(self.kube.path(names.TASK_PLURAL, self.name)).code == 200

    def delivered(self, seconds: float = 60) -> dict[str, Any]:
        """Its status when the session was told."""
        return eventually(lambda: self.status, lambda status: condition(status)["status"] == "True", seconds)


def condition(status: dict[str, Any], type_: str = "Delivered") -> dict[str, Any]:
    return next((c for c in status["conditions"] if c["type"] == type_), {"status": "Absent", "reason": "Absent"})


def end(
    kube: Kube,
    name: str,
    session: str,
    *,
    seconds_ago: float = 60,
    memory_id: str = MEMORY,
    ttl_seconds: int = 3600,
    **status: Any,
) -> Ended:
    """Make a task that succeeded, with a memory."""
    spec = {
        "ttlSecondsAfterFinished": ttl_seconds,
        "templateRef": {"name": "job"},
        "requester": {"principal": ACTOR},
        "memory": {"memoryId": memory_id, "actorId": ACTOR, "sessionId": session},
    }
    body = {"apiVersion": names.API_VERSION, "kind": names.TASK_KIND, "metadata": {"name": name}, "spec": spec}
    made = kube.create(kube.path(names.TASK_PLURAL), body).done()
    ended_at = rfc3339(datetime.now(UTC) - timedelta(seconds=seconds_ago))
    told = {"type": "Succeeded", "status": "True", "reason": "Completed", "message": "", "lastTransitionTime": ended_at}
    document = {"phase": "Succeeded", "conditions": [told], "startTime": ended_at, "completionTime": ended_at}
    made["status"] = {**document, "result": {"value": {"score": 0.9}, "summary": f"score of {name}"}, **status}
    path = kube.path(names.TASK_PLURAL, name)
    kube.request("PUT", f"{path}/status", made).done()
    return Ended(kube, name, made["metadata"]["uid"], session)


def told(memory: AgentCoreMemory, task: Ended) -> list[str]:
    """The ids of the task's events in its session."""
    found = memory.events(ACTOR, task.session)
    return [each["eventId"] for each in found if each["metadata"]["longtaskUid"]["stringValue"] == task.uid]
