"""Makes templates and tasks, and waits for what becomes of them."""

import os
import subprocess
from dataclasses import dataclass
from typing import Any

from longtask_api import constants
from tests.kube import Kube, eventually
from tests.patience import PATIENCE

IMAGE = os.environ.get("IMAGE", "localhost/longtask:dev")
"""An image with python3 that the cluster's nodes have or can pull."""

GO = "/dev/shm/go"
TOUCHED = (0, 137)
"""Exit codes of `kubectl exec touch`: the container may end with its work before that does, which is killed then."""
WHEN_TOLD = f"""
import os, time
print('working', flush=True)
while not os.path.exists({GO!r}):
    time.sleep(0.2)
"""
"""Work that goes on when `Tasks.go` says so: what sleeps for a while instead ends too early on a busy machine."""

CODE = {"type": "object", "properties": {"code": {"type": "string"}}, "required": ["code"]}


def container(**more: Any) -> dict[str, Any]:
    """A container that runs the parameter `code` with Python, as Pod Security `restricted` wants it."""
    return {
        "name": "main",
        "image": IMAGE,
        "command": ["python3", "-c", "$(LONGTASK_PARAM_CODE)"],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **more,
    }


def template_spec(pod: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A LongTaskTemplate's spec for `container`."""
    return {
        "description": "Runs code for a test.",
        "parametersSchema": CODE,
        "podTemplate": {
            "spec": {
                "containers": [container()],
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": 3,
                **(pod or {}),
            }
        },
        **more,
    }


@dataclass(frozen=True)
class Tasks:
    """The LongTasks of one namespace."""

    kube: Kube

    def template(self, name: str, spec: dict[str, Any], *, ready: bool = True) -> None:
        """Apply it and wait until the operator has judged it."""
        body = {
            "apiVersion": constants.API_VERSION,
            "kind": constants.TEMPLATE_KIND,
            "metadata": {"name": name},
            "spec": spec,
        }
        path = self.kube.path(constants.TEMPLATE_PLURAL, name)
        generation = self.kube.apply(path, body).done()["metadata"]["generation"]

        def verdict() -> tuple[int, str]:
            status = self.kube.get(path).done().get("status", {})
            conditions = {c["type"]: c["status"] for c in status.get("conditions", [])}
            return status.get("observedGeneration", 0), conditions.get("Ready", "Unknown")

        eventually(verdict, lambda seen: seen == (generation, str(ready)))

    def start(self, name: str, template: str, parameters: dict[str, Any] | None = None, **spec: Any) -> str:
        """Create a task; its uid."""
        body = {
            "apiVersion": constants.API_VERSION,
            "kind": constants.TASK_KIND,
            "metadata": {"name": name},
            "spec": {"templateRef": {"name": template}, "parameters": parameters or {}, **spec},
        }
        return str(self.kube.create(self.kube.path(constants.TASK_PLURAL), body).done()["metadata"]["uid"])

    def run(self, name: str, template: str, code: str, **spec: Any) -> str:
        """Create a task that runs code; its uid."""
        return self.start(name, template, {"code": code}, **spec)

    def get(self, name: str) -> dict[str, Any]:
        """The task as it is now."""
        document: dict[str, Any] = self.kube.get(self.kube.path(constants.TASK_PLURAL, name)).done()
        return document

    def patch(self, name: str, **spec: Any) -> None:
        """Change its spec."""
        path = self.kube.path(constants.TASK_PLURAL, name)
        self.kube.request("PATCH", path, {"spec": spec}, content="application/merge-patch+json").done()

    def delete(self, name: str) -> None:
        """Delete it."""
        self.kube.request("DELETE", self.kube.path(constants.TASK_PLURAL, name)).done()

    def delete_job(self, name: str, propagation: str) -> None:
        """Delete its Job as `kubectl delete job --cascade` does: Background, Foreground or Orphan."""
        [job] = self.jobs(self.get(name)["metadata"]["uid"])
        path = f"/apis/batch/v1/namespaces/{self.kube.namespace}/jobs/{job['metadata']['name']}"
        self.kube.request("DELETE", path, {"propagationPolicy": propagation}).done()

    def go(self, uid: str) -> None:
        """Let WHEN_TOLD go on in the pod that runs."""

        pod = self.running_pod(uid)
        command = ["kubectl", "exec", "--namespace", self.kube.namespace, pod, "--", "touch", GO]
        ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE)
        assert ran.returncode in TOUCHED, ran.stderr

    def running_pod(self, uid: str) -> str:
        """The name of the one that runs, as soon as one does."""

        def running() -> list[str]:
            return [pod["metadata"]["name"] for pod in self.pods(uid) if pod["status"]["phase"] == "Running"]

        (pod,) = eventually(running, bool)
        return pod

    def evict(self, pod: str) -> None:
        """Ask for its eviction, as `kubectl drain` does."""
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
        self.kube.create(f"/api/v1/namespaces/{self.kube.namespace}/pods/{pod}/eviction", body).done()

    def leave_behind(self, name: str) -> None:
        """Delete its Job without the pods, and wait until the operator has seen that."""
        self.delete_job(name, "Orphan")
        self.wait_message(name, "the Job is gone")

    def status(self, name: str) -> dict[str, Any]:
        """Its status; empty while there is none."""
        status: dict[str, Any] = self.get(name).get("status") or {}
        return status

    def wait(self, name: str, *phases: str, seconds: float = PATIENCE) -> dict[str, Any]:
        """Its status as soon as it has one of the phases."""
        return eventually(lambda: self.status(name), lambda status: status.get("phase") in phases, seconds)

    def wait_message(self, name: str, part: str, seconds: float = PATIENCE) -> dict[str, Any]:
        """Its status as soon as the message contains that."""
        return eventually(lambda: self.status(name), lambda status: part in status.get("message", ""), seconds)

    def jobs(self, uid: str) -> list[dict[str, Any]]:
        """The Jobs of a task."""
        path = f"/apis/batch/v1/namespaces/{self.kube.namespace}/jobs"
        items: list[dict[str, Any]] = self.kube.get(path, labelSelector=f"{constants.LABEL_TASK_UID}={uid}").done()[
            "items"
        ]
        return items

    def pods(self, uid: str) -> list[dict[str, Any]]:
        """The pods of a task."""
        path = f"/api/v1/namespaces/{self.kube.namespace}/pods"
        items: list[dict[str, Any]] = self.kube.get(path, labelSelector=f"{constants.LABEL_TASK_UID}={uid}").done()[
            "items"
        ]
        return items

    def events(self, uid: str) -> list[tuple[str, str]]:
        """(type, reason) of the Events about a task."""
        path = f"/api/v1/namespaces/{self.kube.namespace}/events"
        items = self.kube.get(path, fieldSelector=f"involvedObject.uid={uid}").done()["items"]
        return [(item["type"], item["reason"]) for item in items]

    def wait_event(self, uid: str, kind: str, reason: str) -> None:
        """Wait until an Event about a task has that type and reason: it is posted after the status is written."""
        eventually(lambda: self.events(uid), lambda events: (kind, reason) in events)

    def log(self, uid: str) -> str:
        """What the task's pod has written so far."""
        command = [
            "kubectl",
            "logs",
            "--namespace",
            self.kube.namespace,
            "--selector",
            f"{constants.LABEL_TASK_UID}={uid}",
        ]
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE).stdout
