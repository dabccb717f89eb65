"""All requests of the operator to the API server, except its watches.

Writes of the leader are fenced: they are sent only while the Lease is held, and abandoned when the term ends; changes
and deletions carry the resourceVersion that they were planned from. Writes that start, stop or suspend work also say
until when no other replica can be the leader; an admission policy of the chart refuses them after that, however late
they arrive.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import aiohttp
from kubernetes.aio.client import ApiClient

from longtask_api import constants
from longtask_api.base import rfc3339, rfc3339_microseconds
from longtask_api.conditions import Condition
from longtask_api.longtask import (
    TERMINAL_PHASES,
    Archive,
    ConditionType,
    Delivery,
    LongTask,
    LongTaskStatus,
    Notification,
    Phase,
)
from longtask_api.reports import Checkpoint
from longtask_api.template import LongTaskTemplate, LongTaskTemplateStatus
from longtask_operator.leader_election import NotLeading, Term
from longtask_operator.planning.actions import (
    Change,
    CreateJob,
    DeleteJob,
    DeletePod,
    DeleteTask,
    SetSuspend,
    StopPod,
    StopRetries,
)
from longtask_operator.planning.failure_reasons import PodCreateFailure
from longtask_operator.planning.logs import SEARCHED_LINES, LogFilter, LogTail, Matching, Tail
from longtask_operator.planning.snapshots import (
    JobSnapshot,
    PodEvent,
    PodSnapshot,
    PodUsage,
    job_snapshot,
    pod_event,
    pod_snapshot,
    pod_usage,
    task_of_job,
)
from longtask_operator.to_thread import run_to_completion
from longtask_runtime import clock
from longtask_runtime.kube import (
    APPLY_PATCH,
    JSON_PATCH,
    MERGE_PATCH,
    REQUEST_TIMEOUT,
    KubeError,
    Verb,
    is_unanswered,
    read_chunks,
    request,
)

FIELD_MANAGER = "longtask-operator"
AS_OPERATOR = {"fieldManager": FIELD_MANAGER}
"""By this field manager the chart's admission policy finds the time of the operator's change in managedFields."""
REPORT_MANAGER = "longtask-work"
"""Field manager of what the work reports: the leader's applies omit its fields."""
DELIVERY_MANAGER = "longtask-delivery"
ARCHIVE_MANAGER = "longtask-archive"
NOTIFICATION_MANAGER = "longtask-notification"
"""Delivery, archive and notifications are also written after the task's end, when all other fields are frozen."""
NO_LOG = "unable to retrieve container logs for "
"""Beginning of the API server's answer, with status 200, when the container's log is gone."""
LOG_TIMEOUT = 10.0
"""Seconds. A lost node never answers."""
PAGE = "500"
ANY_LINE = LogFilter()
EVENT_PAUSES = (1.0, 5.0)
"""Seconds between the attempts to create an Event while the API server is down or overloaded."""

logger = logging.getLogger(__name__)


