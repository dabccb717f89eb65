"""Snapshots of Jobs and pods with the fields that planning uses. Raw documents are not passed beyond this module."""

import functools
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import ValidationError

from longtask_api import constants
from longtask_api.bounds import excess
from longtask_api.longtask import TemplateSnapshot
from longtask_operator.planning import quantities

SHARED = 256
"""How many texts of annotations are remembered as parsed. All tasks of one version of a template have the same."""


@dataclass(frozen=True, slots=True)
class JobSnapshot:
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
    """Transition time of the Job's condition Suspended=True; None if it is not True."""
    terminating: int
    complete: bool
    failed_reason: str | None
    failed_message: str
    finished_at: datetime | None
    failures: int
    is_seen: bool
    """Whether the Job controller has begun with it: status.startTime is set."""
    held: bool
    """Marked as suspended by LongTask, not by a queue or a user."""
    snapshot: TemplateSnapshot | None
    result_schema: str | None
    """The template's resultSchema as JSON text."""

    @property
    def finished(self) -> bool:
        """Whether the Job has the condition Complete or Failed."""
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


ContainerKind = Literal["init", "sidecar", "beside"]


@dataclass(frozen=True, slots=True)
class ContainerSnapshot:
    """A container that does not do the work: an init container, a native sidecar (KEP-753), or one beside the work,
    possibly injected."""

    name: str
    kind: ContainerKind
    waiting_reason: str | None = None
    waiting_message: str = ""
    running_since: datetime | None = None
    termination: Termination | None = None
    last_termination: Termination | None = None
    """How it ended before its last restart."""
    memory_limit: str | None = None

    @property
    def started(self) -> datetime | None:
        """When it started; None if it has not."""
        return self.running_since or (self.termination.started if self.termination else None)


@dataclass(frozen=True, slots=True)
class PodSnapshot:
    """A pod of such a Job. Container fields describe `container`, which does the work: the template's first, found by
    name, because service meshes may put their own before it."""

    name: str
    uid: str
    job_uid: str
    task_uid: str
    """From its label; empty if it has none."""
    task_name: str
    """From its label; empty if it has none."""
    orphaned: bool
    """Its Job no longer owns it: `kubectl delete job --cascade=orphan` removes the owner reference."""
    resource_version: int
    created: datetime
    deleted: datetime | None
    """Its deletionTimestamp: the time of the delete request plus the grace period."""
    gone: bool
    """The object no longer exists; this is its last known state."""
    phase: str
    reason: str
    message: str
    node: str | None
    unschedulable: str | None
    gates: tuple[str, ...]
    """Its scheduling gates (KEP-3521)."""
    disruption: str | None
    """Reason of the DisruptionTarget condition, if that is True."""
    asked_to_go: datetime | None
    """When its deletion was requested or DisruptionTarget was set, whichever came first."""
    container: str
    waiting_reason: str | None
    waiting_message: str
    running_since: datetime | None
    termination: Termination | None
    others: tuple[ContainerSnapshot, ...]
    """Init containers (sidecars included) in their order, then the containers beside the work."""
    deadline: int | None
    memory_limit: str | None
    probed: bool
    """Whether kubelet may end the work for a liveness or startup probe or a postStart hook."""
    message_limit: int
    """Bytes to which kubelet truncates a termination message."""
    ended_by_kubelet: str = ""
    """One-word reason why kubelet ended work that then exited with code 0; known from Events only."""

    @property
    def ended(self) -> bool:
        """Whether no container of it runs, or will run, any more."""
        return self.gone or self.phase in ("Succeeded", "Failed")

    @property
    def work_started(self) -> datetime | None:
        """When the container that does the work started; None if it has not."""
        return self.running_since or (self.termination.started if self.termination else None)

    @property
    def started(self) -> datetime | None:
        """When the attempt began: with its first init container, else with the work. Sidecars do not count."""
        starts = [each.started for each in self.of_kind("init")]
        return min((start for start in (*starts, self.work_started) if start is not None), default=None)

    @property
    def preparing(self) -> ContainerSnapshot | None:
        """The running init container, if any."""
        return next((each for each in self.of_kind("init") if each.running_since is not None), None)

    @property
    def under_way(self) -> bool:
        """Whether the work has started, or an init container is running."""
        return self.work_started is not None or self.preparing is not None

    @property
    def waits_since(self) -> datetime:
        """Since when its next container has been due to start: its creation, or the end of the last init container."""
        ends = [each.termination.finished for each in self.of_kind("init") if each.termination is not None]
        return max([self.created, *(end for end in ends if end is not None)])

    @property
    def failed_init(self) -> ContainerSnapshot | None:
        """The init container that failed, so that the work never started; None if none did."""
        return next((each for each in self.of_kind("init") if each.termination and each.termination.exit_code), None)

    @property
    def decisive_termination(self) -> Termination | None:
        """How the attempt ended: termination of the failed init container, else of the work."""
        return self.failed_init.termination if self.failed_init is not None else self.termination

    @property
    def log_container(self) -> str:
        """Container with the relevant log: the work's once started, before that the last started init container."""
        begun = [each.name for each in self.of_kind("init") if each.started is not None]
        return begun[-1] if begun and self.termination is None and self.running_since is None else self.container

    @property
    def left_by_itself(self) -> bool:
        """Whether the work ended on its own, before kubelet ended it or its pod was asked to terminate."""
        if self.ended_by_kubelet:
            return False
        if self.termination is None or self.asked_to_go is None:
            return self.termination is not None
        return self.termination.finished is not None and self.termination.finished < self.asked_to_go

    def of_kind(self, kind: ContainerKind) -> list[ContainerSnapshot]:
        """Its other containers of this kind, in their order."""
        return [each for each in self.others if each.kind == kind]


