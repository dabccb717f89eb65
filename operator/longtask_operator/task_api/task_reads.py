"""Routes from which the MCP server reads logs of pods, and results and artifacts that are too large for the object."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from pydantic import AwareDatetime

from longtask_api.longtask import LongTask
from longtask_api.reports import Reference
from longtask_operator.cache import Cache
from longtask_operator.planning.logs import LogFilter
from longtask_operator.task_api.blobs import TaskBlobs
from longtask_operator.task_api.errors import Refusal
from longtask_operator.task_api.http_content import BYTES, RangeHeader, part
from longtask_operator.task_api.schemas import TaskLog
from longtask_operator.task_namespace import TaskNamespace

LOG_BYTES = 256 * 1024


def router(admit: Callable[..., Awaitable[None]], cluster: TaskNamespace, cache: Cache, blobs: TaskBlobs) -> APIRouter:
    """The logs, result and artifacts routes of any task."""
    routes = APIRouter(dependencies=[Depends(admit)])

    async def read_task(uid: str) -> LongTask:
        known = cache.tasks.get(uid)
        task = await cluster.get_task(known.metadata.name, uid) if known is not None else None
        if task is None:
            raise _not_found("NoSuchTask", f"there is no task {uid[:64]}")
        return task

    @routes.get("/{uid}/logs")
    async def read_log(
        uid: str,
        tail_lines: Annotated[int, Query(ge=1, le=5000)] = 200,
        since: Annotated[AwareDatetime | None, Query(description="Only lines written since then.")] = None,
        contains: Annotated[
            str | None,
            Query(
                min_length=1,
                max_length=200,
                description="Only lines that contain this text, whatever their case; the last 100,000 are searched.",
            ),
        ] = None,
    ) -> TaskLog:
        """The end of the log of the newest attempt that has one; at most `tail_lines` lines and 256 KiB."""
        return await _log(cluster, cache, uid, tail_lines, LogFilter(since, contains))

    @routes.get("/{uid}/result", response_class=Response, responses=BYTES)
    async def read_result(task: Annotated[LongTask, Depends(read_task)], byte_range: RangeHeader = None) -> Response:
        """The result of a task, if it is too large for the object."""
        result = task.status.result
        if result is None or result.reference is None:
            raise _not_found("NoStoredResult", f"task {task.metadata.uid} has no result outside of its object")
        return await _part(blobs, task, result.reference, result.media_type, byte_range)

    @routes.get("/{uid}/artifacts/{name}", response_class=Response, responses=BYTES)
    async def read_artifact(
        name: str, task: Annotated[LongTask, Depends(read_task)], byte_range: RangeHeader = None
    ) -> Response:
        """An artifact that was stored through this API."""
        kept = (task.status.result.artifacts if task.status.result else None) or []
        artifact = next((each for each in kept if each.name == name), None)
        if artifact is None or not artifact.uri or artifact.size is None or artifact.sha256 is None:
            raise _not_found("NoStoredArtifact", f"task {task.metadata.uid} has no stored artifact {name[:64]!r}")
        reference = Reference(uri=artifact.uri, size=artifact.size, sha256=artifact.sha256)
        return await _part(blobs, task, reference, artifact.media_type, byte_range)

    return routes


async def _log(cluster: TaskNamespace, cache: Cache, uid: str, lines: int, wanted: LogFilter) -> TaskLog:
    job, task = cache.jobs.get(uid), cache.tasks.get(uid)
    # Orphaned pods keep running without their Job.
    known = job or (task.status.job_ref if task is not None else None)
    if known is None:
        raise _not_found("NoJob", f"task {uid[:64]} has no Job here: it has not started, or its Job is gone")
    pods = cache.pods_of(known.uid)
    for pod in reversed([pod for pod in pods if not pod.gone and pod.node is not None]):
        tail = await cluster.read_log(pod, lines, LOG_BYTES, wanted)
        if tail is not None:
            earlier = [each for each in pods if each.started is not None and each.uid != pod.uid]
            return TaskLog(
                text=tail.text,
                attempt=1 + sum(each.created <= pod.created for each in earlier),
                pod_name=pod.name,
                live=not pod.ended,
                truncated=tail.truncated,
            )
    raise _not_found("NoLog", f"task {uid} has no pod with a log yet, or its pods are gone")


async def _part(
    blobs: TaskBlobs, task: LongTask, reference: Reference, media_type: str | None, byte_range: str | None
) -> Response:
    return await part(reference, media_type, byte_range, lambda start, end: blobs.get(task, reference, start, end))


def _not_found(reason: str, detail: str) -> Refusal:
    return Refusal(HTTPStatus.NOT_FOUND, reason, detail)
