"""Tasks that name sinks. How they ended is of no matter, so most have ended when the operator first sees them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from longtask_api import constants
from longtask_api.base import rfc3339
from tests.delivery.ended import SNAPSHOT, condition
from tests.kube import Kube, eventually
from tests.patience import PATIENCE

WHO = {"principal": "system:serviceaccount:agents:researcher", "actorId": "ann", "sessionId": "chat-1"}


@dataclass(frozen=True)
class Notified:
    """A task whose sinks are to be notified."""

    kube: Kube
    name: str
    uid: str

    @property
    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = (
            self.kube.get(self.kube.path(constants.TASK_PLURAL, self.name)).done().get("status", {})
        )
        return status

    @property
    def exists(self) -> bool:
        return self.kube.get(self.kube.path(constants.TASK_PLURAL, self.name)).code == 200

    def write(self, **status: Any) -> None:
        """Put the fields into its status, as the operator would."""
        path = f"{self.kube.path(constants.TASK_PLURAL, self.name)}/status"
        self.kube.request("PATCH", path, {"status": status}, content="application/merge-patch+json").done()

    def ends(self, seconds_ago: float = 0, **status: Any) -> None:
        """It has succeeded, or what `status` says."""
        moment = rfc3339(datetime.now(UTC) - timedelta(seconds=seconds_ago))
        done = {"type": "Succeeded", "status": "True", "reason": "Completed", "lastTransitionTime": moment}
        known = [each for each in self.status.get("conditions", []) if each["type"] != "Succeeded"]
        result = {"value": {"token": "result-body"}, "summary": f"score of {self.name}"}
        ended = {"phase": "Succeeded", "startTime": moment, "completionTime": moment, "result": result}
        self.write(**{**ended, "conditions": [*known, done], **status})

    def condition(self) -> dict[str, Any]:
        return condition(self.status, "Notified")

    def wait(self, status: str, reason: str | None = None, seconds: float = PATIENCE) -> dict[str, Any]:
        """Its status as soon as the Notified condition has this status and reason."""

        def fits(found: dict[str, Any]) -> bool:
            notified = condition(found, "Notified")
            return notified["status"] == status and reason in (None, notified["reason"])

        return eventually(lambda: self.status, fits, seconds)


def made(kube: Kube, name: str, *sinks: str, ttl_seconds: int = 3600) -> Notified:
    """Make a task that works, as far as its status says."""
    spec = {
        "ttlSecondsAfterFinished": ttl_seconds,
        "templateRef": {"name": "job"},
        "requester": WHO,
        "parameters": {"password": "parameter-body"},
    }
    body = {"apiVersion": constants.API_VERSION, "kind": constants.TASK_KIND, "metadata": {"name": name}, "spec": spec}
    found = kube.create(kube.path(constants.TASK_PLURAL), body).done()
    task = Notified(kube, name, found["metadata"]["uid"])
    task.write(phase="Running", templateSnapshot=SNAPSHOT | {"notify": list(sinks)})
    return task


def end(kube: Kube, name: str, *sinks: str, seconds_ago: float = 0, ttl_seconds: int = 3600, **status: Any) -> Notified:
    """Make a task that has succeeded, or what `status` says."""
    task = made(kube, name, *sinks, ttl_seconds=ttl_seconds)
    task.ends(seconds_ago, **status)
    return task