@dataclass(frozen=True, slots=True)
class PodEvent:
    """A Kubernetes Event about a pod."""

    at: datetime
    reason: str
    message: str
    warning: bool
    container: str
    """Empty if the Event is about the whole pod."""


@dataclass(frozen=True, slots=True)
class PodUsage:
    """Usage of the container that does the work, from the metrics API."""

    cpu: float
    """Cores."""


def job_snapshot(document: Mapping[str, Any]) -> JobSnapshot:
    """Read a batch/v1 Job."""
    metadata, spec, status = document["metadata"], document["spec"], document.get("status") or {}
    annotations = metadata.get("annotations") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or [] if c["status"] == "True"}
    complete, failed, suspended = (conditions.get(kind) for kind in ("Complete", "Failed", "Suspended"))
    return JobSnapshot(
        name=metadata["name"],
        uid=metadata["uid"],
        owner_uid=controller_uid(metadata, constants.TASK_KIND),
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
        is_seen=status.get("startTime") is not None,
        held=_held(annotations, bool(spec.get("suspend"))),
        snapshot=_snapshot(annotations.get(constants.ANNOTATION_SNAPSHOT, "")),
        result_schema=_schema(annotations.get(constants.ANNOTATION_RESULT_SCHEMA, "")),
    )


def pod_snapshot(document: Mapping[str, Any], *, gone: bool = False) -> PodSnapshot:
    """Read a core/v1 Pod."""
    metadata, spec, status = document["metadata"], document["spec"], document.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or []}
    scheduled, disruption = conditions.get("PodScheduled"), conditions.get("DisruptionTarget")
    disrupted = disruption if disruption and disruption["status"] == "True" else None
    work = _work(metadata, spec)
    container = _named(status.get("containerStatuses"), work["name"])
    state = container.get("state") or {}
    waiting = state.get("waiting") or {}
    return PodSnapshot(
        name=metadata["name"],
        uid=metadata["uid"],
        job_uid=job_of_pod(metadata),
        task_uid=(metadata.get("labels") or {}).get(constants.LABEL_TASK_UID, ""),
        task_name=(metadata.get("labels") or {}).get(constants.LABEL_TASK, ""),
        orphaned=bool(job_of_pod(metadata)) and not controller_uid(metadata, "Job"),
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
        gates=tuple(gate["name"] for gate in spec.get("schedulingGates") or []),
        disruption=disrupted.get("reason") if disrupted else None,
        asked_to_go=_asked_to_go(metadata, disrupted),
        container=work["name"],
        waiting_reason=waiting.get("reason"),
        waiting_message=waiting.get("message", ""),
        running_since=_time((state.get("running") or {}).get("startedAt")),
        termination=_termination(state.get("terminated")),
        others=_others(spec, status, work["name"]),
        deadline=spec.get("activeDeadlineSeconds"),
        memory_limit=_memory_limit(work),
        probed=bool({"livenessProbe", "startupProbe"} & work.keys() or (work.get("lifecycle") or {}).get("postStart")),
        message_limit=_message_limit(spec),
    )


