"""Tasks that have ended when the operator first sees them: how they ended is of no matter, what is told is."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from longtask_api import constants
from longtask_api.base import rfc3339
from tests.agentcore import MEMORY, AgentCoreMemory
from tests.kube import Kube, eventually
from tests.patience import PATIENCE

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
        status: dict[str, Any] = (
            self.kube.get(self.kube.path(constants.TASK_PLURAL, self.name)).done().get("status", {})
        )
        return status

    @property
    def exists(self) -> bool:
        return self.kube.get(self.kube.path(constants.TASK_PLURAL, self.name)).code == 200

    def write(self, status: dict[str, Any]) -> None:
        """Put the fields into its status, as the operator would."""
        path = f"{self.kube.path(constants.TASK_PLURAL, self.name)}/status"
        self.kube.request("PATCH", path, {"status": status}, content="application/merge-patch+json").done()

    def ends(self, seconds_ago: float = 0, **status: Any) -> None:
        """It has succeeded, or what `status` says."""
        moment = rfc3339(datetime.now(UTC) - timedelta(seconds=seconds_ago))
        done = {"type": "Succeeded", "status": "True", "reason": "Completed", "lastTransitionTime": moment}
        known = [each for each in self.status.get("conditions", []) if each["type"] != "Succeeded"]
        result = {"value": {"score": 0.9}, "summary": f"score of {self.name}"}
        ended = {"phase": "Succeeded", "startTime": moment, "completionTime": moment, "result": result}
        self.write({**ended, "conditions": [*known, done], **status})

    def delivered(self, seconds: float = PATIENCE) -> dict[str, Any]:
        """Its status when the session was told."""
        return eventually(lambda: self.status, lambda status: condition(status)["status"] == "True", seconds)


def condition(status: dict[str, Any], type_: str = "Delivered") -> dict[str, Any]:
    return next(
        (c for c in status.get("conditions", []) if c["type"] == type_), {"status": "Absent", "reason": "Absent"}
    )


SNAPSHOT = {
    "generation": 1,
    "hash": "0" * 16,
    "startTimeoutSeconds": 600,
    "activeDeadlineSeconds": 3600,
    "maxDisruptions": 1,
    "ttlSecondsAfterFinished": 3600,
}


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
    task = _made(kube, name, session, memory_id, ttl_seconds)
    task.ends(seconds_ago, **status)
    return task


def at_work(kube: Kube, name: str, session: str, *, fraction: float, milestones: list[int]) -> Ended:
    """Make a task that has come so far. Its template does not exist, and it has waited for it only since the next hour:
    else the operator would end it after a minute."""
    task = _made(kube, name, session, MEMORY, 3600)
    progress = {"attempt": 1, "sequence": 1, "fraction": fraction, "updatedTime": rfc3339(datetime.now(UTC))}
    snapshot = SNAPSHOT | {"delivery": {"milestones": milestones}}
    since = {"lastTransitionTime": rfc3339(datetime.now(UTC) + timedelta(hours=1)), "message": ""}
    waits = {"type": "Accepted", "status": "Unknown", "reason": "TemplateNotFound", **since}
    task.write({"phase": "Running", "progress": progress, "templateSnapshot": snapshot, "conditions": [waits]})
    return task


def _made(kube: Kube, name: str, session: str, memory_id: str, ttl_seconds: int) -> Ended:
    spec = {
        "ttlSecondsAfterFinished": ttl_seconds,
        "templateRef": {"name": "job"},
        "requester": {"principal": ACTOR},
        "memory": {"memoryId": memory_id, "actorId": ACTOR, "sessionId": session},
    }
    body = {"apiVersion": constants.API_VERSION, "kind": constants.TASK_KIND, "metadata": {"name": name}, "spec": spec}
    made = kube.create(kube.path(constants.TASK_PLURAL), body).done()
    return Ended(kube, name, made["metadata"]["uid"], session)


def told(memory: AgentCoreMemory, task: Ended) -> list[str]:
    """The ids of the task's events in its session."""
    found = memory.events(ACTOR, task.session)
    return [each["eventId"] for each in found if each["metadata"]["longtaskUid"]["stringValue"] == task.uid]
