"""`make record-matrix`: runs the pod of every cell on the cluster, and keeps what the API server told of it meanwhile.

Without LongTask: what it would do to a Job or a pod is done here, in the same words.
"""

import gzip
import json
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from kubernetes.config import new_client_from_config

from longtask_api import constants
from longtask_api.longtask import LongTask, LongTaskSpec, TemplateRef
from longtask_api.template import LongTaskTemplate
from longtask_operator.planning.build_job import build_job, take_snapshot
from longtask_operator.task_namespace import NO_LOG
from tests.kube import Kube
from tests.matrix.cells import Cell, cells

AT_ONCE = 5
"""More would make kubelet tell its Events late."""
PATIENCE = 150.0
"""Seconds for a cell to come to its end."""


class Recorder:
    """One namespace, what happens in it, and to which cell it belongs."""

    def __init__(self, kube: Kube) -> None:
        self.kube = kube
        self.stories: dict[str, list[dict[str, Any]]] = {}
        """What happened, oldest first, by the uid that stands for the cell's task."""
        self._pods: dict[str, str] = {}
        self._watches: list[subprocess.Popen[str]] = []

    def start(self) -> None:
        """Follow Jobs, pods and Events."""
        group = {"Job": "/apis/batch/v1", "Pod": "/api/v1", "Event": "/api/v1"}
        for kind, prefix in group.items():
            path = f"{prefix}/namespaces/{self.kube.namespace}/{kind.lower()}s?watch=1&timeoutSeconds=7200"
            watch = subprocess.Popen(["kubectl", "get", "--raw", path], stdout=subprocess.PIPE, text=True)
            self._watches.append(watch)
            threading.Thread(target=self._follow, args=(kind, watch), daemon=True).start()

    def stop(self) -> None:
        """Follow no more."""
        for watch in self._watches:
            watch.terminate()

    def told(self, uid: str, what: Mapping[str, Any]) -> None:
        """Something happened to the cell."""
        self.stories[uid].append({"at": datetime.now(UTC).isoformat(timespec="milliseconds"), **what})

    def newest(self, uid: str, kind: str) -> dict[str, dict[str, Any]]:
        """The newest documents of that kind, by uid; without those that are gone."""
        found: dict[str, dict[str, Any]] = {}
        for entry in list(self.stories[uid]):
            if entry.get("kind") == kind:
                found[entry["object"]["metadata"]["uid"]] = entry["object"]
                if entry["type"] == "DELETED":
                    del found[entry["object"]["metadata"]["uid"]]
        return found

    def _follow(self, kind: str, watch: subprocess.Popen[str]) -> None:
        assert watch.stdout is not None
        for line in watch.stdout:
            event = json.loads(line)
            uid = self._cell_of(kind, event["object"])
            if uid in self.stories:
                self.told(uid, {"kind": kind, "type": event["type"], "object": PRUNE[kind](event["object"])})

    def _cell_of(self, kind: str, document: Mapping[str, Any]) -> str:
        if kind == "Event":
            return self._pods.get(document["involvedObject"]["uid"], "")
        uid = str((document["metadata"].get("labels") or {}).get(constants.LABEL_TASK_UID, ""))
        self._pods[document["metadata"]["uid"]] = uid
        return uid


def main() -> int:
    """Record all cells, or those whose name contains an argument."""
    kube = Kube(new_client_from_config())
    metadata = {"generateName": "longtask-matrix-", "labels": {"pod-security.kubernetes.io/enforce": "baseline"}}
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    kube = kube.within(kube.create("/api/v1/namespaces", body).done()["metadata"]["name"])
    quota = {"metadata": {"name": "memory"}, "spec": {"hard": {"requests.memory": "100Gi"}}}
    kube.create(f"/api/v1/namespaces/{kube.namespace}/resourcequotas", quota).done()
    recorder = Recorder(kube)
    recorder.start()
    wanted = [cell for cell in cells() if not sys.argv[1:] or any(part in cell.name for part in sys.argv[1:])]
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            done = list(pool.map(lambda cell: _record(recorder, cell), wanted))
    finally:
        recorder.stop()
        kube.request("DELETE", f"/api/v1/namespaces/{kube.namespace}")
    return 0 if all(done) else 1


