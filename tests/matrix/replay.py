"""Plays what was recorded of a cell through `plan`, as the reconciler would have met it."""

import gzip
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from longtask_api import constants
from longtask_api.longtask import LongTask, LongTaskSpec, LongTaskStatus, Phase, TemplateRef, TemplateSnapshot
from longtask_operator.planning import lookups
from longtask_operator.planning.actions import Plan
from longtask_operator.planning.done import decisive_pod
from longtask_operator.planning.failure_reasons import PodCreateFailure
from longtask_operator.planning.plan import plan
from longtask_operator.planning.policy import Policy
from longtask_operator.planning.snapshots import (
    JobSnapshot,
    PodEvent,
    PodSnapshot,
    job_snapshot,
    pod_event,
    pod_snapshot,
    with_earlier_facts,
)
from longtask_operator.planning.state import TaskState
from longtask_operator.task_namespace import owned
from tests.matrix.cells import Cell

SNAPSHOT = TemplateSnapshot(
    generation=1,
    hash="9f86d081884c7d65",
    start_timeout_seconds=600,
    active_deadline_seconds=86400,
    max_disruptions=5,
    ttl_seconds_after_finished=86400,
)
POLICY = Policy(job_retention=timedelta(hours=1))


@dataclass(frozen=True)
class Answer:
    """What is told of a cell."""

    phase: str
    reason: str
    exit_code: str
    attempt: str
    """Its reason."""
    log_of: str
    retry: str
    """Whether the Job has counted a failure."""
    result: str
    message: str
    hint: str


@dataclass
class Replay:
    """What the operator knows of one cell, as the recording goes on."""

    cell: Cell
    task: LongTask
    job: JobSnapshot | None = None
    pods: dict[str, PodSnapshot] = field(default_factory=dict)
    events: dict[str, list[PodEvent]] = field(default_factory=dict)
    refusals: list[PodCreateFailure] = field(default_factory=list)
    logs: dict[tuple[str, str], str] = field(default_factory=dict)
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def see(self, entry: Mapping[str, Any]) -> None:
        """The next thing that happened; the operator takes its step."""
        self.now = datetime.fromisoformat(entry["at"])
        document = entry.get("object", {})
        match entry.get("kind"):
            case "Job":
                self.job = job_snapshot(_owned_job(document))
            case "Pod":
                pod = pod_snapshot(document, gone=entry["type"] == "DELETED")
                self.pods[pod.uid] = with_earlier_facts(pod, self.pods.get(pod.uid))
            case "Event" if document["involvedObject"]["kind"] == "Job":
                if document["reason"] == "FailedCreate":
                    self.refusals.append(PodCreateFailure(self.now, document["message"]))
            case "Event":
                self.events.setdefault(document["involvedObject"]["uid"], []).append(pod_event(document))
        if "log" in entry:
            self.logs[entry["pod"], entry["container"]] = entry["log"]
        if entry.get("act") == "cancel":
            self.task = _with_spec(self.task, cancel_requested=True)
        if entry.get("act") == "suspend":
            self.task = _with_spec(self.task, suspend=True)
        self.step()

    def step(self, later: timedelta = timedelta(0)) -> Plan | None:
        """The operator looks, `later` than now; what it would write is written."""
        if self.job is None or self.task.is_terminal:
            return None
        now = self.now + later
        wanted = plan(self.state(now))
        if not wanted.defer_status:
            self.task = self.task.model_copy(update={"status": LongTaskStatus.from_api(owned(wanted.status))})
        return wanted

    def state(self, now: datetime) -> TaskState:
        """What the reconciler would gather."""
        assert self.job is not None
        pods = tuple(sorted(self.pods.values(), key=lambda pod: (pod.created, pod.name)))
        asked = lookups.pod_to_ask_about(self.job, pods, self.task.status, now)
        decisive = decisive_pod(self.job, pods, self.task.status) if self.job.finished else None
        return TaskState(
            task=self.task,
            now=now,
            policy=POLICY,
            job=self.job,
            pods=pods,
            refusals=tuple(self.refusals) if lookups.wants_refusals(self.job, pods, now) else (),
            events=tuple(self.events.get(asked.uid, ())) if asked is not None else None,
            log=self.logs.get((decisive.name, decisive.log_container)) if decisive is not None else None,
        )

    @property
    def log_of(self) -> str:
        """Where a reader of the task's log finds it."""
        pods = sorted(self.pods.values(), key=lambda pod: (pod.created, pod.name))
        found = [pod.log_container for pod in reversed(pods) if pod.started is not None and not pod.gone]
        return found[0] if found else "-"


def answers(cell: Cell) -> Iterator[Answer]:
    """What is told in the end; of work that waits, also when it is given up."""
    replay = _start(cell)
    for entry in json.loads(gzip.decompress(cell.recorded.read_bytes())):
        replay.see(entry)
    replay.step(timedelta(seconds=30))
    yield _answer(replay)
    if replay.task.status.phase is Phase.PENDING and cell.end.until == "waits":
        replay.step(timedelta(seconds=700))
        yield _answer(replay)


def _start(cell: Cell) -> Replay:
    metadata = {"name": "cell", "namespace": "tasks", "uid": "cell", "resourceVersion": "1", "generation": 1}
    spec = LongTaskSpec(template_ref=TemplateRef(name="matrix"), **cell.end.spec)
    return Replay(cell, LongTask.from_api({"metadata": metadata, "spec": spec}))


def _with_spec(task: LongTask, **spec: Any) -> LongTask:
    return task.model_copy(update={"spec": task.spec.model_copy(update=spec)})


def _owned_job(document: Mapping[str, Any]) -> dict[str, Any]:
    owner = {"kind": constants.TASK_KIND, "uid": "cell", "controller": True}
    annotations = document["metadata"]["annotations"] | {
        constants.ANNOTATION_SNAPSHOT: SNAPSHOT.model_dump_json(exclude_none=True),
        constants.ANNOTATION_NOT_AFTER: document["metadata"]["creationTimestamp"],
    }
    metadata = document["metadata"] | {"ownerReferences": [owner], "annotations": annotations}
    return {**document, "metadata": metadata}


def _answer(replay: Replay) -> Answer:
    status = replay.task.status
    failure = status.failure
    return Answer(
        phase=str(status.phase),
        reason=next(c.reason for c in status.conditions if c.type == "Succeeded"),
        exit_code="-" if failure is None or failure.exit_code is None else str(failure.exit_code),
        attempt=", ".join(attempt.reason or "goes on" for attempt in status.attempts) or "-",
        log_of=replay.log_of,
        retry="costs a retry" if replay.job is not None and replay.job.failures else "no retry",
        result="-" if status.result is None or not status.result.has_content else json.dumps(status.result.value),
        message=_steady(status.message or ""),
        hint="-" if failure is None else failure.hint or "-",
    )


def _steady(message: str) -> str:
    """Without what every recording has of its own: names, times, numbers of other pods."""
    message = re.sub(r"cell-[0-9a-f]{4}-[0-9a-f]{8}(-[a-z0-9]{5})?", "POD", message)
    message = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)", "TIME", message)
    message = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UID", message)
    message = re.sub(r"longtask-matrix-[a-z0-9]{5}", "NAMESPACE", message)
    return " ".join(message.split())
