"""What the operator sees of Jobs and pods, reduced to what it decides from. Raw documents stop here."""

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


def job_view(document: Mapping[str, Any]) -> JobView:
    """Read a batch/v1 Job."""
    metadata, spec, status = document["metadata"], document["spec"], document.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or [] if c["status"] == "True"}
    complete, failed, suspended = (conditions.get(kind) for kind in ("Complete", "Failed", "Suspended"))
    return JobView(
        name=metadata["name"],
        uid=metadata["uid"],
        owner_uid=controller_uid(metadata),
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
        job_uid=controller_uid(metadata),
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


def end_is_seen(job: JobView, pods: Iterable[PodView]) -> bool:
    """Whether the pods tell how a finished Job ended; the watch of pods may be behind that of Jobs.

    A retried task has Failed pods long before the one that counts.
    """
    seen = list(pods)
    if job.complete:
        return any(pod.phase == "Succeeded" for pod in seen)
    counted = sum(pod.phase == "Failed" and pod.disruption is None for pod in seen)
    return all(pod.ended for pod in seen) and counted >= max(1, job.failures)


def controller_uid(metadata: Mapping[str, Any]) -> str:
    """The uid of the controlling owner, empty where there is none."""
    owners: Iterable[Mapping[str, Any]] = metadata.get("ownerReferences") or []
    return next((str(owner["uid"]) for owner in owners if owner.get("controller")), "")


def task_of_job(metadata: Mapping[str, Any]) -> bool:
    """Whether a Job or pod carries our label; others in the namespace are none of our business."""
    return names.LABEL_TASK_UID in (metadata.get("labels") or {})


def _snapshot(annotations: Mapping[str, str]) -> TemplateSnapshot | None:
    """None also where it cannot be read, edited by hand perhaps: status has it too, once the first write was made."""
    try:
        return TemplateSnapshot.model_validate_json(annotations.get(names.ANNOTATION_SNAPSHOT, ""))
    except ValidationError:
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
        started=_time(terminated.get("startedAt")),
        finished=_time(terminated.get("finishedAt")),
    )


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _required_time(text: str) -> datetime:
    return datetime.fromisoformat(text)
