"""What the operator sees of Jobs and pods, reduced to what it decides from. Raw documents stop here."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from longtask_api import names
from longtask_api.longtask import TemplateSnapshot


@dataclass(frozen=True, slots=True)
class JobView:
    """A Job that belongs to a LongTask."""

    name: str
    uid: str
    owner_uid: str
    resource_version: int
    created: datetime
    deleting: bool
    suspend: bool
    backoff_limit: int
    suspended_since: datetime | None
    """When the Job controller said Suspended=True; None while it says otherwise."""
    terminating: int
    complete: bool
    failed_reason: str | None
    failed_message: str
    finished_at: datetime | None
    failures: int
    snapshot: TemplateSnapshot | None
    result_schema: str | None
    """The template's resultSchema as JSON text."""

    @property
    def finished(self) -> bool:
        """Complete or Failed, for good."""
        return self.complete or self.failed_reason is not None


@dataclass(frozen=True, slots=True)
class Termination:
    """How a container ended."""

    exit_code: int
    signal: int | None
    reason: str
    message: str
    started: datetime | None
    finished: datetime | None


@dataclass(frozen=True, slots=True)
class PodView:
    """A pod of such a Job; `container` means its first one, which does the work."""

    name: str
    uid: str
    job_uid: str
    task_uid: str
    """As its label says."""
    resource_version: int
    created: datetime
    deleted: datetime | None
    """When its deletion was asked for (the deletion timestamp: the request plus the grace period)."""
    gone: bool
    """The object no longer exists; this is the last that was seen of it."""
    phase: str
    reason: str
    message: str
    node: str | None
    unschedulable: str | None
    disruption: str | None
    """The reason of the DisruptionTarget condition."""
    container: str
    waiting_reason: str | None
    waiting_message: str
    running_since: datetime | None
    termination: Termination | None
    failed_init_container: str | None
    deadline: int | None
    memory_limit: str | None

    @property
    def ended(self) -> bool:
        """No container of it runs any more, or will."""
        return self.gone or self.phase in ("Succeeded", "Failed")

    @property
    def started(self) -> datetime | None:
        """When the work started in it, if it did."""
        return self.running_since or (self.termination.started if self.termination else None)


@dataclass(frozen=True, slots=True)
class PodUsage:
    """What the metrics API says of the container that does the work."""

    cpu: float
    """Cores."""


def job_view(document: Mapping[str, Any]) -> JobView:
    """Read a batch/v1 Job."""
    metadata, spec, status = document["metadata"], document["spec"], document.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or [] if c["status"] == "True"}
    complete, failed, suspended = (conditions.get(kind) for kind in ("Complete", "Failed", "Suspended"))
    return JobView(
        name=metadata["name"],
        uid=metadata["uid"],
        owner_uid=controller_uid(metadata, names.TASK_KIND),
        resource_version=int(metadata["resourceVersion"]),
        created=_required_time(metadata["creationTimestamp"]),
        deleting="deletionTimestamp" in metadata,
        suspend=bool(spec.get("suspend")),
        backoff_limit=spec.get("backoffLimit", 6),
        suspended_since=_time(suspended.get("lastTransitionTime")) if suspended else None,
        terminating=status.get("terminating") or 0,
        complete=complete is not None,
        failed_reason=failed.get("reason", "Failed") if failed else None,
        failed_message=failed.get("message", "") if failed else "",
        finished_at=_time((complete or failed or {}).get("lastTransitionTime")),
        failures=status.get("failed") or 0,
        snapshot=_snapshot(metadata.get("annotations") or {}),
        result_schema=_schema(metadata.get("annotations") or {}),
    )


def pod_view(document: Mapping[str, Any], *, gone: bool = False) -> PodView:
    """Read a core/v1 Pod."""
    metadata, spec, status = document["metadata"], document["spec"], document.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or []}
    scheduled, disruption = conditions.get("PodScheduled"), conditions.get("DisruptionTarget")
    first = spec["containers"][0]
    container = _named(status.get("containerStatuses"), first["name"])
    state = container.get("state") or {}
    waiting = _init_waiting(status) or state.get("waiting") or {}
    return PodView(
        name=metadata["name"],
        uid=metadata["uid"],
        job_uid=controller_uid(metadata, "Job"),
        task_uid=(metadata.get("labels") or {}).get(names.LABEL_TASK_UID, ""),
        resource_version=int(metadata["resourceVersion"]),
        created=_required_time(metadata["creationTimestamp"]),
        deleted=_time(metadata.get("deletionTimestamp")),
        gone=gone,
        phase=status.get("phase", "Pending"),
        reason=status.get("reason", ""),
        message=status.get("message", ""),
        node=spec.get("nodeName"),
        unschedulable=scheduled.get("message", "no node fits")
        if scheduled and scheduled["status"] == "False" and scheduled.get("reason") == "Unschedulable"
        else None,
        disruption=disruption.get("reason") if disruption and disruption["status"] == "True" else None,
        container=first["name"],
        waiting_reason=waiting.get("reason"),
        waiting_message=waiting.get("message", ""),
        running_since=_time((state.get("running") or {}).get("startedAt")),
        termination=_termination(state.get("terminated")),
        failed_init_container=_failed_init(status),
        deadline=spec.get("activeDeadlineSeconds"),
        memory_limit=((first.get("resources") or {}).get("limits") or {}).get("memory"),
    )


