"""What the operator sees of Jobs and pods, reduced to what it decides from. Raw documents stop here."""

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
    """When the Job controller said Suspended=True; None while it says otherwise."""
    terminating: int
    complete: bool
    failed_reason: str | None
    failed_message: str
    finished_at: datetime | None
    failures: int
    held: bool
    """LongTask itself has suspended it."""
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


ContainerKind = Literal["init", "sidecar", "beside"]


@dataclass(frozen=True, slots=True)
class ContainerSnapshot:
    """A container that does not do the work: an init container, a native sidecar (KEP-753), or one beside the work,
    which may have been injected."""

    name: str
    kind: ContainerKind
    waiting_reason: str | None = None
    waiting_message: str = ""
    running_since: datetime | None = None
    termination: Termination | None = None
    last_termination: Termination | None = None
    """How it ended before it was started again."""
    memory_limit: str | None = None

    @property
    def started(self) -> datetime | None:
        """When it started, if it did."""
        return self.running_since or (self.termination.started if self.termination else None)


@dataclass(frozen=True, slots=True)
class PodSnapshot:
    """A pod of such a Job. What is told of its container is that of `container`, which does the work: the first of
    the template, found by its name, because meshes put theirs before it."""

    name: str
    uid: str
    job_uid: str
    task_uid: str
    """As its label says."""
    task_name: str
    """As its label says."""
    orphaned: bool
    """Its Job does not own it any more: `kubectl delete job --cascade=orphan` takes the owner away."""
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
    gates: tuple[str, ...]
    """What holds it back from being scheduled (KEP-3521)."""
    disruption: str | None
    """The reason of the DisruptionTarget condition."""
    asked_to_go: datetime | None
    """When its deletion was asked for, or the cluster said that it would take the pod away."""
    container: str
    waiting_reason: str | None
    waiting_message: str
    running_since: datetime | None
    termination: Termination | None
    others: tuple[ContainerSnapshot, ...]
    """Init containers in their order, then the containers beside the work."""
    deadline: int | None
    memory_limit: str | None
    probed: bool
    """Whether kubelet may end the work by itself: for a probe or a postStart hook."""
    message_limit: int
    """Bytes that kubelet leaves of a termination message: a longer one is cut to just so many."""
    ended_by_kubelet: str = ""
    """Why kubelet ended the work before it left with 0, in one word. Only Events tell."""

    @property
    def ended(self) -> bool:
        """No container of it runs any more, or will."""
        return self.gone or self.phase in ("Succeeded", "Failed")

    @property
    def work_started(self) -> datetime | None:
        """When the container that does the work started, if it did."""
        return self.running_since or (self.termination.started if self.termination else None)

    @property
    def started(self) -> datetime | None:
        """When the attempt began: with the first init container, else with the work. A sidecar begins nothing."""
        starts = [each.started for each in self.of_kind("init")]
        return min((start for start in (*starts, self.work_started) if start is not None), default=None)

    @property
    def preparing(self) -> ContainerSnapshot | None:
        """The init container that runs."""
        return next((each for each in self.of_kind("init") if each.running_since is not None), None)

    @property
    def under_way(self) -> bool:
        """Whether the work, or an init container before it, has started and is not done."""
        return self.work_started is not None or self.preparing is not None

    @property
    def waits_since(self) -> datetime:
        """Since when its next container should start."""
        ends = [each.termination.finished for each in self.of_kind("init") if each.termination is not None]
        return max([self.created, *(end for end in ends if end is not None)])

    @property
    def failed_init(self) -> ContainerSnapshot | None:
        """The init container that failed, so that the work never started."""
        return next((each for each in self.of_kind("init") if each.termination and each.termination.exit_code), None)

    @property
    def decisive_termination(self) -> Termination | None:
        """How the attempt ended: the work, or the init container that failed before it."""
        return self.failed_init.termination if self.failed_init is not None else self.termination

    @property
    def log_container(self) -> str:
        """Whose log tells how far the attempt is: the work's, before that the newest init container's."""
        begun = [each.name for each in self.of_kind("init") if each.started is not None]
        return begun[-1] if begun and self.termination is None and self.running_since is None else self.container

    @property
    def left_by_itself(self) -> bool:
        """Whether the work ended before anybody asked it, or its pod, to go."""
        if self.ended_by_kubelet:
            return False
        if self.termination is None or self.asked_to_go is None:
            return self.termination is not None
        return self.termination.finished is not None and self.termination.finished < self.asked_to_go

    def of_kind(self, kind: ContainerKind) -> list[ContainerSnapshot]:
        """Its other containers of that kind, in their order."""
        return [each for each in self.others if each.kind == kind]