def _record(recorder: Recorder, cell: Cell) -> bool:
    uid = str(uuid.uuid4())
    recorder.stories[uid] = []
    kube = recorder.kube
    jobs, pods = (f"{path}/namespaces/{kube.namespace}/{kind}" for path, kind in KINDS)
    job = kube.create(jobs, _job(cell, uid)).done()
    name = job["metadata"]["name"]
    try:
        _go_through(recorder, cell, uid, f"{jobs}/{name}", pods)
    except TimeoutError as late:
        print(f"LATE {cell.name}: {late}", flush=True)
        return False
    finally:
        time.sleep(1)
        story = list(recorder.stories[uid])
        kube.request("DELETE", f"{jobs}/{name}", {"propagationPolicy": "Background", "gracePeriodSeconds": 0})
    cell.recorded.write_bytes(gzip.compress(json.dumps(story, indent=0, sort_keys=True).encode(), mtime=0))
    print(f"recorded {cell.name}: {len(story)}", flush=True)
    return True


def _go_through(recorder: Recorder, cell: Cell, uid: str, job: str, pods: str) -> None:
    end = cell.end
    if end.act is not None:
        _until(lambda: _running(recorder, uid), f"{cell.name}: the work runs")
        time.sleep(4 if end.act == "stop" else 2)
        _keep_logs(recorder, uid)
        recorder.told(uid, {"act": end.act})
        pod = next(iter(recorder.newest(uid, "Pod").values()))["metadata"]["name"]
        _act(recorder.kube, end.act, job, f"{pods}/{pod}", pod)
    elif end.until == "waits":
        _until(lambda: recorder.newest(uid, "Job"), "the Job")
        time.sleep(6 + end.seconds)
        _keep_logs(recorder, uid)
    if end.until == "ended":
        _until(lambda: any(_ended(each) for each in recorder.newest(uid, "Job").values()), "the Job has ended")
        _keep_logs(recorder, uid)
    elif end.until == "replaced":
        _until(lambda: len(_seen(recorder, uid)) > 1, "a second pod")
    elif end.until == "held":
        _until(lambda: _held(recorder, uid), "no pod is left")


HELD = f"/metadata/annotations/{constants.ANNOTATION_HELD.replace('/', '~1')}"
"""As a JSON pointer."""
KINDS = (("/apis/batch/v1", "jobs"), ("/api/v1", "pods"))


def _job(cell: Cell, uid: str) -> dict[str, Any]:
    podless = {"description": "A cell.", "podTemplate": {"spec": cell.pod_spec()}}
    template = LongTaskTemplate.from_api({"metadata": {"name": "matrix", "generation": 1}, "spec": podless})
    metadata = {"name": f"cell-{uid[9:13]}", "namespace": "tasks", "uid": uid, "resourceVersion": "1", "generation": 1}
    spec = LongTaskSpec(template_ref=TemplateRef(name="matrix"))
    task = LongTask.from_api({"metadata": metadata, "spec": spec})
    job = build_job(task, template, take_snapshot(template), {}, None)
    del job["metadata"]["ownerReferences"]  # there is no such task: the Job would be collected
    del job["metadata"]["namespace"]
    job["spec"]["template"]["spec"]["containers"][:0] = cell.injected()
    return job