def _work(metadata: Mapping[str, Any], spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """The container that does the work; the first one if the pod lacks the annotation, as in Jobs of older versions."""
    name = (metadata.get("annotations") or {}).get(constants.ANNOTATION_CONTAINER)
    containers: list[Mapping[str, Any]] = spec["containers"]
    return next((each for each in containers if each["name"] == name), containers[0])


def _others(spec: Mapping[str, Any], status: Mapping[str, Any], work: str) -> tuple[ContainerSnapshot, ...]:
    init = [
        _container(
            each, status.get("initContainerStatuses"), "sidecar" if each.get("restartPolicy") == "Always" else "init"
        )
        for each in spec.get("initContainers") or []
    ]
    beside = [
        _container(each, status.get("containerStatuses"), "beside")
        for each in spec["containers"]
        if each["name"] != work
    ]
    return (*init, *beside)


def _container(
    container: Mapping[str, Any], statuses: Iterable[Mapping[str, Any]] | None, kind: ContainerKind
) -> ContainerSnapshot:
    status = _named(statuses, container["name"])
    state = status.get("state") or {}
    waiting = state.get("waiting") or {}
    return ContainerSnapshot(
        name=container["name"],
        kind=kind,
        waiting_reason=waiting.get("reason"),
        waiting_message=waiting.get("message", ""),
        running_since=_time((state.get("running") or {}).get("startedAt")),
        termination=_termination(state.get("terminated")),
        last_termination=_termination((status.get("lastState") or {}).get("terminated")),
        memory_limit=_memory_limit(container),
    )


def _memory_limit(container: Mapping[str, Any]) -> str | None:
    limit: str | None = ((container.get("resources") or {}).get("limits") or {}).get("memory")
    return limit


POD_MESSAGE_BYTES = 12 * 1024
"""Bytes of termination messages that the containers of a pod share (kubelet: pkg/kubelet/status, normalizeStatus)."""


def _message_limit(spec: Mapping[str, Any]) -> int:
    """Bytes of each container's termination message; injected containers count, too."""
    kinds = ("containers", "initContainers", "ephemeralContainers")
    return min(constants.MAX_RESULT_BYTES, POD_MESSAGE_BYTES // sum(len(spec.get(kind) or []) for kind in kinds))


def _asked_to_go(metadata: Mapping[str, Any], disrupted: Mapping[str, Any] | None) -> datetime | None:
    deleted = _time(metadata.get("deletionTimestamp"))
    grace = timedelta(seconds=metadata.get("deletionGracePeriodSeconds") or 0)
    asked = [deleted - grace] if deleted is not None else []
    told = _time(disrupted.get("lastTransitionTime")) if disrupted else None
    return min([*asked, *([told] if told is not None else [])], default=None)


def with_earlier_facts(pod: PodSnapshot, known: PodSnapshot | None) -> PodSnapshot:
    """The pod with the earliest known `asked_to_go`: when kubelet deletes a pod that has ended, the deletionTimestamp
    changes (k8s.io/apiserver, rest.BeforeDelete)."""
    before = known.asked_to_go if known is not None else None
    if before is None or (pod.asked_to_go is not None and pod.asked_to_go <= before):
        return pod
    return replace(pod, asked_to_go=before)


def pod_event(document: Mapping[str, Any]) -> PodEvent:
    """Read a core/v1 Event about a pod."""
    found = re.search(r"\{(.+)\}$", document["involvedObject"].get("fieldPath") or "")
    told = document.get("lastTimestamp") or document.get("eventTime") or document.get("firstTimestamp")
    at = told or document["metadata"]["creationTimestamp"]
    return PodEvent(
        at=_required_time(at),
        reason=document.get("reason") or "",
        message=" ".join((document.get("message") or "").split()),
        warning=document.get("type") == "Warning",
        container=found[1] if found else "",
    )


def pod_usage(document: Mapping[str, Any], container: str) -> PodUsage | None:
    """Read a metrics.k8s.io/v1beta1 PodMetrics; None if it lacks the container's CPU usage."""
    usage = _named(document.get("containers"), container).get("usage") or {}
    cores = quantities.cpu_cores(str(usage.get("cpu", "")))
    return PodUsage(cpu=cores) if cores is not None else None


def controller_uid(metadata: Mapping[str, Any], kind: str) -> str:
    """The uid of the controlling owner; empty if there is none of this kind."""
    owners: Iterable[Mapping[str, Any]] = metadata.get("ownerReferences") or []
    return next((str(owner["uid"]) for owner in owners if owner.get("controller") and owner.get("kind") == kind), "")


def job_of_pod(metadata: Mapping[str, Any]) -> str:
    """The uid of the pod's Job, also for an orphaned pod, which keeps the Job controller's label. Empty if it never had
    one."""
    return controller_uid(metadata, "Job") or (metadata.get("labels") or {}).get(constants.LABEL_JOB_UID, "")


def task_of_job(metadata: Mapping[str, Any]) -> bool:
    """Whether a Job or pod carries LongTask's label; others in the namespace are ignored."""
    return constants.LABEL_TASK_UID in (metadata.get("labels") or {})


def _held(annotations: Mapping[str, str], suspended: bool) -> bool:
    """Older versions set neither annotation; a suspended Job of theirs counts as suspended by LongTask."""
    noted = annotations.get(constants.ANNOTATION_HELD)
    return noted == "true" or (suspended and noted is None and constants.ANNOTATION_NOT_AFTER not in annotations)


@functools.lru_cache(SHARED)
def _snapshot(text: str) -> TemplateSnapshot | None:
    """None also if it is invalid, for example edited by hand; status has a copy once the first write was made."""
    try:
        return TemplateSnapshot.model_validate_json(text)
    except ValidationError:
        return None


@functools.lru_cache(SHARED)
def _schema(text: str) -> str | None:
    """None also if it is not a JSON object, for example edited by hand."""
    try:
        return text if not excess(text) and isinstance(json.loads(text), dict) else None
    except ValueError:
        return None


def _named(statuses: Iterable[Mapping[str, Any]] | None, name: str) -> Mapping[str, Any]:
    return next((status for status in statuses or [] if status["name"] == name), {})


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
    """None for a container that could not be started: kubelet reports 1970 then."""
    moment = _time(text)
    return moment if moment is not None and moment.timestamp() > 0 else None


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _required_time(text: str) -> datetime:
    return datetime.fromisoformat(text)