@dataclass(frozen=True, slots=True)
class PodEvent:
    """What was told about a pod that its status does not say."""

    at: datetime
    reason: str
    message: str
    warning: bool
    container: str
    """Empty where it is about the pod."""


@dataclass(frozen=True, slots=True)
class PodUsage:
    """What the metrics API says of the container that does the work."""

    cpu: float
    """Cores."""


def job_snapshot(document: Mapping[str, Any]) -> JobSnapshot:
    """Read a batch/v1 Job."""
    metadata, spec, status = document["metadata"], document["spec"], document.get("status") or {}
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
        held=_held(metadata.get("annotations") or {}, bool(spec.get("suspend"))),
        snapshot=_snapshot(metadata.get("annotations") or {}),
        result_schema=_schema(metadata.get("annotations") or {}),
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
    """The container that does the work; the first one in pods of Jobs that were made before it was noted."""
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
"""kubelet shares them among all containers of a pod (pkg/kubelet/status, normalizeStatus)."""


def _message_limit(spec: Mapping[str, Any]) -> int:
    """Of each container's termination message, in bytes; those that were injected count."""
    kinds = ("containers", "initContainers", "ephemeralContainers")
    return min(constants.MAX_RESULT_BYTES, POD_MESSAGE_BYTES // sum(len(spec.get(kind) or []) for kind in kinds))


def _asked_to_go(metadata: Mapping[str, Any], disrupted: Mapping[str, Any] | None) -> datetime | None:
    deleted = _time(metadata.get("deletionTimestamp"))
    grace = timedelta(seconds=metadata.get("deletionGracePeriodSeconds") or 0)
    asked = [deleted - grace] if deleted is not None else []
    told = _time(disrupted.get("lastTransitionTime")) if disrupted else None
    return min([*asked, *([told] if told is not None else [])], default=None)


def with_earlier_facts(pod: PodSnapshot, known: PodSnapshot | None) -> PodSnapshot:
    """The pod with what its document does not tell any more: kubelet's deletion of a pod that has ended moves the time
    at which its deletion was asked for (k8s.io/apiserver, rest.BeforeDelete)."""
    asked = [each.asked_to_go for each in (pod, known) if each is not None and each.asked_to_go is not None]
    return replace(pod, asked_to_go=min(asked, default=None))


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
    """Read a metrics.k8s.io/v1beta1 PodMetrics; None where it does not tell the container's CPU."""
    usage = _named(document.get("containers"), container).get("usage") or {}
    cores = quantities.cpu_cores(str(usage.get("cpu", "")))
    return PodUsage(cpu=cores) if cores is not None else None


def controller_uid(metadata: Mapping[str, Any], kind: str) -> str:
    """The uid of the controlling owner, empty where there is none of that kind."""
    owners: Iterable[Mapping[str, Any]] = metadata.get("ownerReferences") or []
    return next((str(owner["uid"]) for owner in owners if owner.get("controller") and owner.get("kind") == kind), "")


def job_of_pod(metadata: Mapping[str, Any]) -> str:
    """The uid of the pod's Job, also of one that left it behind: then the Job controller's label still tells. Empty
    where it never had one."""
    return controller_uid(metadata, "Job") or (metadata.get("labels") or {}).get(constants.LABEL_JOB_UID, "")


def task_of_job(metadata: Mapping[str, Any]) -> bool:
    """Whether a Job or pod carries our label; others in the namespace are none of our business."""
    return constants.LABEL_TASK_UID in (metadata.get("labels") or {})


def _held(annotations: Mapping[str, str], suspended: bool) -> bool:
    """Versions that noted nothing at their Jobs let nobody else hold them."""
    noted = annotations.get(constants.ANNOTATION_HELD)
    return noted == "true" or (suspended and noted is None and constants.ANNOTATION_NOT_AFTER not in annotations)


def _snapshot(annotations: Mapping[str, str]) -> TemplateSnapshot | None:
    """None also where it cannot be read, edited by hand perhaps: status has it too, once the first write was made."""
    try:
        return TemplateSnapshot.model_validate_json(annotations.get(constants.ANNOTATION_SNAPSHOT, ""))
    except ValidationError:
        return None


def _schema(annotations: Mapping[str, str]) -> str | None:
    """None also where it is no JSON object, edited by hand perhaps."""
    text = annotations.get(constants.ANNOTATION_RESULT_SCHEMA, "")
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
    """kubelet gives a container that could not be started the year 1970."""
    moment = _time(text)
    return moment if moment is not None and moment.timestamp() > 0 else None


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _required_time(text: str) -> datetime:
    return datetime.fromisoformat(text)