def _act(kube: Kube, act: str, job: str, pod: str, name: str) -> None:
    def patch(path: str, *changes: tuple[str, Any]) -> None:
        body = [{"op": "add", "path": where, "value": value} for where, value in changes]
        kube.request("PATCH", path, body, content="application/json-patch+json").done()

    match act:
        case "delete":
            kube.request("DELETE", pod).done()
        case "evict":
            eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
            kube.create(f"{pod}/eviction", eviction).done()
        case "stop" | "cancel":
            patch(job, ("/spec/backoffLimit", 0))
            patch(pod, ("/spec/activeDeadlineSeconds", 1))
        case "suspend":
            patch(job, ("/spec/suspend", True), (HELD, "true"))
        case "suspend by others":
            patch(job, ("/spec/suspend", True))


def _keep_logs(recorder: Recorder, uid: str) -> None:
    for pod in recorder.newest(uid, "Pod").values():
        name = pod["metadata"]["name"]
        for container in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]:
            command = ["kubectl", "logs", "-n", recorder.kube.namespace, name, "-c", container["name"], "--tail=5"]
            ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
            if ran.returncode == 0 and ran.stdout and not ran.stdout.startswith(NO_LOG):
                recorder.told(uid, {"log": ran.stdout, "pod": name, "container": container["name"]})


def _until(seen: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not seen():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.1)


def _running(recorder: Recorder, uid: str) -> bool:
    statuses = (
        status for pod in recorder.newest(uid, "Pod").values() for status in pod["status"].get("containerStatuses", [])
    )
    return any(status["name"] == "main" and set(status["state"]) & {"running", "terminated"} for status in statuses)


def _ended(job: Mapping[str, Any]) -> bool:
    conditions = job["status"].get("conditions") or []
    return any(each["type"] in ("Complete", "Failed") and each["status"] == "True" for each in conditions)


def _seen(recorder: Recorder, uid: str) -> set[str]:
    return {each["object"]["metadata"]["uid"] for each in list(recorder.stories[uid]) if each.get("kind") == "Pod"}


def _held(recorder: Recorder, uid: str) -> bool:
    (job,) = recorder.newest(uid, "Job").values()
    return not recorder.newest(uid, "Pod") and not job["status"].get("terminating") and job["spec"].get("suspend")


def _only(document: Mapping[str, Any], *fields: str) -> dict[str, Any]:
    return {name: document[name] for name in fields if name in document}


def _metadata(document: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("name", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")
    return _only(document["metadata"], *kept, "labels", "annotations", "ownerReferences")


def _containers(spec: Mapping[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    kept = ("name", "restartPolicy", "resources", "livenessProbe", "startupProbe", "lifecycle")
    for kind in ("initContainers", "containers"):
        if kind in spec:
            yield kind, [_only(each, *kept) for each in spec[kind]]


def _status(status: Mapping[str, Any]) -> dict[str, Any]:
    kept = _only(status, "phase", "reason", "message", "conditions", "startTime")
    for kind in ("initContainerStatuses", "containerStatuses"):
        if kind in status:
            fields = ("name", "ready", "started", "restartCount", "state", "lastState")
            kept[kind] = [_only(each, *fields) for each in status[kind]]
    return kept


def _pod(document: Mapping[str, Any]) -> dict[str, Any]:
    spec = _only(document["spec"], "nodeName", "restartPolicy", "activeDeadlineSeconds", "schedulingGates")
    return {
        "metadata": _metadata(document),
        "spec": spec | dict(_containers(document["spec"])),
        "status": _status(document["status"]),
    }


def _job_document(document: Mapping[str, Any]) -> dict[str, Any]:
    spec = _only(document["spec"], "suspend", "backoffLimit")
    return {"metadata": _metadata(document), "spec": spec, "status": dict(document["status"])}


def _event(document: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("type", "reason", "message", "firstTimestamp", "lastTimestamp", "eventTime", "count")
    owner = _only(document["involvedObject"], "kind", "name", "uid", "fieldPath")
    return {"metadata": _only(document["metadata"], "uid"), "involvedObject": owner} | _only(document, *kept)


PRUNE: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {"Pod": _pod, "Job": _job_document, "Event": _event}

if __name__ == "__main__":
    sys.exit(main())