def usage_view(document: Mapping[str, Any], container: str) -> PodUsage | None:
    """Read a metrics.k8s.io/v1beta1 PodMetrics; None where it does not tell the container's CPU."""
    usage = _named(document.get("containers"), container).get("usage") or {}
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([num]?)", str(usage.get("cpu", "")))
    return PodUsage(cpu=float(found[1]) * _CORES[found[2]]) if found else None


_CORES = {"": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
"""https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/"""


def working_pod(pods: Iterable[PodView]) -> PodView | None:
    """The newest pod that works and that nobody has asked to go."""
    working = [pod for pod in pods if pod.started is not None and not pod.ended and pod.termination is None]
    return max((pod for pod in working if pod.deleted is None), key=_age, default=None)


def decisive_pod(job: JobView | None, pods: Iterable[PodView]) -> PodView | None:
    """The newest of the pods that tell how a Job ended: of a failed one the last, else one that succeeded."""
    failed = job is not None and job.failed_reason is not None
    return max((pod for pod in pods if failed or pod.phase == "Succeeded"), key=_age, default=None)


def _age(pod: PodView) -> tuple[datetime, str]:
    return pod.created, pod.name


def end_is_seen(job: JobView, pods: Iterable[PodView]) -> bool:
    """Whether the pods tell how a finished Job ended; the watch of pods may be behind that of Jobs.

    A retried task has Failed pods long before the one that counts.
    """
    seen = list(pods)
    if job.complete:
        return any(pod.phase == "Succeeded" for pod in seen)
    counted = sum(pod.phase == "Failed" and pod.disruption is None for pod in seen)
    return all(pod.ended for pod in seen) and counted >= max(1, job.failures)


def controller_uid(metadata: Mapping[str, Any], kind: str) -> str:
    """The uid of the controlling owner, empty where there is none of that kind."""
    owners: Iterable[Mapping[str, Any]] = metadata.get("ownerReferences") or []
    return next((str(owner["uid"]) for owner in owners if owner.get("controller") and owner.get("kind") == kind), "")


def task_of_job(metadata: Mapping[str, Any]) -> bool:
    """Whether a Job or pod carries our label; others in the namespace are none of our business."""
    return names.LABEL_TASK_UID in (metadata.get("labels") or {})


def _snapshot(annotations: Mapping[str, str]) -> TemplateSnapshot | None:
    """None also where it cannot be read, edited by hand perhaps: status has it too, once the first write was made."""
    try:
        return TemplateSnapshot.model_validate_json(annotations.get(names.ANNOTATION_SNAPSHOT, ""))
    except ValidationError:
        return None


def _schema(annotations: Mapping[str, str]) -> str | None:
    """None also where it is no JSON object, edited by hand perhaps."""
    text = annotations.get(names.ANNOTATION_RESULT_SCHEMA, "")
    try:
        return text if isinstance(json.loads(text), dict) else None
    except ValueError:
        return None


def _named(statuses: Iterable[Mapping[str, Any]] | None, name: str) -> Mapping[str, Any]:
    return next((status for status in statuses or [] if status["name"] == name), {})


def _init_waiting(status: Mapping[str, Any]) -> Mapping[str, Any] | None:
    for container in status.get("initContainerStatuses") or []:
        waiting: Mapping[str, Any] | None = (container.get("state") or {}).get("waiting")
        if waiting and waiting.get("reason") != "PodInitializing":
            return waiting
    return None


def _failed_init(status: Mapping[str, Any]) -> str | None:
    for container in status.get("initContainerStatuses") or []:
        ended = (container.get("state") or {}).get("terminated")
        if ended and ended["exitCode"] != 0:
            return str(container["name"])
    return None


def _termination(terminated: Mapping[str, Any] | None) -> Termination | None:
    if terminated is None:
        return None
    exit_code = terminated["exitCode"]
    return Termination(
        exit_code=exit_code,
        signal=terminated.get("signal") or (exit_code - 128 if 128 < exit_code <= 192 else None),
        reason=terminated.get("reason") or ("Completed" if exit_code == 0 else "Error"),
        message=terminated.get("message") or "",
        started=_start(terminated.get("startedAt")),
        finished=_time(terminated.get("finishedAt")),
    )


def _start(text: str | None) -> datetime | None:
    """kubelet gives a container that could not be started the year 1970."""
    moment = _time(text)
    return moment if moment is not None and moment.timestamp() > 0 else None


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _required_time(text: str) -> datetime:
    return datetime.fromisoformat(text)