class TaskNamespace:
    """The objects of the task namespace."""

    def __init__(
        self,
        client: ApiClient,
        namespace: str,
        term: Callable[[], Term],
        unanswered: Callable[[], None] = lambda: None,
    ) -> None:
        """`term` returns how long the leader may write, and raises NotLeading when it may not. `unanswered` is called
        for each write that may or may not have been applied, or still may be.
        """
        self._client = client
        self._term = term
        self._unanswered = unanswered
        self._core = f"/api/v1/namespaces/{namespace}"
        self._metrics = f"/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}"
        self._jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
        group = f"/apis/{constants.API_VERSION}/namespaces/{namespace}"
        self._tasks = f"{group}/{constants.TASK_PLURAL}"
        self._templates = f"{group}/{constants.TEMPLATE_PLURAL}"

    async def list_pods(self, task_uid: str) -> list[PodSnapshot]:
        """The pods of a task, read live."""
        found = await self._list(f"{self._core}/pods", {"labelSelector": f"{constants.LABEL_TASK_UID}={task_uid}"})
        return [pod_snapshot(document) for document in found]

    async def get_task(self, name: str, uid: str) -> LongTask | None:
        """The task, read live; None when it is gone, even if another task has its name now."""
        document = await self._get(f"{self._tasks}/{name}")
        return LongTask.from_api(document) if document and document["metadata"]["uid"] == uid else None

    async def get_job(self, name: str, uid: str | None = None) -> JobSnapshot | None:
        """The Job, read live; None when it is gone, has another uid, or belongs to no task."""
        document = await self._get(f"{self._jobs}/{name}")
        if document is None or not task_of_job(document["metadata"]):
            return None
        return job_snapshot(document) if uid in (None, document["metadata"]["uid"]) else None

    async def get_pod(self, name: str, uid: str) -> PodSnapshot | None:
        """The pod, read live; None when it is gone, has another uid, or belongs to no task."""
        document = await self._get(f"{self._core}/pods/{name}")
        if document is None or document["metadata"]["uid"] != uid or not task_of_job(document["metadata"]):
            return None
        return pod_snapshot(document)

    async def refusals(self, job_uid: str) -> tuple[PodCreateFailure, ...]:
        """The pods that the Job controller failed to create for the Job, from its FailedCreate Events."""
        selector = f"involvedObject.uid={job_uid},reason=FailedCreate"
        found = await self._list(f"{self._core}/events", {"fieldSelector": selector})
        return tuple(
            PodCreateFailure(datetime.fromisoformat(moment), event.get("message") or "")
            for event in found
            if (moment := event.get("lastTimestamp") or event.get("eventTime"))
        )

    async def pod_events(self, pod: PodSnapshot) -> tuple[PodEvent, ...]:
        """The Events about the pod, from kubelet and others."""
        found = await self._list(f"{self._core}/events", {"fieldSelector": f"involvedObject.uid={pod.uid}"})
        return tuple(pod_event(event) for event in found)

    async def read_log(self, pod: PodSnapshot, lines: int, limit: int, wanted: LogFilter = ANY_LINE) -> LogTail | None:
        """At most `lines` lines that are `wanted`, from the last `limit` bytes of these, of the log of the pod's
        `log_container`; None if there is no log. Raises KubeError and network errors.

        The stream is read to its end: `limitBytes` would keep the beginning of the lines that `tailLines` selects.
        """
        tail = Tail(lines, limit)
        matching = Matching(wanted.contains) if wanted.contains is not None else None
        asked = tail.lines_to_ask_for if matching is None else SEARCHED_LINES
        query = {"container": pod.log_container, "tailLines": str(asked)}
        if wanted.since is not None:
            query["sinceTime"] = rfc3339(wanted.since)
        try:
            async for chunk in read_chunks(
                self._client, f"{self._core}/pods/{pod.name}/log", query=query, timeout=LOG_TIMEOUT
            ):
                tail.add(chunk if matching is None else matching.of(chunk))
            if matching is not None:
                tail.add(matching.end())
        except KubeError as error:
            if error.status in (400, 404):
                return None
            raise
        log = tail.end()
        return None if log.text.startswith(NO_LOG) else log

    async def pod_usage(self, pod: PodSnapshot) -> PodUsage | None:
        """Current usage of the container that does the work; None if nothing measures it, permission is missing, or the
        metrics server does not answer: it is only evidence for a stall, and decides nothing.
        """
        try:
            document = await request(self._client, "GET", f"{self._metrics}/pods/{pod.name}", proxied=True)
        except (KubeError, aiohttp.ClientError, TimeoutError):
            return None
        return pod_usage(document, pod.container)

    async def create_job(self, action: CreateJob) -> JobSnapshot:
        """Create the Job. Raises KubeError, and NotLeading as every write of the leader does."""
        term = self._term()
        metadata = action.manifest["metadata"]
        annotations = {**metadata.get("annotations", {}), **_not_after(term)}
        body = {**action.manifest, "metadata": {**metadata, "annotations": annotations}}
        return job_snapshot(await self._write(term, "POST", self._jobs, body, query=AS_OPERATOR))

    async def act(self, task: LongTask, change: Change) -> bool:
        """Make one change; False if its object has changed since it was planned. Raises KubeError."""
        match change:
            case SetSuspend(job, suspend):
                held = {constants.ANNOTATION_HELD: "true" if suspend else "false"}
                return await self._patch(f"{self._jobs}/{job.name}", job, {"suspend": suspend}, held)
            case StopRetries(job, limit):
                return await self._patch(f"{self._jobs}/{job.name}", job, {"backoffLimit": limit})
            case StopPod(pod):
                return await self._patch(f"{self._core}/pods/{pod.name}", pod, {"activeDeadlineSeconds": 1})
            case DeleteJob(job):
                deletion = _deletion(job.uid, str(job.resource_version), "Foreground")
                return await self._unless_changed(self._term(), "DELETE", f"{self._jobs}/{job.name}", deletion)
            case DeletePod(pod):
                return await self.delete_pod(pod)
            case DeleteTask():
                deletion = _deletion(task.metadata.uid, task.metadata.resource_version, "Background")
                path = f"{self._tasks}/{task.metadata.name}"
                return await self._unless_changed(self._term(), "DELETE", path, deletion)

    async def delete_pod(self, pod: PodSnapshot) -> bool:
        """Delete the pod; False if it has changed since it was read. Raises KubeError."""
        deletion = _deletion(pod.uid, str(pod.resource_version), "Background")
        return await self._unless_changed(self._term(), "DELETE", f"{self._core}/pods/{pod.name}", deletion)

    async def write_task_status(self, task: LongTask, status: LongTaskStatus) -> LongTask:
        """Apply the status that was planned from this version of the task.

        Raises KubeError 409 when the task has changed since: read and plan again.
        """
        return await self._apply_task_status(task, owned(status), FIELD_MANAGER)

    async def write_delivery(self, task: LongTask, delivery: Delivery, condition: Condition) -> LongTask:
        """Apply the state of delivery to this version of the task.

        Raises KubeError: 404 when the task is gone, 409 when it has changed since, 422 when more is recorded already.
        """
        status = {"delivery": delivery.to_api(), "conditions": [condition.to_api()]}
        return await self._apply_task_status(task, status, DELIVERY_MANAGER)

    async def write_archive(self, task: LongTask, archive: Archive | None, condition: Condition) -> LongTask:
        """Apply the location of the archived record to this version of the task. Raises KubeError 404, 409 as above."""
        status: dict[str, Any] = {"conditions": [condition.to_api()]}
        if archive is not None:
            status["archive"] = archive.to_api()
        return await self._apply_task_status(task, status, ARCHIVE_MANAGER)

    async def write_notifications(
        self, task: LongTask, notifications: Sequence[Notification], condition: Condition
    ) -> LongTask:
        """Apply the state of the notifications to this version of the task. Raises KubeError 404, 409 as above."""
        status = {"notifications": [each.to_api() for each in notifications], "conditions": [condition.to_api()]}
        return await self._apply_task_status(task, status, NOTIFICATION_MANAGER)

    async def write_checkpoint(self, task: LongTask, checkpoint: Checkpoint) -> LongTask:
        """Apply a checkpoint to this version of a task that has not started. Raises KubeError 404, 409 as above."""
        return await self._apply_task_status(task, {"checkpoint": checkpoint.to_api()}, REPORT_MANAGER)

    async def report(self, task: LongTask, job_uid: str, changes: Sequence[Mapping[str, Any]]) -> LongTask:
        """Store what the work reported, as JSON patch operations on status, if the task still has this Job.

        Raises KubeError: 404 when the task is gone; 422 when a test failed, or the API server has something newer.
        """
        same_job = {"op": "test", "path": "/status/jobRef/uid", "value": job_uid}
        patch = [_uid_is(task.metadata.uid), same_job, *changes]
        path = f"{self._tasks}/{task.metadata.name}/status"
        query = {"fieldManager": REPORT_MANAGER}
        return LongTask.from_api(
            await request(self._client, "PATCH", path, query=query, body=patch, content_type=JSON_PATCH)
        )

    async def write_template_status(self, template: LongTaskTemplate, status: LongTaskTemplateStatus) -> None:
        """Apply the template's status. Raises KubeError 409 when the template has changed since."""
        body = {
            "apiVersion": constants.API_VERSION,
            "kind": constants.TEMPLATE_KIND,
            "metadata": {"name": template.metadata.name, "resourceVersion": template.metadata.resource_version},
            "status": status.to_api(),
        }
        await self._apply_status(f"{self._templates}/{template.metadata.name}/status", body, FIELD_MANAGER)

    async def try_pod(self, pod: Mapping[str, Any]) -> KubeError | None:
        """The API server's refusal of a dry run of the pod; None when it accepts the pod."""
        body = {"apiVersion": "v1", "kind": "Pod", **pod}
        try:
            query = {"dryRun": "All", "fieldValidation": "Strict"}
            await request(self._client, "POST", f"{self._core}/pods", query=query, body=body)
        except KubeError as error:
            return error
        return None

    async def post_event(self, task: LongTask, kind: str, reason: str, message: str) -> None:
        """Create a core/v1 Event about the task, for `kubectl describe`; `kind` is Normal or Warning.

        Raises nothing, since status has the same information already. An Event that cannot be created is logged.
        """
        now = clock.now()
        body = _event(task, kind, reason, message, now)
        for pause in (*EVENT_PAUSES, None):
            try:
                await request(self._client, "POST", f"{self._core}/events", body=body)
                return
            except KubeError as error:
                if error.status == 409:  # created by an earlier attempt that got no answer
                    return
                problem: Exception = error
                if error.status < 500 and error.status != 429:
                    break
            except (aiohttp.ClientError, TimeoutError) as error:
                problem = error
            if pause is not None:
                await asyncio.sleep(pause)
        logger.warning(
            "Event not stored: %s",
            problem,
            extra={"task_uid": task.metadata.uid, "event": {"type": kind, "reason": reason, "message": message}},
        )

    async def _apply_task_status(self, task: LongTask, status: Mapping[str, Any], manager: str) -> LongTask:
        body = {
            "apiVersion": constants.API_VERSION,
            "kind": constants.TASK_KIND,
            "metadata": {"name": task.metadata.name, "resourceVersion": task.metadata.resource_version},
            "status": status,
        }
        path = f"{self._tasks}/{task.metadata.name}/status"
        return LongTask.from_api(await self._apply_status(path, body, manager))

    async def _apply_status(self, path: str, body: Mapping[str, Any], manager: str) -> Any:
        query = {"fieldManager": manager, "force": "true"}
        return await self._write(self._term(), "PATCH", path, body, APPLY_PATCH, query)

    async def _patch(
        self,
        path: str,
        seen: JobSnapshot | PodSnapshot,
        spec: Mapping[str, Any],
        annotations: Mapping[str, str] | None = None,
    ) -> bool:
        """Change the object's spec; False if the object has changed since `seen`. The resourceVersion also identifies
        the object: no two objects share one.
        """
        term = self._term()
        noted = {**(annotations or {}), **_not_after(term)}
        metadata = {"resourceVersion": str(seen.resource_version), "annotations": noted}
        body = {"metadata": metadata, "spec": spec}
        return await self._unless_changed(term, "PATCH", path, body, MERGE_PATCH, AS_OPERATOR)

    async def _unless_changed(
        self,
        term: Term,
        verb: Verb,
        path: str,
        body: Any,
        content_type: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> bool:
        """Send a write. True also when the object is gone; False when it has changed or been replaced."""
        try:
            await self._write(term, verb, path, body, content_type, query)
        except KubeError as error:
            if error.status not in (404, 409):
                raise
            return error.status == 404
        return True

    async def _write(
        self,
        term: Term,
        verb: Verb,
        path: str,
        body: Any,
        content_type: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> Any:
        """The answer to a write of the leader. A request that is sent cannot be recalled: when this replica stops
        leading, it waits for the answer, at most until the term ends.
        """
        timeout = min(term.seconds, REQUEST_TIMEOUT)
        sent = request(self._client, verb, path, query=query, body=body, content_type=content_type, timeout=timeout)
        try:
            return await run_to_completion(asyncio.ensure_future(self._noting(sent)))
        except KubeError as error:
            if error.status == 403 and constants.ANNOTATION_NOT_AFTER in error.message:
                raise NotLeading(error.message) from error
            raise

    async def _noting(self, sent: Awaitable[Any]) -> Any:
        """The answer to a write. A missing answer is noted even when the caller no longer waits for it."""
        try:
            return await sent
        except Exception as error:
            if is_unanswered(error):
                self._unanswered()
            raise

    async def _get(self, path: str) -> Any:
        try:
            return await request(self._client, "GET", path)
        except KubeError as error:
            if error.status == 404:
                return None
            raise

    async def _list(self, path: str, query: dict[str, str]) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        query = {**query, "limit": PAGE}
        while True:
            answer = await request(self._client, "GET", path, query=query)
            items.extend(answer["items"])
            token = answer["metadata"].get("continue")
            if not token:
                return items
            query["continue"] = token


REPORTED_FIELDS = frozenset({"progress", "last_report_time", "checkpoint", "input_requests"})
"""Status fields owned by the task API's field manager; the leader's server-side apply must omit them."""
WRITTEN_APART = frozenset({"delivery", "archive", "notifications"})
CONDITIONS_APART = frozenset({ConditionType.DELIVERED, ConditionType.ARCHIVED, ConditionType.NOTIFIED})
"""What the delivery, archive and notification field managers own."""


def owned(status: LongTaskStatus) -> dict[str, Any]:
    """The status fields that the leader applies: without `result` while the task has not ended, and without `progress`
    unless it has succeeded, when progress is shown as done. Until then the work owns both.
    """
    told = REPORTED_FIELDS | WRITTEN_APART | ({"result"} if status.phase not in TERMINAL_PHASES else set())
    if status.phase is Phase.SUCCEEDED:
        told = told - {"progress"}
    fields = status.model_dump(mode="json", exclude_none=True, exclude=set(told))
    fields["conditions"] = [each for each in fields["conditions"] if each["type"] not in CONDITIONS_APART]
    return fields


def _event(task: LongTask, kind: str, reason: str, message: str, now: datetime) -> dict[str, Any]:
    """The Event's name contains the time, so that a retry does not store it twice."""
    moment = rfc3339(now)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{task.metadata.name[:200]}.{int(now.timestamp() * 1e6):x}"},
        "involvedObject": {
            "apiVersion": constants.API_VERSION,
            "kind": constants.TASK_KIND,
            "namespace": task.metadata.namespace,
            "name": task.metadata.name,
            "uid": task.metadata.uid,
        },
        "type": kind,
        "reason": reason,
        "message": message[:1024],
        "source": {"component": FIELD_MANAGER},
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "count": 1,
    }


def _uid_is(uid: str) -> dict[str, str]:
    return {"op": "test", "path": "/metadata/uid", "value": uid}


def _not_after(term: Term) -> dict[str, str]:
    """The annotation that says until when a write may arrive. The chart's admission policy recognises a write of the
    leader by a changed annotation, and one term may change an object twice, so each write gets another fraction of the
    last second. The API server's timestamps have whole seconds, so the fraction does not matter to them.
    """
    moment = term.not_after.replace(microsecond=0) - timedelta(microseconds=secrets.randbelow(1_000_000))
    return {constants.ANNOTATION_NOT_AFTER: rfc3339_microseconds(moment)}


def _deletion(uid: str, resource_version: str, propagation: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": {"uid": uid, "resourceVersion": resource_version},
        "propagationPolicy": propagation,
    }
